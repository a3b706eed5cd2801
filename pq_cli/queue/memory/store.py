"""MemoryQueue: the verbs without a disk, for tests and for programs that need only the order."""

from __future__ import annotations

from collections import Counter
from heapq import heappop, heappush
from secrets import token_hex
from threading import Condition, RLock
from typing import TYPE_CHECKING

from pq_cli.core import events, transitions
from pq_cli.core.arguments import valid_chunk
from pq_cli.core.item import LIVE, Item, State, printable
from pq_cli.core.order import Lane, choose
from pq_cli.core.policy import QueueConfig, QueueState
from pq_cli.core.record import Record
from pq_cli.errors import NoSuchItemError, PqError, UsageError
from pq_cli.queue.followers import ends_before
from pq_cli.queue.looking import POLL
from pq_cli.queue.memory.arrivals import MemoryArrivals
from pq_cli.queue.memory.attending import MemoryAttends
from pq_cli.queue.memory.events import MemoryEvents
from pq_cli.queue.memory.followers import MemoryFollowers
from pq_cli.queue.memory.looking import MemoryLooks
from pq_cli.queue.request import (
    Admitted,
    Request,
    check_key,
    check_room,
    checked,
    measured,
    new_item,
    standing,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from typing import Any, BinaryIO

    from pq_cli.core.order import LaneName


class MemoryStaged(Record):
    """A payload without an item yet."""

    content: bytes
    request: Request


class MemoryStore(MemoryAttends, MemoryLooks):
    """A `Store` in memory; see there for what each method promises. A transaction is a lock."""

    name = ""
    where = "memory"

    def __init__(self, config: QueueConfig, clock: Callable[[], float]) -> None:
        super().__init__(clock)
        self.config = config
        self._lock = RLock()  # reentrant: what looks takes it too, also within a transaction
        self._changed = Condition(self._lock)
        self._items: dict[int, Item] = {}
        self._payloads: dict[int, bytes] = {}
        self._logs: dict[int, dict[int, bytes]] = {}
        self._lanes: dict[LaneName, Lane] = {}
        self._at_work: Counter[str] = Counter()
        self._due: list[tuple[float, int]] = []
        self._leases: list[tuple[float, int, int]] = []
        self._keys: dict[str, int] = {}
        self.followers = MemoryFollowers(self._items.get)
        self.untold = self.followers.untold
        self._live = 0
        self._last_id = 0
        self._state = QueueState()
        self._uuid = token_hex(16)
        self.origins: dict[str, dict[bytes, None]] = {}
        self.readers: dict[str, str] = {}
        self._events = MemoryEvents(self._lock)

    def transaction(self) -> AbstractContextManager[object]:
        return self._lock

    def state(self) -> QueueState:
        return self._state

    def set_state(self, state: QueueState) -> None:
        self._state = state
        self._changed.notify_all()

    def close(self) -> None:
        """Keep everything: it is nowhere else."""

    def policy(self) -> str:
        return ""

    def set_policy(self, text: str) -> None:
        raise UsageError("a queue in memory has the policy that it was made with")

    # -- finding ---------------------------------------------------------------

    def find(self, item_id: int, claim: int | None = None) -> Item:
        with self._lock:
            item = self._items.get(item_id)
        if item is None:
            raise NoSuchItemError(f"there is no item {item_id}")
        return item

    def owner(self, key: str) -> Item | None:
        return self._items.get(self._keys.get(key, 0))

    def next(self, t: float) -> Item | None:
        found = choose(sorted(self._lanes), self.config, t, self._head, self._full)
        return None if found is None else self._items[found[1]]

    def _head(self, lane: LaneName) -> tuple[int, float] | None:
        item_id = self._lanes[lane].head()
        if item_id is None:
            del self._lanes[lane]  # limits come and go
            return None
        return item_id, self._items[item_id].created_at

    def _full(self, limit: str) -> bool:
        return self._at_work[limit] >= self.config.most(limit)

    def has_slot(self, limit: str) -> bool:
        return not self._full(limit)

    def overdue(self, now: float) -> Iterator[tuple[Item, str]]:
        while self._leases and self._leases[0][0] <= now:
            until, item_id, claims = heappop(self._leases)
            item = self._items.get(item_id)
            current = item is not None and item.state is State.ACTIVE and item.claims == claims
            if item is not None and current and item.lease_until == until:
                yield item, transitions.LEASE_OVER

    def promote(self, now: float) -> None:
        while self._due and self._due[0][0] <= now:
            when, item_id = heappop(self._due)
            item = self._items.get(item_id)
            if item is not None and item.state is State.DELAYED and item.not_before == when:
                self._move(item, transitions.due(item))

    def next_event(self) -> float | None:
        times = [heap[0][0] for heap in (self._due, self._leases) if heap]
        return min(times, default=None)

    def idle(self, seconds: float) -> None:
        with self._changed:
            waiting = (limit for (_, limit), ids in self._lanes.items() if ids)
            if self._state.paused is not None or all(
                limit and self._full(limit) for limit in waiting
            ):
                self._changed.wait(min(POLL, seconds))

    def ear(self) -> None:
        """Nobody tells what comes."""

    def look_in(self) -> None:
        """Nothing waits outside."""

    # -- keeping ---------------------------------------------------------------

    def put(self, before: Item, after: Item) -> Item:
        return self._move(before, after)

    def removals(self) -> Iterator[tuple[float, list[int]]]:
        together: dict[float, list[int]] = {}
        for item in self.items([State.REMOVED], 0.0, 0.0):
            together.setdefault(item.kept_until or 0.0, []).append(item.id)
        return iter(sorted(together.items(), reverse=True))

    def expire(self, now: float) -> int:
        over = [i for i in self.items([State.REMOVED], 0.0, 0.0) if (i.kept_until or 0.0) <= now]
        for item in over:
            self.drop(item)
        return len(over)

    def stage(self, payload: bytes | BinaryIO, request: Request) -> MemoryStaged:
        if not isinstance(payload, bytes):
            payload = bytes(valid_chunk(payload.read()))
        return MemoryStaged(content=payload, request=request)

    def stage_many(
        self, records: Sequence[tuple[bytes, Request]]
    ) -> tuple[list[MemoryStaged], PqError | None]:
        batch: list[MemoryStaged] = []
        try:
            batch += (self.stage(payload, checked(request)) for payload, request in records)
        except PqError as error:
            return batch, error
        return batch, None

    def stage_file(self, path: str, request: Request, *, move: bool) -> MemoryStaged:
        raise UsageError(f"{printable(path)}: a queue in memory takes payloads, not FILEs")

    def prepare(self, batch: Sequence[Any], now: float) -> None:
        pass

    def admit(self, batch: Sequence[Any], now: float) -> Admitted:
        admitted = Admitted.nothing()
        for staged in batch:
            try:
                self._admit(staged, now, admitted)
            except PqError as error:
                return admitted.replace(error=error)
        return admitted

    def _admit(self, staged: MemoryStaged, now: float, admitted: Admitted) -> None:
        request = staged.request
        ends = ends_before(self, request.ids_before) if request.after else None
        item = new_item(request, self._last_id + 1, now, self.config, ends)
        other = check_key(item, self.owner, request.if_exists)
        stands = standing(other, item, request.if_exists)
        if other is not None and stands is not None:
            if stands is not other:
                self.note(events.event_of("changed", self._move(other, stands), now))
            return admitted.stand(stands, *measured(staged.content))
        if other is not None:
            self.drop(other)
        elif item.state in LIVE:
            check_room(self.config.max_items, self._live)
        self.note(events.event_of("enqueued", item, now))
        admitted.items.append(self.enter(item, staged.content))
        return None

    def enter(self, item: Item, content: bytes) -> Item:
        """Keep a new item under the next id."""
        self._last_id += 1
        self._payloads[self._last_id] = content
        size, checksum = measured(content)
        return self._move(None, item.replace(id=self._last_id, size=size, checksum=checksum))

    def finish(self, batch: Sequence[Any], admitted: int) -> None:
        """Leave what was staged to the garbage collector."""

    def _move(self, before: Item | None, after: Item) -> Item:
        """Store an item and keep the lanes, heaps, keys and count in step with it."""
        self.followers.moved(before, after)
        if before is not None:
            self._left(before)
        if after.state is State.PENDING:
            self._lanes.setdefault(after.lane, Lane()).push(after.id)
            self._changed.notify()
        elif after.state is State.DELAYED and after.not_before is not None:
            heappush(self._due, (after.not_before, after.id))
        elif after.state is State.ACTIVE and after.lease_until is not None:
            heappush(self._leases, (after.lease_until, after.id, after.claims))
        if after.state is State.ACTIVE and after.limit is not None:
            self._at_work[after.limit] += 1
        was = before is not None and before.state in LIVE
        lives = after.state in LIVE
        self._live += lives - was
        if after.key is not None and lives:
            self._keys[after.key] = after.id
        elif after.key is not None and was:
            self._keys.pop(after.key, None)
        self._items[after.id] = after
        return after

    def _left(self, before: Item) -> None:
        """Take an item out of its lane, or free the slot that it held."""
        if before.state is State.PENDING and before.lane in self._lanes:
            self._lanes[before.lane].discard(before.id)
        elif before.state is State.ACTIVE and before.limit is not None:
            self._at_work[before.limit] -= 1
            if not self._at_work[before.limit]:
                del self._at_work[before.limit]
            self._changed.notify()

    def put_many(self, changes: Sequence[tuple[Item, Item]]) -> None:
        for before, after in changes:
            self._move(before, after)

    def settle(self) -> int:
        return 0

    def drop(self, item: Item, *, later: bool = False) -> None:
        self.followers.moved(item, None)
        self._left(item)
        if item.state in LIVE:
            self._live -= 1
            if item.key is not None:
                self._keys.pop(item.key, None)
        self._logs.pop(item.id, None)
        del self._items[item.id], self._payloads[item.id]

    # -- to and from other queues ------------------------------------------------

    def uuid(self, *, lasting: bool = False) -> str:
        return self._uuid

    def arrivals(self) -> MemoryArrivals:
        return MemoryArrivals(self)

    def taken(self, realm: str) -> Iterator[bytes]:
        with self._lock:
            return iter(list(self.origins.get(realm, ())))

    def reader_of(self, realm: str) -> str | None:
        return self.readers.get(realm)

    def note(self, event: dict[str, Any]) -> None:
        self._events.note(event)
