"""`pq release`: give claimed items back."""

from __future__ import annotations

from pq_cli.commands.spools import for_each, open_spool
from pq_cli.options import ItemsOptions
from pq_cli.screen import Screen

OPTIONS = ItemsOptions


def command(o: ItemsOptions, screen: Screen) -> int:
    """Give claimed items back, in their old place; the attempt does not count."""
    queue = open_spool(o, screen)
    return for_each(queue, o.items, screen, queue.release)
