"""`pq show`: all about an item."""

from __future__ import annotations

from pq_cli.commands.common import ItemsArgument, JsonOption, SpoolOption, for_each, open_spool
from pq_cli.core.item import Item
from pq_cli.render import emit, emit_json, item_details, item_json


def command(items: ItemsArgument, as_json: JsonOption = False, spool: SpoolOption = "") -> int:
    """Show all that is known about items, one field a line; nothing is claimed or changed."""
    queue = open_spool(spool)
    t = queue.order_time()
    first = True

    def emit_item(item: Item) -> None:
        nonlocal first
        if as_json:
            emit_json(item_json(item, queue.config, t))
            return
        if not first:
            emit("")
        first = False
        for line in item_details(item, queue.config, t):
            emit(line)

    return for_each(queue, items, lambda ref: emit_item(queue.get(ref)))
