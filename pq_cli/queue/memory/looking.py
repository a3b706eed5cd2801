"""Looking at a queue in memory; `queue.store` says what its methods promise."""

from __future__ import annotations

import io
from itertools import chain
from typing import TYPE_CHECKING, cast

from pq_cli.core import transitions
from pq_cli.core.insight.fact import Fact
from pq_cli.core.insight.shape import Backlog, slots
from pq_cli.core.item import MAX_HISTORY, Item, State, printable
from pq_cli.core.order import serving_order
from pq_cli.core.policy import QueueConfig
from pq_cli.errors import NoSuchItemError, UsageError
from pq_cli.queue.memory.events import MemoryEvents, MemoryTail

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from threading import RLock
    from typing import Any, BinaryIO, NoReturn

    from pq_cli.core.order import Lane, LaneName


class MemoryLooks:
    """The part of `MemoryStore` that only looks, and what belongs to attempts."""

    config: QueueConfig
    _lock: RLock
    _items: dict[int, Item]
    _at_work: Counter[str]
    _lanes: dict[LaneName, Lane]
    _payloads: dict[int, bytes]
    _logs: dict[int, dict[int, bytes]]
    _keys: dict[str, int]
    _events: MemoryEvents

    def items(self, states: Sequence[State], now: float, t: float) -> Iterator[Item]:
        groups: dict[State, list[Item]] = {state: [] for state in State}
        with self._lock:
            everything = list(self._items.values())
        for item in everything:
            shown = transitions.due(item, now)
            groups[shown.state].append(shown)
        return chain(*(self._sorted(groups[state], state, t) for state in states))

    def _sorted(self, items: list[Item], state: State, t: float) -> Iterator[Item]:
        if state is State.DELAYED:
            return iter(sorted(items, key=lambda i: (i.not_before or 0.0, i.id)))
        if state is State.REMOVED:
            return iter(sorted(items, key=lambda i: (i.kept_until or 0.0, i.id)))
        items.sort(key=lambda i: i.id)
        if state is not State.PENDING:
            return iter(items)
        lanes: dict[LaneName, list[Item]] = {}
        for item in items:
            lanes.setdefault(item.lane, []).append(item)
        iterators = {lane: iter(waiting) for lane, waiting in lanes.items()}
        return serving_order(iterators, self.config, t, lambda i: (i.id, i.created_at))

    def lost(self, items: Sequence[Item]) -> list[Item]:
        with self._lock:
            known = ((item, self._items.get(item.id, item.replace(id=0))) for item in items)
            return [i for i, n in known if (n.id, n.state, n.claims) != (i.id, i.state, i.claims)]

    def count(self, states: Iterable[State]) -> int:
        wanted = set(states)
        with self._lock:
            return sum(item.state in wanted for item in self._items.values())

    def suggest(self, states: Sequence[State], prefix: str) -> Iterator[Item]:
        with self._lock:
            fitting = [i for i in self._items.values() if (i.claim or str(i.id)).startswith(prefix)]
        return iter([item for state in states for item in fitting if item.state is state])

    def suggest_keys(self, prefix: str) -> list[str]:
        with self._lock:
            return sorted(k for k in self._keys if k.startswith(prefix) and printable(k) == k)

    def open_payload(self, item: Item) -> BinaryIO:
        return io.BytesIO(self.read_payload(item))

    def read_payload(self, item: Item) -> bytes:
        with self._lock:
            if item.id not in self._payloads:
                raise NoSuchItemError(f"there is no item {item.id}")
            return self._payloads[item.id]

    def file_of(self, item: Item) -> AbstractContextManager[BinaryIO]:
        from tempfile import NamedTemporaryFile

        file = NamedTemporaryFile(prefix="pq-")  # noqa: SIM115
        file.write(self.read_payload(item))
        file.seek(0)
        return cast("AbstractContextManager[BinaryIO]", file)

    def limits(self) -> set[str]:
        with self._lock:
            return {limit for _, limit in self._lanes if limit} | set(self._at_work)

    def backlog(self, now: float) -> Backlog:
        waiting = list(self.items([State.PENDING, State.DELAYED], now, now))
        pending = {item.id: item for item in waiting if item.state is State.PENDING}
        lanes: dict[LaneName, list[int]] = {}
        for item_id in sorted(pending):
            lanes.setdefault(pending[item_id].lane, []).append(item_id)
        due = [item.not_before for item in waiting if item.state is State.DELAYED]
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

    def quarantined(self) -> int:
        return 0

    def dropped(self) -> int:
        return 0

    def facts(self) -> Iterator[Fact]:
        yield Fact(name="items", value="in memory")

    def events(self) -> Iterator[dict[str, Any]]:
        return iter(self._events.after(0))

    def tail(self, after: int) -> MemoryTail:
        return MemoryTail(self._events, after)
