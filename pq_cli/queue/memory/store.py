"""MemoryStore: a store without a disk; `queue.store` says what its methods promise."""

from __future__ import annotations

import io
from collections import Counter
from heapq import heappop, heappush
from itertools import chain, groupby
from secrets import token_hex
from threading import Condition, RLock
from typing import TYPE_CHECKING

from pq_cli.core import events, transitions
from pq_cli.core.arguments import valid_chunk
from pq_cli.core.insight.fact import Fact
from pq_cli.core.insight.shape import Backlog, slots
from pq_cli.core.item import LIVE, MAX_HISTORY, Item, State, printable
from pq_cli.core.order import Lane, choose, serving_order
from pq_cli.core.policy import QueueConfig, QueueState
from pq_cli.errors import NoSuchItemError, PqError, UsageError
from pq_cli.queue.common import Common
from pq_cli.queue.followers import ends_before
from pq_cli.queue.looking import POLL
from pq_cli.queue.memory.arrivals import MemoryArrivals, MemoryPayload, taken_in
from pq_cli.queue.memory.parts import MemoryAttends, MemoryEvents, MemoryFollowers, MemoryTail
from pq_cli.queue.request import Admitted, Request, check_key, check_room, new_item

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from typing import Any, BinaryIO, NoReturn

    from pq_cli.core.order import LaneName


class MemoryStore(MemoryAttends, Common):
    """A `Store` in memory. A transaction is a lock."""

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
        self._in_state: Counter[State] = Counter()
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

    def promote(self, now: float, *, at_once: bool = False) -> tuple[()]:
        while self._due and self._due[0][0] <= now:
            when, item_id = heappop(self._due)
            item = self._items.get(item_id)
            if item is not None and item.state is State.DELAYED and item.not_before == when:
                self.put(item, transitions.due(item))
        return ()

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

    def put(self, before: Item | None, after: Item, *, later: bool = False) -> Item:
        """Keep an item, and the lanes, heaps, keys and counts in step; before: None for a new one.

        See `Store.put`.
        """
        self.followers.moved(before, after)
        if before is not None:
            self._leave(before)
        self._items[after.id] = after
        self._in_state[after.state] += 1
        if after.state is State.PENDING:
            self._lanes.setdefault(after.lane, Lane()).push(after.id)
            self._changed.notify()
        elif after.state is State.DELAYED and after.not_before is not None:
            heappush(self._due, (after.not_before, after.id))
        elif after.state is State.ACTIVE and after.lease_until is not None:
            heappush(self._leases, (after.lease_until, after.id, after.claims))
        if after.state is State.ACTIVE and after.limit is not None:
            self._at_work[after.limit] += 1
        if after.key is not None and after.state in LIVE:
            self._keys[after.key] = after.id
        return after

    def _leave(self, before: Item) -> None:
        """Let an item be nowhere: not in its lane or slot, not under its key."""
        self._in_state[before.state] -= 1
        if before.state is State.PENDING and before.lane in self._lanes:
            self._lanes[before.lane].discard(before.id)
        elif before.state is State.ACTIVE and before.limit is not None:
            self._at_work[before.limit] -= 1
            if not self._at_work[before.limit]:
                del self._at_work[before.limit]
            self._changed.notify()
        if before.key is not None and before.state in LIVE:
            self._keys.pop(before.key, None)

    def drop(self, item: Item, *, later: bool = False) -> None:
        self.followers.moved(item, None)
        self._leave(item)
        self._logs.pop(item.id, None)
        del self._items[item.id], self._payloads[item.id]

    def settle(self) -> int:
        return 0

    def removals(self) -> Iterator[tuple[float, list[int]]]:
        removed = groupby(self.items([State.REMOVED], 0.0, 0.0), lambda i: i.kept_until or 0.0)
        return iter(sorted(((at, [i.id for i in items]) for at, items in removed), reverse=True))

    def expire(self, now: float) -> int:
        over = [i for i in self.items([State.REMOVED], 0.0, 0.0) if (i.kept_until or 0.0) <= now]
        for item in over:
            self.drop(item)
        return len(over)

    def stage(self, payload: bytes | BinaryIO, request: Request) -> MemoryPayload:
        if not isinstance(payload, bytes):
            payload = bytes(valid_chunk(payload.read()))
        return taken_in(payload, request)

    def stage_file(self, path: str, request: Request, *, move: bool) -> MemoryPayload:
        raise UsageError(f"{printable(path)}: a queue in memory takes payloads, not FILEs")

    def admit(self, batch: Sequence[Any], *, at_once: bool = False) -> Admitted:
        admitted, now = Admitted.nothing(), self.now()
        for staged in batch:
            try:
                self._admit(staged, now, admitted)
            except PqError as error:
                return admitted.replace(error=error)
        return admitted

    def _admit(self, staged: MemoryPayload, now: float, admitted: Admitted) -> None:
        request = staged.request
        ends = ends_before(self, request.ids_before) if request.after else None
        said = {"size": staged.size, "checksum": staged.checksum}
        item = new_item(request, self._last_id + 1, now, self.config, ends, **said)
        rule = request.if_exists
        other = self.check(item, rule)
        if other is None or admitted.stand(other, item, rule, self.put_changed) is None:
            if other is not None:
                self.drop(other)
            self.note(events.event_of("enqueued", item, now))
            admitted.items.append(self.enter(item, staged))

    def check(self, item: Item, if_exists: str) -> Item | None:
        """As `check_key`, and raise QueueFullError if there is no room for one more."""
        other = check_key(item, self.owner, if_exists)
        if other is None and item.state in LIVE:
            check_room(self.config.max_items, self.count(LIVE))
        return other

    def enter(self, item: Item, payload: MemoryPayload) -> Item:
        """Keep a new item under the next id."""
        self._last_id += 1
        self._payloads[self._last_id] = payload.content
        return self.put(None, item.replace(id=self._last_id))

    def finish(self, batch: Sequence[Any], admitted: int) -> None:
        """Leave what was staged to the garbage collector."""

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

    # -- looking -----------------------------------------------------------------

    def items(self, states: Sequence[State], now: float, t: float) -> Iterator[Item]:
        with self._lock:
            everything = [transitions.due(item, now) for item in self._items.values()]
        return chain(*(self._listed(everything, state, t) for state in states))

    def _listed(self, everything: list[Item], state: State, t: float) -> Iterator[Item]:
        items = [item for item in everything if item.state is state]
        when = "not_before" if state is State.DELAYED else "kept_until"
        items.sort(key=lambda item: (getattr(item, when) or 0.0, item.id))
        if state is not State.PENDING:
            return iter(items)
        lanes: dict[LaneName, list[Item]] = {}
        for item in items:
            lanes.setdefault(item.lane, []).append(item)
        iterators = {lane: iter(waiting) for lane, waiting in lanes.items()}
        return serving_order(iterators, self.config, t)

    def lost(self, items: Sequence[Item]) -> list[Item]:
        with self._lock:
            known = ((item, self._items.get(item.id, item.replace(id=0))) for item in items)
            return [i for i, n in known if (n.id, n.state, n.claims) != (i.id, i.state, i.claims)]

    def count(self, states: Iterable[State]) -> int:
        return sum(self._in_state[state] for state in set(states))

    def suggest(self, states: Sequence[State], prefix: str) -> Iterator[Item]:
        with self._lock:
            fitting = [i for i in self._items.values() if (i.claim or str(i.id)).startswith(prefix)]
        return iter([item for state in states for item in fitting if item.state is state])

    def suggest_keys(self, prefix: str) -> list[str]:
        with self._lock:
            return sorted(k for k in self._keys if k.startswith(prefix) and printable(k) == k)

    def open_payload(self, item: Item) -> BinaryIO:
        with self._lock:
            return io.BytesIO(self._payloads[self.find(item.id).id])

    def limits(self) -> set[str]:
        with self._lock:
            return {limit for _, limit in self._lanes if limit} | set(self._at_work)

    def backlog(self, now: float) -> Backlog:
        pending = {item.id: item for item in self.items([State.PENDING], now, now)}
        due = [item.not_before for item in self.items([State.DELAYED], now, now)]
        lanes: dict[LaneName, list[int]] = {}
        for item_id in sorted(pending):
            lanes.setdefault(pending[item_id].lane, []).append(item_id)
        return Backlog(
            lanes=dict(sorted(lanes.items())),
            created_in=lambda _: lambda item_id: pending[item_id].created_at,
            delayed=len(due),
            next_due=due[0] if due else None,
            slots=slots(lanes, dict(self._at_work), self.config.limits),
        )

    def keep_log(self, item: Item, content: bytes) -> None:
        logs = self._logs.setdefault(item.id, {})
        logs[item.claims] = content
        for old in sorted(logs)[:-MAX_HISTORY]:
            del logs[old]

    def logs(self, item: Item) -> dict[int, str]:
        return {claim: f"{item.id}.{claim}" for claim in sorted(self._logs.get(item.id, ()))}

    def open_log(self, item: Item, claim: int) -> BinaryIO:
        try:
            return io.BytesIO(self._logs[item.id][claim])
        except KeyError:
            raise FileNotFoundError(f"{item.id}.{claim} left no log") from None

    def at_path(self, path: str) -> NoReturn:
        raise UsageError(f"{printable(path)}: a queue in memory has no paths: give an id")

    def facts(self) -> Iterator[Fact]:
        yield Fact(name="items", value="in memory")

    def note(self, event: dict[str, Any]) -> None:
        self._events.note(event)

    def events(self) -> Iterator[dict[str, Any]]:
        return iter(self._events.after(0))

    def tail(self, after: int) -> MemoryTail:
        return MemoryTail(self._events, after)
