"""What the log tells of attempts, a record at a time: the same for all who count. Pure."""

from __future__ import annotations

from typing import NamedTuple

from pq_cli.core.timefmt import parse_time
from pq_cli.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any


class LogLine(NamedTuple):
    """One event of an item. at: Unix seconds. waited, took: seconds, None where it tells none.

    waited: from enqueue to the first claim of a worker; the claim that `submit` makes for itself,
    before anybody could wait, is none. took: of an attempt that was done.
    """

    at: float
    event: str
    priority: int
    waited: float | None
    took: float | None


def tellings(records: Iterable[dict[str, Any]]) -> Iterator[LogLine]:
    """Yield what records of the log tell, in their order; malformed ones are skipped."""
    second = set[str]()  # the claims that are their item's first by a worker, after its submit's
    for record in records:
        event, priority = record.get("event"), record.get("priority")
        claim = str(record.get("claim"))
        if record.get("own") is True:
            second.add(f"{claim.partition('.')[0]}.2")
            continue
        if type(priority) is not int or not isinstance(event, str):
            continue
        try:
            at = parse_time(str(record.get("at")))
        except UsageError:
            continue
        first = event == "claimed" and (claim.endswith(".1") or claim in second)
        yield LogLine(
            at=at,
            event=event,
            priority=priority,
            waited=_number(record.get("waited")) if first else None,
            took=_number(record.get("took")) if event == "done" else None,
        )


def _number(value: object) -> float | None:
    fits = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if fits else None  # type: ignore[arg-type]
