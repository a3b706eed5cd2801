"""`pq log`: what happened lately."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from pq_cli.commands.spools import open_spool
from pq_cli.options import AS_JSON, LookOptions, number, operands, option
from pq_cli.render.log import log_line
from pq_cli.render.present import present
from pq_cli.render.sheet import log_sheet
from pq_cli.screen import Screen

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any


class LogOptions(LookOptions):
    """The command line of `pq log`, as typed."""

    items: tuple[str, ...] = operands(metavar="[ITEM...]", help="Only about these items.")
    count: int | None = option("-n", metavar="N", help="The last N only.", read=number("-n"))
    as_json: bool = AS_JSON


OPTIONS = LogOptions


def command(o: LogOptions, screen: Screen) -> int:
    """Print what happened in the spool lately, oldest first: time, event, item, and more.

    The log is bounded and derived: it may lack an event, and losing it loses no item. In a pipe
    each line is time, event, id, priority and words, tab-separated.
    """
    queue = open_spool(o, screen)
    wanted = {int(queue.reference(ref).partition(".")[0]) for ref in o.items}
    found: Iterable[dict[str, Any]] = (
        r for r in queue.log() if not wanted or r.get("id") in wanted
    )
    if o.count is not None:
        found = deque(found, maxlen=o.count)
    present(found, screen, as_json=o.as_json, line=log_line, table=log_sheet)
    return 0
