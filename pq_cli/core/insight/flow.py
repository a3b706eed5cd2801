"""The flow through a queue: what was done lately, and how long it waited, from the log. Pure."""

from __future__ import annotations

from pq_cli.core.record import Record
from pq_cli.core.timefmt import parse_time
from pq_cli.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

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
    lanes: dict[int, _Lane] = {}
    second = set[str]()  # the claims that are their item's first by a worker, after its submit's
    for record in records:
        priority, claim = record.get("priority"), str(record.get("claim"))
        if record.get("own") is True:
            second.add(f"{claim.partition('.')[0]}.2")
            continue
        if isinstance(priority, int) and now - WINDOW_SECONDS <= _time(record) <= now:
            first = claim.endswith(".1") or claim in second
            lanes.setdefault(priority, _Lane()).add(record, first)
    return [lane.flow(priority) for priority, lane in sorted(lanes.items()) if lane.moved()]


class _Lane:
    def __init__(self) -> None:
        self.done = self.failed = 0
        self.waited: list[float] = []
        self.took: list[float] = []

    def add(self, record: dict[str, Any], first: bool) -> None:
        event = record.get("event")
        if event == "claimed" and first:
            self.waited += _number(record.get("waited"))
        elif event == "done":
            self.done += 1
            self.took += _number(record.get("took"))
        elif event in ("failed", "lost"):
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


def _number(value: object) -> list[float]:
    fits = isinstance(value, int | float) and not isinstance(value, bool)
    return [float(value)] if fits else []  # type: ignore[arg-type]


def _time(record: dict[str, Any]) -> float:
    try:
        return parse_time(str(record.get("at")))
    except UsageError:
        return -1.0
