"""`pq done`: finish claimed items."""

from __future__ import annotations

from pq_cli.commands.spools import act_on_items
from pq_cli.options import ItemsOptions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pq_cli.screen import Screen


def command(o: ItemsOptions, screen: Screen) -> int:
    """Finish claimed items. A claim that was taken away is refused (exit 4)."""
    return act_on_items(o, screen, lambda queue: queue.done)
