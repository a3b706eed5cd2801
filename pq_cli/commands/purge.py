"""`pq purge`: sweep old items."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from pq_cli.commands.common import (
    LOCK_TIMEOUT,
    STATES_HELP,
    LockTimeoutOption,
    SpoolOption,
    open_spool,
    states_from,
)
from pq_cli.core.item import State
from pq_cli.core.timefmt import parse_duration
from pq_cli.errors import ConflictError, NoSuchItemError, UsageError
from pq_cli.messages import warn
from pq_cli.render import emit
from pq_cli.render.counting import Counting

if TYPE_CHECKING:
    from pq_cli.core.policy import QueueConfig


def command(
    states: Annotated[
        list[str] | None, typer.Option("--state", metavar="S", help=STATES_HELP)
    ] = None,
    older_than: Annotated[
        str | None, typer.Option("--older-than", metavar="D", help="Not changed since D.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    trash: Annotated[
        bool, typer.Option("--trash", help="Delete for good what was removed before.")
    ] = False,
    spool: SpoolOption = "",
    lock_timeout: LockTimeoutOption = LOCK_TIMEOUT,
) -> int:
    """Remove items by state and by the time since they last changed; print their ids.

    Without options: done items older than keep_done and failed ones older than keep_failed. Other
    states must be named; active items are never swept. For a day `pq undo` brings them back.
    """
    if older_than is not None and not states:
        raise UsageError("--older-than needs --state")
    if trash and (states or dry_run):
        raise UsageError("--trash goes alone")
    wanted = states_from(states) if states else [State.FAILED, State.DONE]
    if State.ACTIVE in wanted:
        raise UsageError("active items cannot be purged; release or finish them first")
    queue = open_spool(spool, lock_timeout=lock_timeout)
    if trash:
        with Counting("files deleted") as counting:
            queue.empty_trash(counting.tick)
        return 0
    age = 0.0 if older_than is None else parse_duration(older_than)
    now = time.time()
    count = 0
    with Counting("items", lambda: queue.count(wanted)) as counting:
        for item in counting.over(queue.items(wanted)):
            limit = age if states else _kept(queue.config, item.state)
            if now - item.updated_at < limit:
                continue
            if not dry_run:
                try:
                    queue.remove(item, state=item.state, batch=now)
                except (NoSuchItemError, ConflictError):
                    continue  # somebody else was quicker
            emit(str(item.id))
            count += 1
    warn(f"{count} items {'would be' if dry_run else 'were'} removed")
    return 0


def _kept(config: QueueConfig, state: State) -> float:
    return config.keep_failed if state is State.FAILED else config.keep_done
