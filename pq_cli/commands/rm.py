"""`pq rm`: remove items."""

from __future__ import annotations

import time

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

    For a day `pq undo` brings back what was removed; `pq purge --trash` deletes it for good.
    """
    queue = open_spool(spool, lock_timeout=lock_timeout)
    moment = time.time()
    return for_each(queue, items, lambda ref: queue.remove(ref, batch=moment))
