"""`pq stats`: the shape of the queue."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING

from pq_cli.commands.common import check_color
from pq_cli.commands.spools import open_spool
from pq_cli.core.insight.flow import flows
from pq_cli.core.insight.shape import lane_shape
from pq_cli.core.item import State
from pq_cli.errors import UsageError
from pq_cli.options import AS_JSON, COLOR, LookOptions, flag
from pq_cli.render.stats import Stats, stats_json, stats_table
from pq_cli.screen import Screen

if TYPE_CHECKING:
    from pq_cli.queue.verbs import Queue

_MAX_LETTERS = 1000
"""Dead letters whose errors are looked at: enough to name the common ones."""


class StatsOptions(LookOptions):
    """The command line of `pq stats`, as typed."""

    as_json: bool = AS_JSON
    prometheus: bool = flag("--prometheus", help="Print metrics for a textfile collector.")
    color: str = COLOR


OPTIONS = StatsOptions


def command(o: StatsOptions, screen: Screen) -> int:
    """Show pending items by lane and age, what was done in the last hour, the dead letters.

    Columns are ages: an item under `5m` is 5 minutes old or older, and younger than the next.
    Throughput and waiting times come from the log and may lack an event. Nothing is changed.
    """
    if o.as_json and o.prometheus:
        raise UsageError("--json and --prometheus exclude each other")
    check_color(o.color)
    stats = _gather(open_spool(o, screen))
    if o.as_json:
        screen.emit_json(stats_json(stats))
    elif o.prometheus:
        from pq_cli.render.prometheus import metrics

        for line in metrics(stats):
            screen.emit(line)
    else:
        from pq_cli.render.terminal import console

        stats_table(stats, console(screen, o.color))
        if not any(stats.counts.values()):
            screen.warn(f"nothing in {stats.path}; `pq enqueue` puts something in")
    return 0


def _gather(queue: Queue) -> Stats:
    now, t = queue.now(), queue.order_time()
    backlog = queue.backlog()
    found = (
        lane_shape(queue.config, lane, ids, backlog.created_in(lane), now, t)
        for lane, ids in backlog.lanes.items()
    )
    lanes = tuple(lane for lane in found if lane is not None)
    counts = {
        "active": queue.count([State.ACTIVE]),
        "pending": sum(lane.total for lane in lanes),
        "delayed": backlog.delayed,
        "held": queue.count([State.HELD]),
        "failed": queue.count([State.FAILED]),
        "done": queue.count([State.DONE]),
    }
    letters = islice(queue.items([State.FAILED]), _MAX_LETTERS)
    errors = Counter(item.last_error or "" for item in letters)
    return Stats(
        path=queue.where,
        now=now,
        pause=queue.paused,
        counts=counts,
        lanes=lanes,
        flows=tuple(flows(queue.log(), now)),
        next_due=backlog.next_due,
        errors=tuple(errors.most_common(5)),
        quarantined=queue.quarantined(),
    )
