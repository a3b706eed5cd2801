"""`pq stats`: the shape of the queue."""

from __future__ import annotations

import time
from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from pq_cli.commands.common import (
    ColorOption,
    JsonOption,
    SpoolOption,
    check_color,
    open_spool,
)
from pq_cli.core.insight.flow import flows
from pq_cli.core.insight.shape import lane_shape
from pq_cli.core.item import State
from pq_cli.errors import UsageError
from pq_cli.messages import warn
from pq_cli.render import emit, emit_json
from pq_cli.render.counting import Counting
from pq_cli.render.stats import Stats, stats_json, stats_table
from pq_cli.spool.spool import Spool

if TYPE_CHECKING:
    from pq_cli.core.tick import Tick

_MAX_LETTERS = 1000
"""Dead letters whose errors are looked at: enough to name the common ones."""


def command(
    as_json: JsonOption = False,
    prometheus: Annotated[
        bool, typer.Option("--prometheus", help="Print metrics for a textfile collector.")
    ] = False,
    color: ColorOption = "auto",
    spool: SpoolOption = "",
) -> int:
    """Show pending items by lane and age, what was done in the last hour, the dead letters.

    Columns are ages: an item under `5m` is 5 minutes old or older, and younger than the next.
    Throughput and waiting times come from the log and may lack an event. Nothing is changed.
    """
    if as_json and prometheus:
        raise UsageError("--json and --prometheus exclude each other")
    check_color(color)
    with Counting("items looked at") as counting:
        stats = _gather(open_spool(spool), counting.tick)
    if as_json:
        emit_json(stats_json(stats))
    elif prometheus:
        from pq_cli.render.prometheus import metrics

        for line in metrics(stats):
            emit(line)
    else:
        from pq_cli.render.terminal import console

        stats_table(stats, console(color))
        if not any(stats.counts.values()):
            warn(f"nothing in {stats.path}; `pq enqueue` puts something in")
    return 0


def _gather(queue: Spool, tick: Tick) -> Stats:
    now, t = time.time(), queue.order_time()
    survey = queue.survey(tick)
    found = (
        lane_shape(queue.config, lane, ids, survey.created_in(lane), now, t)
        for lane, ids in survey.lanes.items()
    )
    lanes = tuple(lane for lane in found if lane is not None)
    counts = {
        "active": survey.count(State.ACTIVE),
        "pending": sum(lane.total for lane in lanes),
        "delayed": survey.delayed,
        "held": survey.count(State.HELD),
        "failed": survey.count(State.FAILED),
        "done": survey.count(State.DONE),
    }
    letters = islice(queue.items([State.FAILED]), _MAX_LETTERS)
    errors = Counter(item.last_error or "" for item in letters)
    return Stats(
        path=queue.path,
        now=now,
        pause=queue.paused,
        counts=counts,
        lanes=lanes,
        flows=tuple(flows(queue.log(), now)),
        next_due=survey.next_due,
        errors=tuple(errors.most_common(5)),
        quarantined=len(queue.quarantine()),
    )
