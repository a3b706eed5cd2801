"""`pq show`: all about an item."""

from __future__ import annotations

from pq_cli.commands.spools import for_each, open_spool
from pq_cli.core.item import State
from pq_cli.core.transitions import ties
from pq_cli.errors import NoSuchItemError
from pq_cli.options import AS_JSON, ITEMS, LookOptions, option
from pq_cli.render.log import log_json, log_text
from pq_cli.render.present import fields_of, item_json, present
from pq_cli.render.sheet import field_sheet
from pq_cli.screen import Screen


class ShowOptions(LookOptions):
    """The command line of `pq show`, as typed."""

    items: tuple[str, ...] = ITEMS
    as_json: bool = AS_JSON
    log: bool = option("--log", "Show what `pq run --log` kept.")


def command(o: ShowOptions, screen: Screen) -> int:
    """Show all that is known about items, one field a line; nothing is claimed or changed."""
    queue = open_spool(o, screen)
    t = queue.order_time()
    first = True

    def show(ref: str) -> None:
        nonlocal first
        item = queue.get(ref)
        logs = queue.attempt_logs(item)
        if not (first or o.as_json):
            screen.emit("")
        first = False
        if o.log and not o.as_json:
            for number in logs:
                screen.emit(log_text(queue.open_log(item, number)))
            return
        extra = {"logs": [log_json(queue.open_log(item, n)) for n in logs]} if o.log else {}
        known = item_json(item, queue.config, t) | {"followers": queue.followers(item)}
        fields = [*fields_of(known), *(("log", where) for where in logs.values())]
        if item.state is State.FAILED:
            fields.append(("next", f"pq retry {(ties(item) or [item.id])[0]}"))
        present(
            [item],
            screen,
            as_json=o.as_json,
            record=lambda _: known | extra,
            line=lambda _: "\n".join(f"{name}\t{value}" for name, value in fields),
            table=lambda _, out: field_sheet(fields, item, queue.now(), out),
        )

    status = for_each(queue, o.items, screen, show)
    if o.log and status == NoSuchItemError.exit_code and not queue.config.keep_done:
        screen.warn("a log is kept as long as its item: keep_done in queue.toml keeps what is done")
    return status
