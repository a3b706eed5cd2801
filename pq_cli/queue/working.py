"""Working: how items are claimed, and how attempts at them end."""

from __future__ import annotations

import time

from pq_cli.core import transitions
from pq_cli.core.arguments import (
    valid_flag,
    valid_lease,
    valid_reference,
    valid_wait,
    wrong,
)
from pq_cli.core.item import Item, State
from pq_cli.core.order import order_time
from pq_cli.errors import LockTimeoutError, PqError
from pq_cli.queue.entering import Entering
from pq_cli.queue.request import Admitted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from pq_cli.core.insight.workers import Duty
    from pq_cli.core.selection import Selection
    from pq_cli.queue.store import Attendance, Changes, Foreseen, Staged

    T = TypeVar("T")


def _as_seen(before: Item, seen: Foreseen) -> Item | None:
    """Return what an item becomes, if that was done ahead and it is still what it was."""
    was, after = seen.get(before.id, (None, None))
    return after if was == before else None


class Working(Entering):
    """The verbs of those who do the work; see `Queue`."""

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

        def claim_next(now: float) -> Item | None:
            if store.state().paused is not None:
                return None
            item = store.next(order_time(self.config, now, store.state))
            return None if item is None else self._claim(item, now, lease, bound)

        return self._up_to_date(claim_next)

    def _up_to_date(self, do: Callable[[float], T]) -> T:
        """Return `do(now)`, in a transaction in which nothing is over, or due, any more.

        What others need not wait for is done between two of them; and what is undone by then, in
        the second, so that it comes to an end.
        """
        store = self._store
        with store.transaction():
            now = store.now()
            over = store.expiring(now)
            if not over:
                self._take_back(now, {})
            lacking = store.promote(now, at_once=True)
            self._tell()
            if not over and not lacking:
                return do(now)

        def look() -> Changes:
            return [(item, transitions.expired(item, now, reason)) for item, reason in over]

        with store.foreseen(look, lacking) as seen, store.transaction():
            now = store.now()
            self._take_back(now, seen)
            store.promote(now)
            self._tell()
            return do(now)

    def _take_back(self, now: float, seen: Foreseen) -> None:
        """Take back the claims that are over. seen: what may be, and what becomes of it.

        Whom their ends concern is to be told then, of all at once, as it was foreseen.
        """
        for item, reason in self._store.overdue(now):
            after = _as_seen(item, seen) or transitions.expired(item, now, reason)
            self._put_only(item, after)

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
        return self._up_to_date(lambda _: self._store.attend())

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

        if self.config.keep_done or self._store.awaited(valid_reference(item)[0]):
            return self._end(item, become, later=later)
        with self._store.transaction():
            return self._end_now(item, become, {}, later)

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

        def look() -> Changes:
            before = self._claimed(ref)
            after = become(before, store.now())
            return [(before, after if self._stays(after) else None)]

        with store.foreseen(look) as seen, store.transaction():
            return self._end_now(ref, become, seen, later)

    def _end_now(
        self,
        ref: Item | int | str,
        become: Callable[[Item, float], Item],
        seen: Foreseen,
        later: bool,
    ) -> Item:
        store = self._store
        before = self._claimed(ref)
        after = _as_seen(before, seen) or become(before, store.now())
        if self._stays(after):
            return self._put(before, after, later=later)
        store.drop(before, later=later)
        self._note(before, after)
        self._tell()
        return after

    def _stays(self, ended: Item) -> bool:
        return bool(self.config.keep_done) or ended.state is not State.DONE

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
