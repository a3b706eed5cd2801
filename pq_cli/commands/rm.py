"""`pq rm`: remove items."""

from __future__ import annotations

from pq_cli.commands.common import (
    LOCK_TIMEOUT,
    ItemsArgument,
    LockTimeoutOption,
    SpoolOption,
    for_each,
    open_spool,
)


def command(
    items: ItemsArgument, spool: SpoolOption = "", lock_timeout: LockTimeoutOption = LOCK_TIMEOUT
) -> int:
    """Remove items with their payloads. An active item is refused (exit 4).

    `pq undo` brings back what was removed, for keep_removed (a day); `pq purge --state removed`
    deletes it for good.
    """
    queue = open_spool(spool, lock_timeout=lock_timeout)
    until = queue.removal()
    return for_each(queue, items, lambda ref: queue.remove(ref, kept_until=until))
