"""The shape of a queue: how many items of which age wait in which lane. Pure.

Counting looks at the times of a few items only; see `core.insight.search` for how exact that is.
"""

from __future__ import annotations

from itertools import pairwise

from pq_cli.core.insight.search import count_older, extremes
from pq_cli.core.order import floor
from pq_cli.core.policy import QueueConfig
from pq_cli.core.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pq_cli.core.order import LaneName

AGE_EDGES = (60.0, 300.0, 900.0, 3600.0, 4 * 3600.0, 86400.0, 7 * 86400.0)
"""Where one age bucket ends and the next begins, in seconds; the last bucket is open."""


class LaneShape(Record):
    """One lane: its items by age, youngest bucket first; `starving` are at the aging cap.

    oldest_id, oldest_age: the item created first and its age in seconds.
    """

    priority: int
    total: int
    buckets: tuple[int, ...]
    starving: int
    oldest_id: int
    oldest_age: float


class Slots(Record):
    """One limit. active: how many items of it are at work. most: how many may be. waiting: its
    pending items, what is due included.
    """

    active: int
    most: int
    waiting: int

    @property
    def full(self) -> bool:
        """Whether what is pending must wait until another one ends."""
        return self.active >= self.most


def slots(
    lanes: Mapping[LaneName, Sequence[int]], active: Mapping[str, int], most: Mapping[str, int]
) -> dict[str, Slots]:
    """Return the limits of what waits and what is at work. most: as the policy says it."""
    waiting: dict[str, int] = {}
    for (_, limit), ids in lanes.items():
        if limit:
            waiting[limit] = waiting.get(limit, 0) + len(ids)
    return {
        limit: Slots(
            active=active.get(limit, 0), most=most.get(limit, 1), waiting=waiting.get(limit, 0)
        )
        for limit in sorted({*waiting, *active})
    }


class Backlog(Record):
    """What waits at a moment, what is due included.

    lanes: the ids of each lane that holds any, ascending. created_in: gives for a lane the function
    that says when an id of it was created, Unix seconds. delayed: how many are not due yet;
    next_due: the Unix second at which the first of them is. slots: the limits, by name.
    """

    lanes: Mapping[LaneName, Sequence[int]]
    created_in: Callable[[LaneName], Callable[[int], float]]
    delayed: int
    next_due: float | None
    slots: Mapping[str, Slots]

    def open_lanes(self, limit: str | None) -> dict[LaneName, Sequence[int]]:
        """Return the lanes from which items are taken now, and those of this limit."""
        return {
            lane: ids
            for lane, ids in self.lanes.items()
            if lane[1] in ("", limit) or not self.slots[lane[1]].full
        }


def cap_age(config: QueueConfig, priority: int) -> float | None:
    """Return the age in seconds at which an item of this base stops aging; None: it never ages.

    `ceil((priority - floor) / aging_boost) * aging_threshold_seconds`, where floor is the most
    urgent effective priority that the item can reach.
    """
    steps = priority - floor(config, priority)
    if not config.enable_priority or steps <= 0 or config.aging_boost <= 0:
        return None
    return -(-steps // config.aging_boost) * config.aging_threshold_seconds


def lane_shape(
    config: QueueConfig,
    priority: int,
    ids: Sequence[int],
    created_at: Callable[[int], float],
    now: float,
    t: float,
) -> LaneShape | None:
    """Return the shape of a lane with these ids (ascending), or None when it is empty.

    `created_at(id)` gives Unix seconds; ages are at `now`, aging is at `t`.
    """
    if not ids:
        return None
    at_least = [len(ids), *(count_older(ids, created_at, now - edge) for edge in AGE_EDGES), 0]
    cap = cap_age(config, priority)
    oldest, _ = extremes(ids, created_at)
    return LaneShape(
        priority=priority,
        total=len(ids),
        buckets=tuple(a - b for a, b in pairwise(at_least)),
        starving=0 if cap is None else count_older(ids, created_at, t - cap),
        oldest_id=oldest,
        oldest_age=max(0.0, now - created_at(oldest)),
    )


def lane_shapes(config: QueueConfig, backlog: Backlog, now: float, t: float) -> list[LaneShape]:
    """Return the shape of each priority of which anything waits, whatever its limits."""
    by_priority: dict[int, list[LaneShape]] = {}
    for lane, ids in sorted(backlog.lanes.items()):
        shape = lane_shape(config, lane[0], ids, backlog.created_in(lane), now, t)
        if shape is not None:
            by_priority.setdefault(lane[0], []).append(shape)
    return [_together(shapes) for shapes in by_priority.values()]


def _together(shapes: Sequence[LaneShape]) -> LaneShape:
    """Return the shape of several lanes of one priority."""
    oldest = max(shapes, key=lambda shape: (shape.oldest_age, -shape.oldest_id))
    return oldest.replace(
        total=sum(shape.total for shape in shapes),
        buckets=tuple(map(sum, zip(*(shape.buckets for shape in shapes), strict=True))),
        starving=sum(shape.starving for shape in shapes),
    )
