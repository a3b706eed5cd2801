"""What the log tells of a queue's past: its attempts, and what went in, out and failed. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from pq_cli.core.item import MAX_PRIORITY, MIN_PRIORITY
from pq_cli.core.record import Record
from pq_cli.core.timefmt import time_of

ENDS = ("done", "failed", "deferred", "lost", "released", "cancelled")
"""The events that end an attempt; of `failed`, the state says whether it was the last one."""
FIELDS = (
    "number", "id", "claim", "name", "how", "state", "exit", "waited", "took", "at", "by", "error",
)  # fmt: skip
KINDS = ("in", "out", "failed")
"""What is counted: items that came, items that were done, attempts that failed or were lost."""
_KIND_OF = {"enqueued": "in", "imported": "in", "done": "out", "failed": "failed", "lost": "failed"}
_HOUR = 3600.0
HOUR_STEP, HOUR_BUCKETS = 60.0, 60
DAY_STEP, DAY_BUCKETS = 900.0, 96
"""Seconds of a bucket, and how many there are. They begin at whole minutes and quarters (UTC)."""
WAIT_EDGES = (1.0, 10.0, 60.0, 300.0, 900.0, 3600.0, 4 * 3600.0, 86400.0)
"""Where one bucket of waiting times ends and the next begins, in seconds; the last is open."""


class Window(Record):
    """Counts over a time. start: Unix seconds at which the first bucket begins. step: its seconds.

    buckets: how many there are; the last is that of now, and not full yet. counts: kind (KINDS) ->
    lane -> a count a bucket; lanes in which nothing moved have none.
    """

    start: float
    step: float
    buckets: int
    counts: dict[str, dict[int, list[int]]]

    def lanes(self) -> list[int]:
        """Return the lanes in which anything moved, the most urgent first."""
        return sorted({lane for lanes in self.counts.values() for lane in lanes})

    def row(self, kind: str, lane: int | None = None) -> tuple[int, ...]:
        """Return the counts of one lane, bucket by bucket; None: of all lanes together."""
        lanes, none = self.counts[kind], (0,) * self.buckets
        rows = lanes.values() if lane is None else [lanes.get(lane, none)]
        return tuple(map(sum, zip(none, *rows, strict=True)))


class LaneFlow(Record):
    """What became of one lane's items in the last hour. Times in seconds; None: none known.

    done, failed: attempts that ended so. waited: from enqueue to the first claim of a worker; the
    claim that `submit` makes for itself, before anybody could wait, is none. took: of the attempts
    that were done.
    """

    priority: int
    done: int
    failed: int
    waited_median: float | None
    waited_p95: float | None
    took_median: float | None


class History(Record):
    """The last hour and day. flows: see `LaneFlow`.

    since: the time of the oldest record, or None without any; what was before it, nobody knows:
    the log is bounded. waits: lane -> how many items waited how long (WAIT_EDGES), in the day.
    """

    since: float | None
    hour: Window
    day: Window
    waits: dict[int, tuple[int, ...]]
    flows: tuple[LaneFlow, ...]


def attempts(records: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield what is known of each attempt, in the order of their ends: FIELDS, None for unknown.

    waited: seconds from enqueue to its claim. took: seconds from the claim to its end.
    """
    waited: dict[str, Any] = {}
    for record in records:
        event, claim = record.get("event"), record.get("claim")
        if not isinstance(claim, str):
            continue
        if event == "claimed":
            waited[claim] = record.get("waited")
        elif event in ENDS:
            known = {**record, "how": event, "waited": waited.pop(claim, None)}
            yield {field: known.get(field) for field in FIELDS}


def history(records: Iterable[dict[str, Any]], now: float) -> History:
    """Return what the log's records tell of the time before `now`; malformed ones are skipped."""
    hour, day = _window(HOUR_STEP, HOUR_BUCKETS, now), _window(DAY_STEP, DAY_BUCKETS, now)
    lately, waits, since = dict[int, list[LogLine]](), dict[int, list[int]](), None
    for told in tellings(records):
        if not MIN_PRIORITY <= told.priority <= MAX_PRIORITY or told.at > now:
            continue
        since = told.at if since is None else min(since, told.at)
        ended = _KIND_OF.get(told.event) in ("out", "failed")
        if told.at >= now - _HOUR and (ended or told.waited is not None):
            lately.setdefault(told.priority, []).append(told)
        _count(told, hour)
        if _count(told, day) and told.waited is not None:
            row = waits.setdefault(told.priority, [0] * (len(WAIT_EDGES) + 1))
            row[sum(told.waited >= edge for edge in WAIT_EDGES)] += 1
    return History(
        since=since,
        hour=hour,
        day=day,
        waits={lane: tuple(row) for lane, row in sorted(waits.items())},
        flows=tuple(_flow(lane, lines) for lane, lines in sorted(lately.items())),
    )


def _window(step: float, buckets: int, now: float) -> Window:
    """Return an empty window whose last bucket is that of `now`."""
    start = (now // step - (buckets - 1)) * step
    return Window(start=start, step=step, buckets=buckets, counts={kind: {} for kind in KINDS})


def _count(told: LogLine, window: Window) -> bool:
    """Count an event, and tell whether it was within the window."""
    bucket = int((told.at - window.start) // window.step)
    inside = 0 <= bucket < window.buckets
    kind = _KIND_OF.get(told.event)
    if inside and kind is not None:
        lanes = window.counts[kind]
        lanes.setdefault(told.priority, [0] * window.buckets)[bucket] += 1
    return inside


def _flow(priority: int, lines: Sequence[LogLine]) -> LaneFlow:
    kinds = [_KIND_OF.get(line.event) for line in lines]
    waited = [line.waited for line in lines if line.waited is not None]
    return LaneFlow(
        priority=priority,
        done=kinds.count("out"),
        failed=kinds.count("failed"),
        waited_median=quantile(waited, 0.5),
        waited_p95=quantile(waited, 0.95),
        took_median=quantile([line.took for line in lines if line.took is not None], 0.5),
    )


def quantile(values: Sequence[float], share: float) -> float | None:
    """Return the nearest-rank quantile (the value that `share` of them do not exceed)."""
    if not values:
        return None
    rank = max(1, -(-len(values) * share // 1))
    return sorted(values)[int(rank) - 1]


def merged(row: Sequence[int], width: int) -> tuple[int, ...]:
    """Return a row in at most `width` buckets: neighbours added up, the last ones always whole."""
    each = max(1, -(-len(row) // max(1, width)))
    first = len(row) % each
    rest = tuple(sum(row[at : at + each]) for at in range(first, len(row), each))
    return (sum(row[:first]), *rest) if first else rest


class LogLine(NamedTuple):
    """One event of an item. at: Unix seconds. waited, took: seconds, None where it tells none.

    waited: from enqueue to the first claim of a worker; the claim that `submit` makes for itself,
    before anybody could wait, is none. took: of an attempt that was done.
    """

    at: float
    event: str
    priority: int
    waited: float | None
    took: float | None


def tellings(records: Iterable[dict[str, Any]]) -> Iterator[LogLine]:
    """Yield what records of the log tell, in their order; malformed ones are skipped."""
    second = set[str]()  # the claims that are their item's first by a worker, after its submit's
    for record in records:
        event, priority = record.get("event"), record.get("priority")
        claim = str(record.get("claim"))
        if record.get("own") is True:
            second.add(f"{claim.partition('.')[0]}.2")
            continue
        at = time_of(record.get("at"))
        if type(priority) is not int or not isinstance(event, str) or at is None:
            continue
        first = event == "claimed" and (claim.endswith(".1") or claim in second)
        yield LogLine(
            at=at,
            event=event,
            priority=priority,
            waited=_number(record.get("waited")) if first else None,
            took=_number(record.get("took")) if event == "done" else None,
        )


def _number(value: object) -> float | None:
    fits = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if fits else None  # type: ignore[arg-type]
