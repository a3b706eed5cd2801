"""`pq show`: all about an item."""

from __future__ import annotations

from typing import Annotated

import typer

from pq_cli.commands.common import ItemsArgument, JsonOption, SpoolOption, for_each, open_spool
from pq_cli.core.item import Item
from pq_cli.render import emit, emit_json, item_details, item_json
from pq_cli.render.attempts import log_json, log_text


def command(
    items: ItemsArgument,
    as_json: JsonOption = False,
    log: Annotated[bool, typer.Option("--log", help="Show what `pq run --log` kept.")] = False,
    spool: SpoolOption = "",
) -> int:
    """Show all that is known about items, one field a line; nothing is claimed or changed."""
    queue = open_spool(spool)
    t = queue.order_time()
    first = True

    def emit_item(item: Item) -> None:
        nonlocal first
        logs = queue.attempt_logs(item)
        if as_json:
            extra = {"logs": [log_json(path) for path in logs]} if log else {}
            emit_json(item_json(item, queue.config, t) | extra)
            return
        if not first:
            emit("")
        first = False
        if log:
            for path in logs:
                emit(log_text(path))
            return
        for line in item_details(item, queue.config, t):
            emit(line)
        for path in logs:
            emit(f"log\t{path}")

    return for_each(queue, items, lambda ref: emit_item(queue.get(ref)))
