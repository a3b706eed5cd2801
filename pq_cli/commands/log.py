"""`pq log`: what happened lately."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from pq_cli.commands.spools import open_spool
from pq_cli.core.insight.attempts import attempts
from pq_cli.core.timefmt import parse_duration, parse_time
from pq_cli.errors import UsageError
from pq_cli.options import AS_JSON, LookOptions, flag, number, operands, option
from pq_cli.render.log import attempt_line, log_line
from pq_cli.render.present import present
from pq_cli.render.sheet import attempt_sheet, log_sheet
from pq_cli.screen import Screen

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any


class LogOptions(LookOptions):
    """The command line of `pq log`, as typed."""

    items: tuple[str, ...] = operands(metavar="[ITEM...]", help="Only about these items.")
    count: int | None = option("-n", metavar="N", help="The last N only.", read=number("-n"))
    ended: bool = flag("--ended", help="One line an attempt that has ended.")
    since: float | None = option(
        "--since", metavar="D", help="Only the last D.", read=parse_duration
    )
    as_json: bool = AS_JSON


OPTIONS = LogOptions


def command(o: LogOptions, screen: Screen) -> int:
    """Print what happened in the spool lately, oldest first: time, event, item, and more.

    The log is bounded and derived: it may lack an event, and losing it loses no item. In a pipe
    each line is time, event, id, priority and words, tab-separated; with --ended it is id, name,
    how it ended, exit status, seconds waited and taken, when, by whom, and the error.
    """
    queue = open_spool(o, screen)
    wanted = {int(queue.reference(ref).partition(".")[0]) for ref in o.items}
    found: Iterable[dict[str, Any]] = (
        r for r in queue.log() if not wanted or r.get("id") in wanted
    )
    if o.ended:
        found = attempts(found)
    if o.since is not None:
        earliest = queue.now() - o.since
        found = (record for record in found if _at(record) >= earliest)
    if o.count is not None:
        found = deque(found, maxlen=o.count)
    line, table = (attempt_line, attempt_sheet) if o.ended else (log_line, log_sheet)
    present(found, screen, as_json=o.as_json, line=line, table=table)
    return 0


def _at(record: dict[str, Any]) -> float:
    """Return the Unix seconds of a record; of one that tells none, the beginning of time."""
    try:
        return parse_time(str(record.get("at")))
    except UsageError:
        return 0.0
