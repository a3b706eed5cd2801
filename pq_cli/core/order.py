"""The order: how items age, lanes, heads, and which head is next. The one implementation of it.

A lane is all pending items of one base priority and one limit, served strictly by id. The next
item is, among the heads of the lanes, the one with the lowest (effective priority, id); lanes whose
limit is full are left out. In a lane the head is the oldest, so comparing heads is exact, and its
cost does not grow with the queue. With `enable_priority = false` the lowest id of all lanes is
next.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush, merge
from operator import attrgetter, itemgetter

from pq_cli.core.item import MAX_PRIORITY
from pq_cli.core.policy import QueueConfig, QueueState
from pq_cli.core.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import TypeVar

    from pq_cli.core.item import Item

    T = TypeVar("T")
    LaneName = tuple[int, str]
    """Base priority, and name of the limit: empty where there is none."""


def boost(config: QueueConfig, created_at: float, t: float) -> int:
    """Return how many steps an item created at `created_at` has aged at `t` (0 if aging is off)."""
    if not (config.enable_priority and config.enable_aging):
        return 0
    age = t - created_at
    if age < config.aging_threshold_seconds:
        return 0
    steps = int(age // config.aging_threshold_seconds)
    return min(steps * config.aging_boost, config.max_priority_boost)


def effective(config: QueueConfig, priority: int, created_at: float, t: float) -> int:
    """Return the effective priority at `t`: the base, less the boost, never below 1."""
    steps = boost(config, created_at, t)
    return priority - steps if steps < priority else 1


def floor(config: QueueConfig, priority: int) -> int:
    """Return the lowest effective priority that an item of this base can ever reach.

    0 where priorities are off.
    """
    if not config.enable_priority:
        return 0
    return max(1, priority - (config.max_priority_boost if config.enable_aging else 0))


def order_time(config: QueueConfig, now: float, state: Callable[[], QueueState]) -> float:
    """Return the `t` at which order is computed: `now`, or the last `pq age` (manual clock).

    state: asked under the manual clock alone; nothing has aged before the first `pq age`.
    """
    return now if config.aging_clock == "live" else state().aged_at or 0.0


def rank(
    config: QueueConfig, priority: int, item_id: int, created_at: float, t: float
) -> tuple[int, int]:
    """Return what heads are compared by at `t`: (effective priority, id); the lowest is next."""
    if not config.enable_priority:
        return (0, item_id)
    return (effective(config, priority, created_at, t), item_id)


def choose(
    lanes: Iterable[LaneName],
    config: QueueConfig,
    t: float,
    head: Callable[[LaneName], tuple[int, float] | None],
    full: Callable[[str], bool],
) -> tuple[LaneName, int] | None:
    """Return (lane, id) of the item to serve next at `t`, or None when there is none.

    `head(lane)` gives the lowest id of a lane and its `created_at` in Unix seconds, or None;
    `full(limit)` tells whether no more items of a limit may be at work now. They may cost a look at
    the disk, so they are asked only about lanes that can still win. `lanes` come most urgent first.
    """
    winner: LaneName | None = None
    best = (MAX_PRIORITY + 1, 0)
    for lane in lanes:
        priority, limit = lane
        if floor(config, priority) > best[0]:
            break  # and so are those of all lanes behind it
        front = None if limit and full(limit) else head(lane)
        if front is not None and (turn := rank(config, priority, *front, t)) < best:
            winner, best = lane, turn
    return None if winner is None else (winner, best[1])


def serving_order(
    lanes: dict[LaneName, Iterator[T]],
    config: QueueConfig,
    t: float,
    key: Callable[[T], tuple[int, float]] = attrgetter("id", "created_at"),
) -> Iterator[T]:
    """Merge lanes (each an iterator by id) into the order in which they would be served at `t`.

    As if no limit was full: what waits for one keeps its place. `key(entry)` gives (id,
    created_at). Holds one entry a lane, whatever their length.
    """

    def turns(lane: LaneName) -> Iterator[tuple[tuple[int, int], T]]:
        return ((rank(config, lane[0], *key(entry), t), entry) for entry in lanes[lane])

    return (entry for _, entry in merge(*map(turns, lanes), key=itemgetter(0)))


class Lane:
    """The ids of one lane, lowest first. Chunks of a sorted backlog are loaded only when reached.

    A chunk is named by a number; it holds ids in [chunk * size, (chunk + 1) * size).
    `load(chunk)` returns its ids. Ids that were removed elsewhere are dropped lazily.
    """

    def __init__(
        self,
        size: int = 1000,
        chunks: Iterable[int] = (),
        load: Callable[[int], Iterable[int]] | None = None,
    ) -> None:
        self._size = size
        self._load = load
        self._known = set(chunks)
        self._chunks = list(self._known)
        heapify(self._chunks)
        self._loaded = -1
        self._heap: list[int] = []
        self._in: set[int] = set()

    def push(self, item_id: int) -> None:
        """Add an id, in its place; one that is there already stays once."""
        chunk = item_id // self._size
        if self._load is not None and chunk > self._loaded:
            if chunk not in self._known:
                self._known.add(chunk)
                heappush(self._chunks, chunk)
        elif item_id not in self._in:
            self._in.add(item_id)
            heappush(self._heap, item_id)

    def discard(self, item_id: int) -> None:
        """Remove an id if it is there."""
        self._in.discard(item_id)

    def head(self) -> int | None:
        """Return the lowest id, or None when the lane is empty."""
        heap, present = self._heap, self._in
        while True:
            while heap and heap[0] not in present:
                heappop(heap)
            if heap:
                return heap[0]
            if not self._chunks or self._load is None:
                return None
            self._loaded = heappop(self._chunks)
            self._known.discard(self._loaded)
            self._heap = heap = list(self._load(self._loaded))
            heapify(heap)
            self._in = present = set(heap)

    def __len__(self) -> int:
        """Return the number of ids loaded; with `load`, more may wait in chunks."""
        return len(self._in)


class AgedGroup(Record):
    """Pending items of one base priority that have aged to the same effective one.

    `oldest_id` is the lowest id among the `count` items; `boost = priority - effective`
    unless the floor of 1 cut it short.
    """

    priority: int
    effective: int
    count: int
    oldest_id: int


def aged_groups(config: QueueConfig, items: Iterable[Item], t: float) -> list[AgedGroup]:
    """Return what has aged at `t` among pending items, by priority and effective."""
    groups: dict[tuple[int, int], tuple[int, int]] = {}
    for item in items:
        now_at = effective(config, item.priority, item.created_at, t)
        if now_at != item.priority:
            count, oldest = groups.get((item.priority, now_at), (0, item.id))
            groups[item.priority, now_at] = (count + 1, min(oldest, item.id))
    return [
        AgedGroup(priority=base, effective=now_at, count=count, oldest_id=oldest)
        for (base, now_at), (count, oldest) in sorted(groups.items())
    ]
