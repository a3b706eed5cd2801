"""`pq retry`: back to pending."""

from __future__ import annotations

from typing import Annotated

import typer

from pq_cli.commands.common import (
    LOCK_TIMEOUT,
    LockTimeoutOption,
    PriorityOption,
    SpoolOption,
    for_each,
    open_spool,
)
from pq_cli.core.item import State, valid_priority
from pq_cli.errors import UsageError
from pq_cli.messages import warn
from pq_cli.render.counting import Counting


def command(
    items: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ITEM...]", help="Those to send back, if not --all."),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="All failed, held and delayed items.")
    ] = False,
    priority: PriorityOption = None,
    spool: SpoolOption = "",
    lock_timeout: LockTimeoutOption = LOCK_TIMEOUT,
) -> int:
    """Send failed, held or delayed items back to pending: attempts reset, id and place kept."""
    if bool(items) == everything:
        raise UsageError("give ITEMs, or --all")
    base = None if priority is None else valid_priority(priority)
    queue = open_spool(spool, lock_timeout=lock_timeout)
    if not everything:
        return for_each(queue, items or [], lambda ref: queue.retry(ref, base))
    count = 0

    def again(ref: str) -> None:
        nonlocal count
        queue.retry(ref, base)
        count += 1

    with Counting("items found") as counting:
        stopped = queue.items([State.DELAYED, State.HELD, State.FAILED])
        found = [str(item.id) for item in counting.over(stopped)]
    status = for_each(queue, found, again)
    warn(f"{count} items are pending again")
    return status
