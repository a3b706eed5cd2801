"""The shape of a queue: how many items of which age wait in which lane. Pure.

Counting looks at the times of a few items only; see `core.insight.search` for how exact that is.
"""

from __future__ import annotations

from itertools import pairwise

from pq_cli.core.insight.search import count_older, extremes
from pq_cli.core.policy import QueueConfig, floors
from pq_cli.core.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

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


class Backlog(Record):
    """What waits at a moment, what is due included.

    lanes: the ids of each lane that holds any, ascending. created_in: gives for a lane the function
    that says when an id of it was created, Unix seconds. delayed: how many are not due yet;
    next_due: the Unix second at which the first of them is.
    """

    lanes: Mapping[int, Sequence[int]]
    created_in: Callable[[int], Callable[[int], float]]
    delayed: int
    next_due: float | None


def cap_age(config: QueueConfig, priority: int) -> float | None:
    """Return the age in seconds at which an item of this base stops aging; None: it never ages.

    `ceil((priority - floor) / aging_boost) * aging_threshold_seconds`, where floor is the most
    urgent effective priority that the item can reach.
    """
    steps = priority - floors(config)[priority]
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
    edges: Sequence[float] = AGE_EDGES,
) -> LaneShape | None:
    """Return the shape of a lane with these ids (ascending), or None when it is empty.

    `created_at(id)` gives Unix seconds; ages are at `now`, aging is at `t`.
    """
    if not ids:
        return None
    at_least = [len(ids), *(count_older(ids, created_at, now - edge) for edge in edges), 0]
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
