"""The picture of `pq stats`: lanes down, age buckets across; then flow, oldest, dead letters."""

from __future__ import annotations

from pq_cli.core.insight.history import KINDS, WAIT_EDGES, History, Window
from pq_cli.core.insight.shape import AGE_EDGES, LaneShape, Slots
from pq_cli.core.insight.words import counted, lie_in_quarantine, wait_in_new
from pq_cli.core.insight.workers import Worker
from pq_cli.core.item import printable
from pq_cli.core.policy import Pause
from pq_cli.core.record import Record
from pq_cli.core.timefmt import format_duration, format_time
from pq_cli.render.fold import fold
from pq_cli.render.terminal import Cell, column_widths, gap_on, print_row, say
from pq_cli.render.words import short_duration, short_number, whole_duration
from pq_cli.render.workers import worker_json, workers_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from pq_cli.core.insight.explain import Reason
    from pq_cli.core.insight.history import LaneFlow
    from pq_cli.render.terminal import Console


class Stats(Record):
    """All that `pq stats` shows. Times in Unix seconds; errors: (text, count), commonest first.

    trouble: why nothing goes on, as `Looking.trouble` tells it.
    quarantined: how many things a repair has set aside; dropped: files that wait in the drop box.
    Neither are items. slots: the limits of what waits and what is at work, by name.
    """

    path: str
    now: float
    pause: Pause | None
    counts: dict[str, int]
    lanes: tuple[LaneShape, ...]
    history: History
    next_due: float | None
    errors: tuple[tuple[str, int], ...]
    workers: tuple[Worker, ...] = ()
    trouble: tuple[Reason, ...] = ()
    quarantined: int = 0
    dropped: int = 0
    slots: dict[str, Slots] = {}


AGE_TITLES = ("<1m", *(short_duration(edge).replace("7d", "1w") for edge in AGE_EDGES))
_LEAST_BAR = 8
_MOST_BAR = 40
_MOST_LINES = 3
"""Of one fact below the tables."""


def stats_json(stats: Stats) -> dict[str, Any]:
    """Return everything as one JSON record; durations in seconds, times as RFC 3339."""
    pause = stats.pause
    return {
        "path": stats.path,
        "at": format_time(stats.now),
        "paused": pause and {"since": format_time(pause.since), "reason": pause.reason},
        "counts": stats.counts,
        "age_edges": list(AGE_EDGES),
        "lanes": [lane.__dict__ | {"buckets": list(lane.buckets)} for lane in stats.lanes],
        "last_hour": [dict(flow.__dict__) for flow in stats.history.flows],
        "history": {
            "hour": _window_json(stats.history.hour),
            "day": _window_json(stats.history.day),
        },
        "wait_edges": list(WAIT_EDGES),
        "waits": [
            {"priority": lane, "buckets": list(counts)}
            for lane, counts in stats.history.waits.items()
        ],
        "workers": [worker_json(worker, stats.now) for worker in stats.workers],
        "trouble": [{"kind": reason.kind, **reason.values} for reason in stats.trouble],
        "limits": [{"limit": name, **slots.__dict__} for name, slots in stats.slots.items()],
        "next_due": None if stats.next_due is None else format_time(stats.next_due),
        "errors": [{"error": text, "count": count} for text, count in stats.errors],
        "quarantined": stats.quarantined,
        "dropped": stats.dropped,
    }


def _window_json(window: Window) -> dict[str, Any]:
    """Return what went in, out and failed, a lane each: counts for every `step` seconds."""
    lanes = [
        {"priority": lane} | {kind: list(window.row(kind, lane)) for kind in KINDS}
        for lane in window.lanes()
    ]
    return {"start": format_time(window.start), "step": window.step, "lanes": lanes}


def stats_table(stats: Stats, out: Console) -> None:
    """Print the picture, as wide as `out`."""
    from pq_cli.render.pictures.sparks import history_table
    from pq_cli.render.table import say_standstill, say_summary

    say(out, f"{printable(stats.path)}", "dim")
    say_summary(stats.counts, out)
    say_standstill(stats.pause, stats.trouble, stats.now, out)
    if stats.lanes:
        out.print()
        _lanes(stats.lanes, out)
    if stats.history.flows:
        out.print()
        _flows(stats.history.flows, out)
    if stats.history.day.lanes():
        out.print()
        history_table(stats.history, out)
    told = facts(stats)
    if told:
        out.print()
    room = max(20, out.width - 11)
    for title, text, style in told:
        lines = fold(text, room)
        if len(lines) > _MOST_LINES:
            lines[_MOST_LINES - 1 :] = [f"{lines[_MOST_LINES - 1]:.{room - 1}}…"]
        for number, line in enumerate(lines):
            cells = [("" if number else title, "bold"), (line, style)]
            print_row(out, cells, [9, room], (), 2)


def _lanes(lanes: Sequence[LaneShape], out: Console) -> None:
    """Print the lanes by age; on a slim terminal neighbouring ages are added up."""
    titles, merge = list(AGE_TITLES), 1
    if out.width < 56:
        titles, merge = ["<5m", "5m", "1h", "1d"], 2
    rows = [
        [str(lane.priority), short_number(lane.total), *_ages(lane.buckets, merge)]
        for lane in lanes
    ]
    total = [sum(lane.buckets[n] for lane in lanes) for n in range(len(AGE_TITLES))]
    rows.append(["all", short_number(sum(total)), *_ages(total, merge)])
    head = ["LANE", "TOTAL", *titles]
    widths = column_widths([head, *rows])
    bar = min(_MOST_BAR, out.width - sum(w + 1 for w in widths))
    bar = bar if bar >= _LEAST_BAR else 0
    right = range(len(widths))
    print_row(out, [*((t, "bold") for t in head), ""], [*widths, bar], right, 1)
    most = max(lane.total for lane in lanes)
    for lane, row in zip([*lanes, None], rows, strict=True):
        cells: list[Cell] = [(text, "dim" if text == "." else "") for text in row]
        length = 0 if lane is None else max(1, round(bar * lane.total / most))
        starving = lane is not None and lane.starving
        cells.append(("█" * length, "yellow" if starving else "cyan"))
        print_row(out, cells, [*widths, bar], right, 1)


def _ages(buckets: Sequence[int], merge: int) -> list[str]:
    """Return the counts as texts, each of `merge` neighbours added up."""
    counts = [sum(buckets[n : n + merge]) for n in range(0, len(buckets), merge)]
    return [short_number(count) if count else "." for count in counts]


def _flows(flows: Sequence[LaneFlow], out: Console) -> None:
    titles = ("LANE", "DONE/h", "FAILED", "WAIT", "95%", "WORK")
    rows: list[list[Cell]] = [[(title, "bold") for title in titles]]
    for flow in flows:
        times = (flow.waited_median, flow.waited_p95, flow.took_median)
        counts = (str(flow.priority), short_number(flow.done), short_number(flow.failed))
        rows.append([*counts, *map(_time, times)])
    widths = column_widths(rows)
    for row in rows:
        print_row(out, row, widths, range(len(row)), gap_on(out))


def _time(seconds: float | None) -> str:
    return "." if seconds is None else format_duration(seconds)


def facts(stats: Stats) -> list[tuple[str, str, str]]:
    """Return (title, text, style) of what stands below the tables."""
    facts = []
    if stats.lanes:
        oldest = max(stats.lanes, key=lambda lane: lane.oldest_age)
        age = whole_duration(oldest.oldest_age)
        facts.append(("oldest", f"item {oldest.oldest_id} in lane {oldest.priority}, {age}", ""))
    starving = [lane for lane in stats.lanes if lane.starving]
    if starving:
        where = ", ".join(f"{lane.starving:,} in lane {lane.priority}" for lane in starving)
        count = sum(lane.starving for lane in starving)
        text = f"{count:,} at the aging cap and still waiting: {where}"
        facts.append(("starving", text, "yellow"))
    if stats.workers:
        facts.append(("workers", workers_line(stats.workers, stats.now), ""))
    if stats.next_due is not None:
        left = whole_duration(stats.next_due - stats.now)
        facts.append(("next due", f"a delayed item in {left}", ""))
    for number, (limit, slots) in enumerate(stats.slots.items()):
        text, style = f"{printable(limit)}: {slots.active:,} of {slots.most:,} at work", ""
        if slots.waiting:
            text += f", {counted(slots.waiting, 'item')} {'waiting' if slots.full else 'pending'}"
            style = "yellow" if slots.full else ""
        facts.append(("" if number else "limits", text, style))
    for number, (error, count) in enumerate(stats.errors):
        words = printable(error) or "no error was given"
        facts.append(("" if number else "failed", f"{count:,} x {words}", "red"))
    if stats.dropped:
        facts.append(("drop box", wait_in_new(stats.dropped), ""))
    if stats.quarantined:
        facts.append(("aside", lie_in_quarantine(stats.quarantined), "yellow"))
    return facts
