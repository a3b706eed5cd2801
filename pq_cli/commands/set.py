"""`pq set`: change what was said of items when they were enqueued."""

from __future__ import annotations

from functools import partial
from typing import Any

from pq_cli.commands.choosing import act_on
from pq_cli.core.item import State
from pq_cli.errors import UsageError
from pq_cli.options import (
    AT,
    DELAY,
    MAX_ATTEMPTS,
    METADATA,
    NAME,
    OF_PRIORITY,
    PRIORITY,
    ChosenOptions,
    limit_or_none,
    metadata_of,
    option,
)
from pq_cli.screen import Screen

_MAY = (State.ACTIVE, State.PENDING, State.DELAYED, State.HELD, State.FAILED)


class SetOptions(ChosenOptions):
    """The command line of `pq set`, as typed."""

    priority: int | None = PRIORITY
    delay: float | None = DELAY
    at: float | None = AT
    max_attempts: int | None = MAX_ATTEMPTS
    limit: str | None = option("--limit LIMIT", "Its limit, or none.", read=limit_or_none)
    name: str | None = NAME
    metadata: dict[str, str] | None = METADATA
    of_priority: int | None = OF_PRIORITY
    of_limit: str | None = option(
        "--of-limit LIMIT", "Only with this limit, or none.", read=limit_or_none
    )
    of_name: str | None = option("--of-name GLOB", "Only where the name matches.")
    of_metadata: dict[str, str] | None = option(
        "--of-metadata K=V", "Only with these metadata.", many=True, read=metadata_of
    )


def command(o: SetOptions, screen: Screen) -> int:
    """Move items to another lane, in their place by id, or change when they come due, and more.

    Those named, or all that options such as --key or --of-priority choose. Metadata are added to
    what an item has.
    """
    fields: dict[str, Any] = {
        "priority": o.priority, "delay": o.delay, "at": o.at, "max_attempts": o.max_attempts,
        "limit": o.limit, "name": o.name, "metadata": o.metadata,
    }  # fmt: skip
    if all(value is None for value in fields.values()):
        raise UsageError(
            "nothing to set: give -p N, --delay D, --at T, --max-attempts N, --limit LIMIT,"
            " --name NAME or -m K=V"
        )
    return act_on(o, screen, _MAY, "changed", lambda queue: partial(queue.change, **fields))
