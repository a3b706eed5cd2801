"""`pq set`: change an item's priority or delay."""

from __future__ import annotations

from pq_cli.commands.spools import for_each, open_spool
from pq_cli.core.timefmt import parse_duration
from pq_cli.errors import UsageError
from pq_cli.options import PRIORITY, ItemsOptions, option
from pq_cli.screen import Screen


class SetOptions(ItemsOptions):
    """The command line of `pq set`, as typed."""

    priority: int | None = PRIORITY
    delay: float | None = option(
        "--delay", metavar="D", help="Not before D from now.", read=parse_duration
    )


OPTIONS = SetOptions


def command(o: SetOptions, screen: Screen) -> int:
    """Move items to another lane, in their place by id, or change when they come due."""
    if o.priority is None and o.delay is None:
        raise UsageError("nothing to set: give -p N or --delay D")
    queue = open_spool(o, screen)
    return for_each(
        queue, o.items, screen, lambda ref: queue.change(ref, priority=o.priority, delay=o.delay)
    )
