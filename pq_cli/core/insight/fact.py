"""Facts: what `pq doctor` says of a queue and of what it lies on."""

from __future__ import annotations

from pq_cli.core.record import Record


class Fact(Record):
    """One line. wrong: what is wrong about it and what to do, or None."""

    name: str
    value: str
    wrong: str | None = None
