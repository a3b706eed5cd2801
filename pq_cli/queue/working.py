"""Working: how items go in, are claimed, and how attempts at them end.

A verb that changes an item has one form: in a transaction, find it, let `core.transitions` say
what becomes of it, put that.
"""

from __future__ import annotations

import time

from pq_cli.core import events, transitions
from pq_cli.core.arguments import (
    valid_flag,
    valid_lease,
    valid_payload,
    valid_reference,
    valid_wait,
    wrong,
)
from pq_cli.core.item import Item, State
from pq_cli.core.order import order_time
from pq_cli.core.policy import QueueConfig
from pq_cli.errors import LockTimeoutError, PqError
from pq_cli.queue.looking import Looking
from pq_cli.queue.request import Admitted, Request, checked, valid_records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, BinaryIO, Self

    from pq_cli.core.insight.workers import Duty
    from pq_cli.core.selection import Selection
    from pq_cli.queue.store import Attendance, Staged, Store


class Working(Looking):
    """The verbs of those who put work in, and of those who do it; see `Queue`."""

    def __init__(self, store: Store, config: QueueConfig, jitter: Callable[[], float]) -> None:
        self._store = store
        self.config = config
        self._jitter = jitter

    def close(self) -> None:
        """Let go of descriptors and connections; the next verb opens them again."""
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- in ------------------------------------------------------------------

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
        timeout: float | None = None,
        limit: str | None = None,
        name: str | None = None,
        metadata: dict[str, Any] | None = None,
        after: Sequence[Item | int | str] = (),
        if_failed: str | None = None,
    ) -> Item:
        """Add an item and return it; the fields are those of `Request`.

        A stream is copied in bounded memory. When this returns, in "full" the item survives a
        power loss. Raises UsageError, KeyTakenError (`if_exists="fail"`), QueueFullError or
        NoSuchItemError (`after`).
        """
        request = Request(
            priority=priority, key=key, if_exists=if_exists, delay=delay, at=at,
            max_attempts=max_attempts, timeout=timeout, limit=limit, name=name, metadata=metadata,
            after=after, if_failed=if_failed,
        )  # fmt: skip
        admitted = self.commit([self.stage(payload, request)])
        if admitted.error is not None:
            raise admitted.error
        return admitted.items[0]

    def enqueue_many(self, records: Sequence[tuple[bytes, Request]]) -> Admitted:
        """Enqueue (payload, request) pairs, in order, with a handful of syncs for all of them.

        What stopped it is in the result, as of `commit`. Give what fits in memory.
        """
        batch: list[Staged] = []
        broken: PqError | OSError | None = None
        records = valid_records(records)
        try:
            for payload, request in records:
                batch.append(self.stage(payload, request))
        except (PqError, OSError) as error:
            broken = error
        except BaseException:
            self._store.finish(batch, 0)
            raise
        admitted = self.commit(batch)
        return admitted if admitted.error else admitted.replace(error=broken)

    def stage(self, payload: bytes | BinaryIO, request: Request) -> Staged:
        """Take in a payload, without an id yet; `commit` makes items of many at once."""
        return self._store.stage(valid_payload(payload), checked(request))

    def stage_file(self, path: str, request: Request, *, move: bool = False) -> Staged:
        """Stage a FILE by the cheapest whole copy; with `move`, commit removes it afterwards."""
        return self._store.stage_file(path, checked(request), move=move)

    def commit(self, batch: Sequence[Staged]) -> Admitted:
        """Make items of staged payloads, in order, up to what stops it: that is in the result."""
        store, count = self._store, 0
        try:
            store.prepare(batch)
            with store.transaction():
                admitted = store.admit(batch)
                self._tell()
            count = len(admitted.items)  # only now do they survive
        finally:
            stop = store.finish(batch, count)
        return admitted if stop is None else admitted.replace(error=stop)

    def commit_claimed(self, staged: Staged, *, lease: float | None = None) -> Item:
        """Make an item of a staged payload that this process has claimed before others see it.

        The item comes back without a claim if it is due later, if its limit is full, or if it was
        there already under the same key: whoever works on it then, it is not the caller. Raises
        like `enqueue`; only after a LockTimeoutError the payload is still staged, for another try
        or `unstage`.
        """
        store, admitted = self._store, Admitted.nothing()
        try:
            store.prepare([staged])
            with store.transaction():
                admitted = store.admit([staged], at_once=True)
                self._tell()
                if admitted.error is not None:
                    raise admitted.error
                item = admitted.items[0]
                full = item.limit is not None and not store.has_slot(item.limit)
                if item.state is State.PENDING and not admitted.found and not full:
                    item = self._claim(item, store.now(), lease, bound=True, own=True)
        except LockTimeoutError:
            raise
        except BaseException:
            store.finish([staged], len(admitted.items))
            raise
        store.finish([staged], len(admitted.items))
        return item

    def unstage(self, staged: Staged) -> None:
        """Throw away a staged payload that is to be no item after all."""
        self._store.finish([staged], 0)

    # -- claims ----------------------------------------------------------------

    def claim(
        self, *, lease: float | None = None, bound: bool = True, wait: float = 0.0
    ) -> Item | None:
        """Claim the next item for `lease` seconds; None when nothing is pending, or while paused.

        wait: seconds to wait for an item to come, `math.inf` for ever; waiting costs next to no
        CPU. bound: the claim ends with this process, if it dies before the lease does; give False
        when the work outlives the process that claims.
        """
        valid_lease(lease)
        valid_flag("bound", bound)
        deadline = time.monotonic() + valid_wait(wait)
        while True:
            item = self._claim_now(lease, bound)
            if item is not None or not wait:
                return item
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            self._store.idle(left)

    def ear(self) -> tuple[int, float] | None:
        """Return a descriptor that is readable once work may have come, and the longest wait.

        None where nobody tells what comes: look again soon. Ask anew for each wait.
        """
        return self._store.ear()

    def _claim_now(self, lease: float | None, bound: bool) -> Item | None:
        store = self._store
        store.look_in()
        with store.transaction():
            now = store.now()
            self._catch_up(now)
            if store.state().paused is not None:
                return None
            item = store.next(order_time(self.config, now, store.state))
            return None if item is None else self._claim(item, now, lease, bound)

    def _catch_up(self, now: float) -> None:
        """Take back the claims that are over, and bring in what is due."""
        for item, reason in self._store.overdue(now):
            self._put(item, transitions.expired(item, now, reason))
        self._store.promote(now)
        self._tell()

    def _claim(
        self, item: Item, now: float, lease: float | None, bound: bool, own: bool = False
    ) -> Item:
        holder = self._store.holder(bound=bound)
        after = transitions.claimed(item, now, self._seconds(lease), holder)
        return self._put(item, after, own=own)

    def _seconds(self, lease: float | None) -> float:
        return self.config.lease if lease is None else lease

    def attend(self) -> Attendance:
        """Hold a lock that the claims made from now on name, until its `close`.

        When this process dies, others see at once that its claims are free, also from another
        host; a child that inherits the lock (`fileno`) keeps them from it while it lives.
        """
        with self._store.transaction():
            self._catch_up(self._store.now())
            return self._store.attend()

    def describe(self, duty: Duty) -> None:
        """Let others see what this process is at; of no weight: what refuses it is ignored."""
        from pq_cli.core.insight.workers import Duty  # start-up: for pools only

        if not isinstance(duty, Duty):
            raise wrong("duty", duty, "a Duty")
        try:
            self._store.describe(duty)
        except (PqError, OSError):
            pass

    def next_event(self) -> float | None:
        """Return the Unix second at which a lease ends or an item may come due, or None.

        Before it, only an enqueue, a release or a person can make work appear.
        """
        with self._store.transaction():
            return self._store.next_event()

    def done(
        self, item: Item | int | str, *, status: int | None = None, later: bool = False
    ) -> Item:
        """End a claimed item well. Raises StaleClaimError or NoSuchItemError.

        later: nobody is told of it before the next `settle`, which makes it survive a power loss
        together with others; one before that runs the item again.
        """
        valid_flag("later", later)

        def become(before: Item, now: float) -> Item:
            return transitions.completed(before, now, status)

        if self.config.keep_done:
            return self._end(item, become, later=later)
        store = self._store
        with store.transaction():
            before = self._claimed(item)
            after = become(before, store.now())
            store.drop(before, later=later)
            self._note(before, after)
            self._tell()
            return after

    def settle(self) -> int:
        """Let all survive that was `done` later; return how many. `close` does so, too."""
        return self._store.settle()

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

        def become(before: Item, now: float) -> Item:
            return transitions.failed(before, now, how, dead, self.config, self._jitter())

        return self._end(item, become)

    def defer(
        self, item: Item | int | str, error: str | None = None, *, status: int | None = None
    ) -> Item:
        """Put an item off: retried after a growing wait, uncounted. Raises StaleClaimError."""
        how = transitions.Ending(error=error, status=status)

        def become(before: Item, now: float) -> Item:
            return transitions.deferred(before, now, how, self.config, self._jitter())

        return self._end(item, become)

    def release(
        self, item: Item | int | str, error: str | None = None, *, only: Selection | None = None
    ) -> Item:
        """Give a claimed item back, uncounted; `error` says why. Raises StaleClaimError.

        only: as for `retry`.
        """
        with self._store.transaction():
            if only is not None:
                self._chosen(item, only)
            before = self._claimed(item)
            after = transitions.released(before, self._store.now(), error)
            return self._put(before, after)

    def renew(self, item: Item | int | str, lease: float | None = None) -> Item:
        """Prolong a claim to `lease` seconds from now. Raises StaleClaimError."""
        seconds = self._seconds(lease)
        with self._store.transaction():
            before = self._claimed(item)
            return self._put(before, transitions.renewed(before, self._store.now(), seconds))

    def _end(
        self, ref: Item | int | str, become: Callable[[Item, float], Item], *, later: bool = False
    ) -> Item:
        """End a claim and keep the item as what `become` makes of it as it stands, and the time."""
        store = self._store

        def look() -> tuple[Item, Item]:
            before = self._claimed(ref)
            return before, become(before, store.now())

        with store.foreseen(look) as seen, store.transaction():
            before = self._claimed(ref)
            if seen is not None and seen[0] == before:
                return self._put(*seen, later=later)
            return self._put(before, become(before, store.now()), later=later)

    def _claimed(self, ref: Item | int | str) -> Item:
        item_id, claim = valid_reference(ref)
        item = self._store.find(item_id, claim)
        transitions.check_claim(item, claim)
        return item

    def keep_log(self, item: Item | int | str, status: int, content: bytes) -> None:
        """Keep what the attempt under this claim wrote, until the item is gone.

        status: the exit status of the command. Raises StaleClaimError.
        """
        from pq_cli.core.jsonio import to_json  # start-up: only `run --log` needs it

        with self._store.transaction():
            before = self._claimed(item)
            times = transitions.attempt_times(before, self._store.now())
            head = {"claim": before.claim, "exit": status, **times}
            self._store.keep_log(before, to_json(head) + b"\n" + content)

    # -- what every change ends with ---------------------------------------------

    def _put(self, before: Item, after: Item, *, own: bool = False, later: bool = False) -> Item:
        """Keep what became of an item, and tell of it; own: see `events.transition`."""
        after = self._put_only(before, after, own=own, later=later)
        self._tell()
        return after

    def _put_only(
        self, before: Item, after: Item, *, own: bool = False, later: bool = False
    ) -> Item:
        after = self._store.put(before, after, later=later)
        self._note(before, after, own=own)
        return after

    def _tell(self) -> None:
        """Tell those that wait for an item how it ended, or that it may be done after all."""
        if self._store.untold:
            from pq_cli.queue.followers import tell  # start-up: few items wait for others

            tell(self._store, self._put_only)

    def _note(self, before: Item, after: Item, *, own: bool = False) -> None:
        event = events.transition(before, after, own=own)
        if event is not None:
            self._store.note(event)

    def _chosen(self, item: Item | int | str, only: Selection | None) -> Item:
        """Return an item as it stands now, in a transaction, if it is one of those meant."""
        before = self._store.find(*valid_reference(item))
        if only is not None:
            from pq_cli.core.selection import check  # start-up: people choose, not plain commands

            check(before, only, self._store.now())
        return before
