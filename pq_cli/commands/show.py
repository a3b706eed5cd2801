"""`pq show`: all about an item."""

from __future__ import annotations

from typing import Annotated

import typer

from pq_cli.commands.common import ItemsArgument, JsonOption, SpoolOption, for_each, open_spool
from pq_cli.core.item import Item
from pq_cli.errors import NoSuchItemError
from pq_cli.messages import warn
from pq_cli.render import emit, emit_json, item_fields, item_json, stdout_is_terminal
from pq_cli.render.attempts import log_json, log_text
from pq_cli.render.sheet import field_sheet
from pq_cli.render.terminal import console


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
            extra = {"logs": [log_json(queue.open_log(item, n)) for n in logs]} if log else {}
            emit_json(item_json(item, queue.config, t) | extra)
            return
        if not first:
            emit("")
        first = False
        if log:
            for number in logs:
                emit(log_text(queue.open_log(item, number)))
            return
        fields = [*item_fields(item, queue.config, t), *(("log", where) for where in logs.values())]
        if stdout_is_terminal():
            field_sheet(fields, item, queue.now(), console("auto"))
            return
        for name, value in fields:
            emit(f"{name}\t{value}")

    status = for_each(queue, items, lambda ref: emit_item(queue.get(ref)))
    if log and status == NoSuchItemError.exit_code and not queue.config.keep_done:
        warn("a log is kept as long as its item: keep_done in queue.toml keeps what is done")
    return status
