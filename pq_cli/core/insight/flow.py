"""The flow through a queue: what was done lately, and how long it waited, from the log. Pure."""

from __future__ import annotations

from pq_cli.core.insight.telling import tellings
from pq_cli.core.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from pq_cli.core.insight.telling import LogLine

WINDOW_SECONDS = 3600.0
"""How far back the flow looks."""


class LaneFlow(Record):
    """What became of one lane's items within the window. Times in seconds; None: none known.

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


def quantile(values: Sequence[float], share: float) -> float | None:
    """Return the nearest-rank quantile (the value that `share` of them do not exceed)."""
    if not values:
        return None
    rank = max(1, -(-len(values) * share // 1))
    return sorted(values)[int(rank) - 1]


def flows(records: Iterable[dict[str, Any]], now: float) -> list[LaneFlow]:
    """Return the flow of each lane in the last hour before `now`; malformed records are skipped."""
    counted = Flows(now)
    for told in tellings(records):
        counted.add(told)
    return counted.lanes()


class Flows:
    """Counts the flow of each lane in the last hour before `now`, Unix seconds."""

    def __init__(self, now: float) -> None:
        self._now = now
        self._lanes: dict[int, _Lane] = {}

    def add(self, told: LogLine) -> None:
        """Count one event, if it was within the hour."""
        if self._now - WINDOW_SECONDS <= told.at <= self._now:
            self._lanes.setdefault(told.priority, _Lane()).add(told)

    def lanes(self) -> list[LaneFlow]:
        """Return the flow of each lane in which something moved."""
        return [lane.flow(n) for n, lane in sorted(self._lanes.items()) if lane.moved()]


class _Lane:
    def __init__(self) -> None:
        self.done = self.failed = 0
        self.waited: list[float] = []
        self.took: list[float] = []

    def add(self, told: LogLine) -> None:
        if told.waited is not None:
            self.waited.append(told.waited)
        if told.event == "done":
            self.done += 1
            self.took += [] if told.took is None else [told.took]
        elif told.event in ("failed", "lost"):
            self.failed += 1

    def moved(self) -> bool:
        return bool(self.done or self.failed or self.waited)

    def flow(self, priority: int) -> LaneFlow:
        return LaneFlow(
            priority=priority,
            done=self.done,
            failed=self.failed,
            waited_median=quantile(self.waited, 0.5),
            waited_p95=quantile(self.waited, 0.95),
            took_median=quantile(self.took, 0.5),
        )
