"""`pq hold`: suspend waiting items."""

from __future__ import annotations

from pq_cli.commands.spools import for_each, open_spool
from pq_cli.options import ItemsOptions
from pq_cli.screen import Screen

OPTIONS = ItemsOptions


def command(o: ItemsOptions, screen: Screen) -> int:
    """Suspend pending or delayed items until `pq retry` sends them back."""
    queue = open_spool(o, screen)
    return for_each(queue, o.items, screen, queue.hold)
