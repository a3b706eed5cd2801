"""`pq log`: what happened lately."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Annotated

import typer

from pq_cli.commands.common import JsonOption, SpoolOption, open_spool
from pq_cli.core.item import whole
from pq_cli.errors import UsageError
from pq_cli.render import emit, emit_json, stdout_is_terminal
from pq_cli.render.log import log_line
from pq_cli.render.sheet import log_sheet
from pq_cli.render.terminal import console

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any


def command(
    items: Annotated[
        list[str] | None, typer.Argument(metavar="[ITEM...]", help="Only about these items.")
    ] = None,
    count: Annotated[str | None, typer.Option("-n", metavar="N", help="The last N only.")] = None,
    as_json: JsonOption = False,
    spool: SpoolOption = "",
) -> int:
    """Print what happened in the spool lately, oldest first: time, event, item, and more.

    The log is bounded and derived: it may lack an event, and losing it loses no item. In a pipe
    each line is time, event, id, priority and words, tab-separated.
    """
    queue = open_spool(spool)
    wanted = {int(queue.reference(ref).partition(".")[0]) for ref in items or ()}
    found: Iterable[dict[str, Any]] = (
        r for r in queue.log() if not wanted or r.get("id") in wanted
    )
    if count is not None:
        last = whole(count, 9)
        if last is None:
            raise UsageError(f"-n {count!r}: give a whole number")
        found = deque(found, maxlen=last)
    if stdout_is_terminal() and not as_json:
        log_sheet(found, time.time(), console("auto"))
        return 0
    for record in found:
        if as_json:
            emit_json(record)
        else:
            emit(log_line(record))
    return 0
