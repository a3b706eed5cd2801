"""`pq done`: finish claimed items."""

from __future__ import annotations

from pq_cli.commands.spools import for_each, open_spool, told
from pq_cli.options import ItemsOptions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pq_cli.screen import Screen

OPTIONS = ItemsOptions


def command(o: ItemsOptions, screen: Screen) -> int:
    """Finish claimed items. A claim that was taken away is refused (exit 4)."""
    queue = open_spool(o, screen)
    return for_each(queue, o.items, screen, told(o.as_json, queue, screen, queue.done))
