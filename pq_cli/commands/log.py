"""`pq log`: what happened lately, and what happens."""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING

from pq_cli.commands.spools import open_spool
from pq_cli.core.insight.history import attempts
from pq_cli.core.timefmt import parse_duration, time_of
from pq_cli.options import AS_JSON, LookOptions, number, option
from pq_cli.render.log import attempt_line, log_line
from pq_cli.render.present import present
from pq_cli.render.sheet import ATTEMPT_WIDTHS, LOG_WIDTHS, attempt_sheet, log_sheet
from pq_cli.screen import Screen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    from pq_cli.queue.verbs import Queue

    Events = Iterable[dict[str, Any]]


class LogOptions(LookOptions):
    """The command line of `pq log`, as typed."""

    items: tuple[str, ...] = option("[ITEM...]", "Only about these items.", many=True)
    count: int | None = option("-n N", "The last N only.", read=number(0, 10**15))
    ended: bool = option("--ended", "One line an attempt that has ended.")
    since: float | None = option("--since D", "Only the last D.", read=parse_duration)
    after_event: int | None = option(
        "--after-event N",
        "Only what came after event N (`number` in --json).",
        read=number(0, 2**63 - 1),
    )
    follow: bool = option("--follow", "Go on with what happens, for ever.")
    as_json: bool = AS_JSON


def command(o: LogOptions, screen: Screen) -> int:
    """Print what happened in the spool lately, oldest first: time, event, item, and more.

    The log is bounded and derived: it may lack an event, and losing it loses no item. In a pipe
    each line is time, event, id, priority and words, tab-separated; with --ended it is id, name,
    how it ended, exit status, seconds waited and taken, when, by whom, and the error. With
    --after-event, exit status 1 says that some of what came after it is no longer in the log.
    """
    queue = open_spool(o, screen)
    chosen = _chooser(o, queue)
    start = o.after_event or 0
    if o.ended and start:
        next(queue.log(start), None)  # that nothing of it is gone: below all is read, for `waited`
    first = 0 if o.ended else start
    found: Events
    if o.follow:
        found = _followed(o, queue, screen, chosen, first, start)
    else:
        careful = o.as_json or o.after_event is not None
        found = chosen(queue.log(first if careful else None), start)
        if o.count is not None:
            found = deque(found, maxlen=o.count)
    widths = ATTEMPT_WIDTHS if o.ended else LOG_WIDTHS
    sheet = partial(attempt_sheet if o.ended else log_sheet, widths=widths if o.follow else None)
    line = attempt_line if o.ended else log_line
    present(found, screen, as_json=o.as_json, line=line, table=sheet)
    return 0


def _chooser(o: LogOptions, queue: Queue) -> Callable[[Events, int], Events]:
    """Return what makes of the log what was asked for and has come after an event."""
    wanted = {int(queue.reference(ref).partition(".")[0]) for ref in o.items}
    earliest = None if o.since is None else queue.now() - o.since

    def chosen(records: Events, start: int) -> Events:
        if wanted:
            records = (record for record in records if record.get("id") in wanted)
        if o.ended:
            records = attempts(records)
        if earliest is not None:
            records = (record for record in records if _at(record) >= earliest)
        return (record for record in records if record["number"] > start) if start else records

    return chosen


def _followed(
    o: LogOptions,
    queue: Queue,
    screen: Screen,
    chosen: Callable[[Events, int], Events],
    first: int,
    start: int,
) -> Iterator[dict[str, Any]]:
    """Yield what was asked for and has come after the event `start`, and what comes."""
    if o.count is not None:
        past = list(queue.log(first))
        last = deque(chosen(past, start), maxlen=o.count)
        ends = [record["number"] for record in past[-1:]]
        start = last[0]["number"] - 1 if last else max(start, *ends, 0)
    events = queue.follow(first, idle=screen.need_reader, trouble=screen.report)
    for record in chosen(events, start):
        yield record
        screen.flush()


def _at(record: dict[str, Any]) -> float:
    """Return the Unix seconds of a record; of one that tells none, the beginning of time."""
    return time_of(record.get("at")) or 0.0
