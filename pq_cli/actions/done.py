"""`pq done`: finish claimed items."""

from __future__ import annotations

from pq_cli.actions.spools import LOCK_TIMEOUT, for_each, open_spool
from pq_cli.core.record import Record


class DoneOptions(Record):
    """The command line of `pq done`, as typed: nothing is checked yet."""

    items: tuple[str, ...]
    spool: str = ""
    lock_timeout: str = LOCK_TIMEOUT


def done(options: DoneOptions) -> int:
    """Finish the items, return the exit status."""
    queue = open_spool(options.spool, lock_timeout=options.lock_timeout)
    return for_each(queue, options.items, queue.done)
