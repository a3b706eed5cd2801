"""`pq done`: finish claimed items."""

from __future__ import annotations

from pq_cli.commands.spools import for_each, open_spool
from pq_cli.options import ITEMS, Options


class DoneOptions(Options):
    """The command line of `pq done`, as typed: nothing is checked yet."""

    items: tuple[str, ...] = ITEMS


OPTIONS = DoneOptions


def command(options: DoneOptions) -> int:
    """Finish claimed items. A claim that was taken away is refused (exit 4)."""
    queue = open_spool(options.spool, lock_timeout=options.lock_timeout)
    return for_each(queue, options.items, queue.done)
