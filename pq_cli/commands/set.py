"""`pq set`: change an item's priority or delay."""

from __future__ import annotations

from typing import Annotated

import typer

from pq_cli.commands.common import (
    LOCK_TIMEOUT,
    ItemsArgument,
    LockTimeoutOption,
    PriorityOption,
    SpoolOption,
    for_each,
    open_spool,
)
from pq_cli.core.item import valid_priority
from pq_cli.core.timefmt import parse_duration
from pq_cli.errors import UsageError


def command(
    items: ItemsArgument,
    priority: PriorityOption = None,
    delay: Annotated[str | None, typer.Option(metavar="D", help="Not before D from now.")] = None,
    spool: SpoolOption = "",
    lock_timeout: LockTimeoutOption = LOCK_TIMEOUT,
) -> int:
    """Move items to another lane, in their place by id, or change when they come due."""
    if priority is None and delay is None:
        raise UsageError("nothing to set: give -p N or --delay D")
    base = None if priority is None else valid_priority(priority)
    seconds = None if delay is None else parse_duration(delay)
    queue = open_spool(spool, lock_timeout=lock_timeout)
    return for_each(queue, items, lambda ref: queue.change(ref, priority=base, delay=seconds))
