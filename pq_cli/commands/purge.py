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
    from pq_cli.queue.verbs import Queue


def command(
    states: Annotated[
        list[str] | None, typer.Option("--state", metavar="S", help=STATES_HELP)
    ] = None,
    older_than: Annotated[
        str | None, typer.Option("--older-than", metavar="D", help="Not changed since D.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    spool: SpoolOption = "",
    lock_timeout: LockTimeoutOption = LOCK_TIMEOUT,
) -> int:
    """Remove items by state and by the time since they last changed; print their ids.

    Without options: done items older than keep_done and failed ones older than keep_failed. Other
    states must be named; active items are never swept. `pq undo` brings them back, for keep_removed
    (a day); `--state removed` alone lets all that was removed go for good.
    """
    if older_than is not None and not states:
        raise UsageError("--older-than needs --state")
    wanted = states_from(states) if states else [State.FAILED, State.DONE]
    if State.REMOVED in wanted and (len(wanted) > 1 or older_than is not None or dry_run):
        raise UsageError("--state removed goes alone: it lets all that was removed go for good")
    if State.ACTIVE in wanted:
        raise UsageError("active items cannot be purged; release or finish them first")
    queue = open_spool(spool, lock_timeout=lock_timeout)
    if wanted == [State.REMOVED]:
        return _for_good(queue)
    age = 0.0 if older_than is None else parse_duration(older_than)
    now, until = time.time(), queue.removal()
    count = 0
    with Counting("items", lambda: queue.count(wanted)) as counting:
        for item in counting.over(queue.items(wanted)):
            limit = age if states else _kept(queue.config, item.state)
            if now - item.updated_at < limit:
                continue
            if not dry_run:
                try:
                    queue.remove(item, state=item.state, kept_until=until)
                except (NoSuchItemError, ConflictError):
                    continue  # somebody else was quicker
            emit(str(item.id))
            count += 1
    warn(f"{count} items {'would be' if dry_run else 'were'} removed")
    return 0


def _for_good(queue: Queue) -> int:
    """Let all that was removed go, and say how much that was."""
    count = queue.count([State.REMOVED])
    with Counting("items", count) as counting:
        for let_go in queue.expire():
            counting.tick(let_go)
    warn(f"{count} items are gone for good")
    return 0


def _kept(config: QueueConfig, state: State) -> float:
    return config.keep_failed if state is State.FAILED else config.keep_done
