"""`pq rm`: remove items."""

from __future__ import annotations

from pq_cli.commands.spools import for_each, open_spool
from pq_cli.options import ItemsOptions
from pq_cli.screen import Screen

OPTIONS = ItemsOptions


def command(o: ItemsOptions, screen: Screen) -> int:
    """Remove items with their payloads. An active item is refused (exit 4).

    `pq undo` brings back what was removed, for keep_removed (a day); `pq purge --state removed`
    deletes it for good.
    """
    queue = open_spool(o, screen)
    until = queue.removal()
    return for_each(queue, o.items, screen, lambda ref: queue.remove(ref, kept_until=until))
