"""MemoryQueue: the verbs of `Spool` without a disk, on the same order, policy and transitions.

For tests and for programs that need the order but not the durability. Thread-safe: every
verb takes one lock, and none calls out while holding it.
"""

from __future__ import annotations

import random
import threading
import time
from heapq import heappop, heappush
from itertools import chain
from typing import TYPE_CHECKING

from pq_cli.core import transitions
from pq_cli.core.arguments import (
    valid_callable,
    valid_chunk,
    valid_flag,
    valid_payload,
    valid_reference,
    valid_states,
    valid_text,
    valid_time,
)
from pq_cli.core.item import LIVE, ORDER, Holder, Item, State
from pq_cli.core.order import Lane, choose, serving_order
from pq_cli.core.policy import (
    AgedGroup,
    Pause,
    QueueConfig,
    aged_groups,
    floors,
    order_time,
    valid_config,
)
from pq_cli.core.queue import Queue
from pq_cli.core.request import Request, checked, new_item
from pq_cli.errors import KeyTakenError, NoSuchItemError, QueueFullError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, BinaryIO


class MemoryQueue(Queue):
    """A priority queue in memory with the verbs, order and errors of `Spool`.

    config: the policy; None means the defaults, a value out of range is a ConfigError. clock:
    returns Unix seconds; tests hand in their own. Payloads are bytes and are held in memory.
    jitter: returns what backoff is shortened by, as a share of a tenth, in [0, 1).
    """

    def __init__(
        self,
        config: QueueConfig | None = None,
        *,
        clock: Callable[[], float] = time.time,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        valid_callable("clock", clock, "a function that returns Unix seconds")
        valid_callable("jitter", jitter, "a function that returns a number in [0, 1)")
        self.config = QueueConfig() if config is None else valid_config(config)
        self._floors = floors(self.config)
        self._clock = clock
        self._jitter = jitter
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._items: dict[int, Item] = {}
        self._payloads: dict[int, bytes] = {}
        self._lanes: dict[int, Lane] = {}
        self._due: list[tuple[float, int]] = []
        self._leases: list[tuple[float, int, int]] = []
        self._keys: dict[str, int] = {}
        self._live = 0
        self._last_id = 0
        self._aged_at: float | None = None
        self._paused: Pause | None = None

    # -- in ----------------------------------------------------------------

    def enqueue(
        self,
        payload: bytes | BinaryIO,
        *,
        priority: int | None = None,
        key: str | None = None,
        if_exists: str = "skip",
        delay: float | None = None,
        at: float | None = None,
        max_attempts: int | None = None,
        name: str | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> Item:
        """Add an item and return it; the fields are those of `Request`.

        Raises UsageError, KeyTakenError (`if_exists="fail"`) or QueueFullError.
        """
        request = checked(
            Request(
                priority=priority, key=key, if_exists=if_exists, delay=delay, at=at,
                max_attempts=max_attempts, name=name, metadata=metadata,
            )
        )  # fmt: skip
        content = valid_payload(payload)
        if not isinstance(content, bytes):
            content = bytes(valid_chunk(content.read()))
        with self._lock:
            taken = self._items.get(self._keys.get(key, 0)) if key is not None else None
            if taken is not None:
                if if_exists == "skip":
                    return taken.for_bystanders()
                if if_exists == "fail" or taken.state is State.ACTIVE:
                    raise KeyTakenError(f"key {key!r} is taken by item {taken.id}, {taken.state}")
            self._check_room(replacing=taken is not None)
            if taken is not None:
                self._drop(taken)
            self._last_id += 1
            item = new_item(request, self._last_id, self._clock(), self.config)
            item = item.replace(size=len(content))
            self._payloads[item.id] = content
            self._put(None, item)
            return item

    def _check_room(self, replacing: bool) -> None:
        limit = self.config.max_items
        if limit and self._live >= limit and not replacing:
            raise QueueFullError(f"the queue is full: {self._live} items, max_items = {limit}")

    # -- claims ------------------------------------------------------------

    def _take(self, lease: float | None, bound: bool) -> Item | None:
        with self._lock:
            now = self._clock()
            self._settle(now)
            if self._paused is not None:
                return None
            t = order_time(self.config, now, self._aged_at)
            lanes = sorted(self._lanes)
            found = choose(lanes, self.config, self._floors, t, self._head)
            if found is None:
                return None
            item = self._items[found[1]]
            seconds = self.config.lease if lease is None else lease
            holder = Holder(host="", pid=0, boot=None, started=None, since=now)
            return self._put(item, transitions.claimed(item, now, seconds, holder))

    def _idle(self, seconds: float) -> None:
        with self._changed:
            if self._paused is not None or not any(map(len, self._lanes.values())):
                self._changed.wait(seconds)

    def done(self, item: Item | int | str, *, status: int | None = None) -> Item:
        """End a claimed item well. Raises StaleClaimError or NoSuchItemError."""
        with self._lock:
            before = self._claimed(item)
            after = transitions.completed(before, self._clock(), status)
            self._put(before, after)
            if not self.config.keep_done:
                self._drop(after)
            return after

    def fail(
        self,
        item: Item | int | str,
        error: str | None = None,
        *,
        dead: bool = False,
        status: int | None = None,
    ) -> Item:
        """End an attempt badly: retry later, or dead letter. Raises StaleClaimError.

        status: the exit status of the command that failed, for the history.
        """
        how = transitions.Ending(error=error, status=status)
        with self._lock:
            before = self._claimed(item)
            now = self._clock()
            after = transitions.failed(before, now, how, dead, self.config, self._jitter())
            return self._put(before, after)

    def defer(
        self, item: Item | int | str, error: str | None = None, *, status: int | None = None
    ) -> Item:
        """Put an item off: retried after a growing wait, uncounted. Raises StaleClaimError."""
        how = transitions.Ending(error=error, status=status)
        with self._lock:
            before = self._claimed(item)
            now = self._clock()
            after = transitions.deferred(before, now, how, self.config, self._jitter())
            return self._put(before, after)

    def release(self, item: Item | int | str, error: str | None = None) -> Item:
        """Give a claimed item back, uncounted; `error` says why. Raises StaleClaimError."""
        with self._lock:
            before = self._claimed(item)
            return self._put(before, transitions.released(before, self._clock(), error))

    def renew(self, item: Item | int | str, lease: float | None = None) -> Item:
        """Prolong a claim to `lease` seconds from now. Raises StaleClaimError."""
        with self._lock:
            before = self._claimed(item)
            seconds = self.config.lease if lease is None else lease
            return self._put(before, transitions.renewed(before, self._clock(), seconds))

    # -- changes by people -------------------------------------------------

    def retry(self, item: Item | int | str, priority: int | None = None) -> Item:
        """Send a failed, held or delayed item back to pending. Raises ConflictError."""
        checked(Request(priority=priority))
        with self._lock:
            before = self._find(item)
            after = transitions.retried(before, self._clock(), priority)
            owner = self._keys.get(after.key, after.id) if after.key is not None else after.id
            if owner != after.id:
                raise KeyTakenError(f"key {after.key!r} is taken by item {owner}")
            return self._put(before, after)

    def hold(self, item: Item | int | str) -> Item:
        """Suspend a pending or delayed item. Raises ConflictError."""
        with self._lock:
            before = self._find(item)
            return self._put(before, transitions.held(before, self._clock()))

    def change(
        self,
        item: Item | int | str,
        *,
        priority: int | None = None,
        delay: float | None = None,
        at: float | None = None,
    ) -> Item:
        """Change base priority or due time (`delay` from now, or `at`). Raises ConflictError."""
        checked(Request(priority=priority, delay=delay, at=at))
        with self._lock:
            before = self._find(item)
            now = self._clock()
            due = now + delay if delay is not None else at
            return self._put(before, transitions.changed(before, now, priority, due))

    def remove(self, item: Item | int | str, *, state: State | None = None) -> Item:
        """Remove an item that nobody works on. Raises ConflictError, NoSuchItemError.

        state: remove it only if it is (still) in this state.
        """
        with self._lock:
            before = self._find(item)
            transitions.check_removable(before, state)
            return self._drop(before)

    def age(self, at: float | None = None, *, dry_run: bool = False) -> list[AgedGroup]:
        """Return what has aged at `at` (default now); the manual clock moves there."""
        t = self._clock() if at is None else valid_time("at", at)
        if not valid_flag("dry_run", dry_run) and self.config.aging_clock == "manual":
            with self._lock:
                self._aged_at = transitions.stamp(t)
        pending = self.items([State.PENDING])
        return aged_groups(self.config, ((i.id, i.priority, i.created_at) for i in pending), t)

    def pause(self, reason: str | None = None) -> None:
        """Let nothing be claimed until `resume`; everything else goes on."""
        valid_text("reason", reason)
        with self._lock:
            self._paused = Pause(since=transitions.stamp(self._clock()), reason=reason)

    def resume(self) -> bool:
        """Let items be claimed again; tell whether the queue was paused."""
        with self._lock:
            was, self._paused = self._paused, None
            self._changed.notify_all()
            return was is not None

    # -- looking -----------------------------------------------------------

    def get(self, item: Item | int | str) -> Item:
        """Return the item as it stands now. Raises NoSuchItemError."""
        with self._lock:
            return self._find(item)

    def payload(self, item: Item | int | str) -> bytes:
        """Return the payload. Raises NoSuchItemError."""
        with self._lock:
            return self._payloads[self._find(item).id]

    def items(self, states: Iterable[State] | None = None) -> Iterator[Item]:
        """Yield the items in the order they would be served now, then the others.

        Active first, then pending in serving order (what is due counts as pending), delayed
        by due time, held, failed and done by id. A snapshot: later changes do not show.
        """
        wanted = valid_states(states)
        with self._lock:
            now = self._clock()
            t = order_time(self.config, now, self._aged_at)
            groups: dict[State, list[Item]] = {state: [] for state in ORDER}
            for item in self._items.values():
                due = item.not_before is not None and item.not_before <= now
                shown = transitions.due(item) if item.state is State.DELAYED and due else item
                groups[shown.state].append(shown)
        shown_states = [s for s in ORDER if wanted is None or s in wanted]
        return chain(*(self._sorted(groups[s], s, t) for s in shown_states))

    def _sorted(self, items: list[Item], state: State, t: float) -> Iterator[Item]:
        if state is State.DELAYED:
            return iter(sorted(items, key=lambda i: (i.not_before or 0.0, i.id)))
        items.sort(key=lambda i: i.id)
        if state is not State.PENDING:
            return iter(items)
        lanes = {p: iter([i for i in items if i.priority == p]) for p in range(1, 11)}
        return serving_order(lanes, self.config, t, lambda i: (i.id, i.created_at))

    @property
    def paused(self) -> Pause | None:
        """Since when and why nothing is claimed, or None."""
        with self._lock:
            return self._paused

    def __len__(self) -> int:
        """Return the number of live items: active, pending, delayed and held."""
        with self._lock:
            return self._live

    def close(self) -> None:
        """Do nothing: there is nothing open, and the items stay."""

    # -- inside: the lock is held ------------------------------------------

    def _find(self, ref: Item | int | str) -> Item:
        item_id, _ = valid_reference(ref)
        item = self._items.get(item_id)
        if item is None:
            raise NoSuchItemError(f"there is no item {item_id}")
        return item

    def _claimed(self, ref: Item | int | str) -> Item:
        item = self._find(ref)
        transitions.check_claim(item, valid_reference(ref)[1])
        return item

    def _settle(self, now: float) -> None:
        """Bring back what is due, and the claims whose lease is over."""
        while self._due and self._due[0][0] <= now:
            when, item_id = heappop(self._due)
            item = self._items.get(item_id)
            if item is not None and item.state is State.DELAYED and item.not_before == when:
                self._put(item, transitions.due(item))
        while self._leases and self._leases[0][0] <= now:
            until, item_id, claims = heappop(self._leases)
            item = self._items.get(item_id)
            current = item is not None and item.state is State.ACTIVE and item.claims == claims
            if item is not None and current and item.lease_until == until:
                self._put(item, transitions.expired(item, now, transitions.LEASE_OVER))

    def _put(self, before: Item | None, after: Item) -> Item:
        """Store an item and keep the lanes, heaps, keys and count in step with it."""
        if before is not None and before.state is State.PENDING:
            self._lanes[before.priority].discard(before.id)
        if after.state is State.PENDING:
            self._lanes.setdefault(after.priority, Lane()).push(after.id)
            self._changed.notify()
        elif after.state is State.DELAYED and after.not_before is not None:
            heappush(self._due, (after.not_before, after.id))
        elif after.state is State.ACTIVE and after.lease_until is not None:
            heappush(self._leases, (after.lease_until, after.id, after.claims))
        was = before is not None and before.state in LIVE
        lives = after.state in LIVE
        self._live += lives - was
        if after.key is not None and lives:
            self._keys[after.key] = after.id
        elif after.key is not None and was:
            self._keys.pop(after.key, None)
        self._items[after.id] = after
        return after

    def _drop(self, item: Item) -> Item:
        if item.state is State.PENDING:
            self._lanes[item.priority].discard(item.id)
        if item.state in LIVE:
            self._live -= 1
            if item.key is not None:
                self._keys.pop(item.key, None)
        del self._items[item.id], self._payloads[item.id]
        return item

    def _head(self, lane: int) -> tuple[int, float] | None:
        item_id = self._lanes[lane].head()
        return None if item_id is None else (item_id, self._items[item_id].created_at)
