"""The history of a queue: what went in, out and failed, bucket by bucket, from the log. Pure."""

from __future__ import annotations

from pq_cli.core.insight.flow import Flows
from pq_cli.core.insight.telling import tellings
from pq_cli.core.item import MAX_PRIORITY, MIN_PRIORITY
from pq_cli.core.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from pq_cli.core.insight.flow import LaneFlow
    from pq_cli.core.insight.telling import LogLine

KINDS = ("in", "out", "failed")
"""What is counted: items that came, items that were done, attempts that failed or were lost."""
_KIND_OF = {"enqueued": "in", "imported": "in", "done": "out", "failed": "failed", "lost": "failed"}
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
    counts: dict[str, dict[int, tuple[int, ...]]]

    def lanes(self) -> list[int]:
        """Return the lanes in which anything moved, the most urgent first."""
        return sorted({lane for lanes in self.counts.values() for lane in lanes})

    def row(self, kind: str, lane: int | None = None) -> tuple[int, ...]:
        """Return the counts of one lane, bucket by bucket; None: of all lanes together."""
        lanes, none = self.counts[kind], (0,) * self.buckets
        rows = lanes.values() if lane is None else [lanes.get(lane, none)]
        return tuple(map(sum, zip(none, *rows, strict=True)))


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


def history(records: Iterable[dict[str, Any]], now: float) -> History:
    """Return what the log's records tell of the time before `now`; malformed ones are skipped."""
    hour, day = _Window(HOUR_STEP, HOUR_BUCKETS, now), _Window(DAY_STEP, DAY_BUCKETS, now)
    flows, waits, since = Flows(now), dict[int, list[int]](), None
    for told in tellings(records):
        if not MIN_PRIORITY <= told.priority <= MAX_PRIORITY or told.at > now:
            continue
        since = told.at if since is None else min(since, told.at)
        flows.add(told)
        hour.add(told)
        if day.add(told) and told.waited is not None:
            row = waits.setdefault(told.priority, [0] * (len(WAIT_EDGES) + 1))
            row[sum(told.waited >= edge for edge in WAIT_EDGES)] += 1
    return History(
        since=since,
        hour=hour.counted(),
        day=day.counted(),
        waits={lane: tuple(row) for lane, row in sorted(waits.items())},
        flows=tuple(flows.lanes()),
    )


class _Window:
    """Counts into buckets of `step` seconds, the last of which is that of `now`."""

    def __init__(self, step: float, buckets: int, now: float) -> None:
        self._step, self._buckets = step, buckets
        self._start = (now // step - (buckets - 1)) * step
        self._counts: dict[str, dict[int, list[int]]] = {kind: {} for kind in KINDS}

    def add(self, told: LogLine) -> bool:
        """Count an event, and tell whether it was within the window."""
        bucket = int((told.at - self._start) // self._step)
        inside = 0 <= bucket < self._buckets
        kind = _KIND_OF.get(told.event)
        if inside and kind is not None:
            lanes = self._counts[kind]
            lanes.setdefault(told.priority, [0] * self._buckets)[bucket] += 1
        return inside

    def counted(self) -> Window:
        counts = {
            kind: {lane: tuple(row) for lane, row in sorted(lanes.items())}
            for kind, lanes in self._counts.items()
        }
        return Window(start=self._start, step=self._step, buckets=self._buckets, counts=counts)


def merged(row: Sequence[int], width: int) -> tuple[int, ...]:
    """Return a row in at most `width` buckets: neighbours added up, the last ones always whole."""
    each = max(1, -(-len(row) // max(1, width)))
    first = len(row) % each
    rest = tuple(sum(row[at : at + each]) for at in range(first, len(row), each))
    return (sum(row[:first]), *rest) if first else rest
