"""Queue: every verb, once, over whatever store keeps the items.

Those that look stand in `looking`, those by which work goes in and is done in `working`; here is
what people say is to become of items, and of the queue's policy. What they remove goes for good
only after a while, and can come back.
"""

from __future__ import annotations

import math

from pq_cli.core import events, transitions
from pq_cli.core.arguments import (
    valid_flag,
    valid_lease,
    valid_reference,
    valid_text,
    valid_time,
    valid_wait,
    wrong,
)
from pq_cli.core.item import NO_LIMIT, Item, State
from pq_cli.core.order import AgedGroup, aged_groups
from pq_cli.core.policy import Pause, QueueConfig
from pq_cli.errors import ConfigError, ConflictError, PqError, UsageError
from pq_cli.queue.request import Request, changes, check_key, checked
from pq_cli.queue.working import Working

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from typing import Any

    from pq_cli.core.selection import Selection
    from pq_cli.queue.departures import Arrivals, Departures


class Queue(Working):
    """What `Spool`, `MemoryQueue` and `PostgresQueue` are: a program can be given any of them.

    An item is named by its id (int or text), by a claim (`"1742.2"`), or by the Item itself. What
    is no argument of a verb is a UsageError that says what is wanted, and changes nothing. Threads
    may share a queue. As a context it is closed at the end. Every verb may raise what the
    store lies on raises: OSError, LockTimeoutError.

    store: keeps the items. config: the policy. jitter: returns what backoff is shortened by, as a
    share of a tenth, in [0, 1).
    """

    # -- one claim after another, each for as long as its work takes -------------

    def claimed(
        self, *, wait: float = 0.0, lease: float | None = None
    ) -> AbstractContextManager[Item | None]:
        """Return a context that claims the next item, and ends it as the body ends.

            with queue.claimed(wait=60) as item:
                if item is not None:
                    upload(queue.payload(item))

        The item is done at the end. `raise RetryLater` in the body puts it off, `raise GiveUp`
        fails it for good, and neither goes further than the body. Any other exception fails the
        attempt and goes on. What is no Exception (KeyboardInterrupt, SystemExit, GeneratorExit, a
        cancellation) gives the item back, uncounted, and goes on.

        wait, lease: as for `claim`. A thread renews the lease while the body runs. Was the claim
        lost all the same, then the end raises StaleClaimError: somebody else has the item. What
        disk or lock refuse at the end is tried again while the lease lasts.
        """
        from pq_cli.queue.outcome import Claimed  # start-up: commands work in their own way

        valid_lease(lease)
        valid_wait(wait)
        return Claimed(self, lambda: self.claim(lease=lease, wait=wait), lease)

    def each_claimed(
        self, *, wait: float = 0.0, lease: float | None = None
    ) -> Iterator[AbstractContextManager[Item]]:
        """Yield one claimed item after another, each as a context like that of `claimed`.

            for claimed in queue.each_claimed(wait=60):
                with claimed as item:
                    upload(queue.payload(item))

        It ends when nothing has come for `wait` seconds. (A context, because a loop does not tell
        what it loops over how its body ended.) One that is not entered is given back, and the
        next step is a UsageError.
        """
        from pq_cli.queue.outcome import each

        valid_lease(lease)
        valid_wait(wait)
        return each(self, lambda: self.claim(lease=lease, wait=wait), lease)

    def done_and_claim(
        self,
        item: Item | int | str,
        *,
        status: int | None = None,
        later: bool = False,
        lease: float | None = None,
        bound: bool = True,
    ) -> Item | None:
        """End a claimed item well, and claim the next; most often a server is asked once for both.

            item = queue.claim(wait=60)
            while item is not None:
                upload(queue.payload(item))
                item = queue.done_and_claim(item) or queue.claim(wait=60)

        The arguments are those of `done` and `claim`; in a database an end may be `later` only if
        nothing is claimed. It raises what `done` raises; then nothing is claimed. None: nothing is
        pending, the queue is paused, or something keeps it from being claimed, which `claim` will
        say; a claim that this broke off half way ends with its lease.
        """
        valid_lease(lease)
        valid_flag("bound", bound)
        valid_flag("later", later)
        return self._done_and_claim(item, status, later, lease, bound)

    def _done_and_claim(
        self,
        item: Item | int | str,
        status: int | None,
        later: bool,
        lease: float | None,
        bound: bool,
    ) -> Item | None:
        self.done(item, status=status, later=later)
        return self._if_it_can(lambda: self._claim_now(lease, bound))

    def _if_it_can(self, claim: Callable[[], Item | None]) -> Item | None:
        try:
            return claim()
        except (PqError, OSError):
            return None  # that the item is done must not be lost over it

    # -- what people say is to become of items -----------------------------------

    def retry(
        self,
        item: Item | int | str,
        priority: int | None = None,
        *,
        only: Selection | None = None,
    ) -> Item:
        """Send a failed, held or delayed item back to pending. Raises ConflictError.

        only: what `select` found it by. When that fits no longer, nothing is done, and
        NoLongerFitsError is raised.
        """
        from pq_cli.queue.followers import up_to_date  # start-up: few items wait for others

        checked(Request(priority=priority))
        with self._store.transaction():
            before = self._chosen(item, only)
            now = self._store.now()
            after = up_to_date(self._store, transitions.retried(before, now, priority), now)
            check_key(after, self._store.owner)
            return self._put(before, after)

    def hold(self, item: Item | int | str, *, only: Selection | None = None) -> Item:
        """Suspend a pending or delayed item. only: as for `retry`. Raises ConflictError."""
        with self._store.transaction():
            before = self._chosen(item, only)
            return self._put(before, transitions.held(before, self._store.now()))

    def change(
        self,
        item: Item | int | str,
        *,
        priority: int | None = None,
        delay: float | None = None,
        at: float | None = None,
        max_attempts: int | None = None,
        limit: str | None = None,
        name: str | None = None,
        metadata: dict[str, Any] | None = None,
        only: Selection | None = None,
    ) -> Item:
        """Change what was said of an item when it was enqueued. Raises ConflictError.

        metadata: these are added, or take the place of those with the same names. limit: of an
        item that is not active; "none" takes the one away that it has. only: as for `retry`.
        """
        new = Request(
            priority=priority, delay=delay, at=at, max_attempts=max_attempts, name=name,
            limit=None if limit == NO_LIMIT else limit, metadata=metadata,
        )  # fmt: skip
        new = checked(new)
        with self._store.transaction():
            before = self._chosen(item, only)
            now = self._store.now()
            due = now + delay if delay is not None else at
            fields = changes(before, new)
            if limit is not None:
                fields["limit"] = new.limit
            return self._put(before, transitions.changed(before, now, priority, due, **fields))

    def change_policy(self, settings: dict[str, str]) -> QueueConfig:
        """Set fields of the policy, each to a text as in queue.toml; return the whole of it.

        It holds for whoever opens the queue from now on: this object goes on with the one it has.
        Raises UsageError for an unknown field or a value that is not allowed.
        """
        words = settings.items() if isinstance(settings, dict) else [(settings, None)]
        if not all(isinstance(word, str) for pair in words for word in pair):
            raise wrong("settings", settings, "a dictionary of texts: {'lease': '10m'}")
        from pq_cli.queue.policytext import changed_policy, parse_policy  # start-up

        store = self._store
        with store.transaction():
            text = changed_policy(store.policy(), settings, store.where)
            store.set_policy(text)
        return parse_policy(text, store.where)

    def policy_text(self) -> str:
        """Return the text of the policy, as of a queue.toml; empty: the defaults."""
        return self._store.policy()

    def replace_policy(self, old: str, new: str) -> QueueConfig:
        """Let `new` be the text of the policy, which was `old`; return what it says.

        Raises UsageError for a text that is no policy, ConflictError if somebody else has changed
        it meanwhile; then nothing is changed.
        """
        from pq_cli.queue.policytext import parse_policy  # start-up

        for name, text in (("old", old), ("new", new)):
            if not isinstance(text, str):
                raise wrong(name, text, "a text as of a queue.toml")
        try:
            config = parse_policy(new, "policy")
        except ConfigError as error:
            raise UsageError(str(error)) from None
        store = self._store
        with store.transaction():
            if store.policy() != old:
                raise ConflictError(
                    f"{store.where}: somebody else changed it meanwhile; `pq config show` prints it"
                )
            store.set_policy(new)
        return config

    def cancel(
        self,
        item: Item | int | str,
        *,
        hold: bool = False,
        remove: bool = False,
        by: str | None = None,
        kept_until: float | None = None,
        only: Selection | None = None,
    ) -> Item:
        """Let nobody work on a live item: it is failed, "cancelled by BY"; or held, or removed.

        Its claim ends, and within a second its worker stops what it runs. kept_until: as for
        `remove`. only: as for `retry`. Raises ConflictError, NoSuchItemError.
        """
        valid_text("by", by)
        valid_time("kept_until", kept_until)
        if valid_flag("remove", remove) & valid_flag("hold", hold):
            raise UsageError("hold and remove exclude each other")
        if remove and self._store.find(*valid_reference(item)).state is not State.ACTIVE:
            return self.remove(item, kept_until=kept_until, only=only)
        with self._store.transaction():
            before = self._chosen(item, only)
            after = self._put(before, transitions.cancelled(before, self._store.now(), by, hold))
        return self.remove(after, kept_until=kept_until) if remove else after

    def remove(
        self,
        item: Item | int | str,
        *,
        state: State | None = None,
        kept_until: float | None = None,
        only: Selection | None = None,
    ) -> Item:
        """Remove an item that nobody works on; `restore` brings it back, for `keep_removed`.

        state: remove it only if it is (still) in this state. kept_until: what `removal` gave, for
        items that are removed together. only: as for `retry`. Raises ConflictError,
        NoSuchItemError.
        """
        store = self._store
        valid_time("kept_until", kept_until)
        with store.transaction():
            before = self._chosen(item, only)
            transitions.check_removable(before, state)
            now = store.now()
            if not self.config.keep_removed:
                store.drop(before)
                after = before
            else:
                until = self.removal() if kept_until is None else kept_until
                after = store.put(before, transitions.removed(before, until))
            store.note(events.event_of("removed", before, now))
            store.expire(now)
            self._tell()
            return after

    def removal(self) -> float:
        """Return a Unix second, for one removal of many items, at which they go for good.

        No other removal has it: so `removed` knows what was removed together.
        """
        second = float(int(self._store.now() + self.config.keep_removed))
        latest, _ = next(self._store.removals(), (0.0, []))
        return max(second, latest + 1)

    def restore(self, item: Item | int | str) -> Item:
        """Bring a removed item back into the state it had.

        Raises NoSuchItemError when it is gone, ConflictError when it is not removed, KeyTakenError,
        DamagedItemError when its payload is not whole.
        """
        from pq_cli.queue.followers import up_to_date  # start-up

        store = self._store
        with store.transaction():
            before = self._store.find(valid_reference(item)[0])
            now = store.now()
            after = up_to_date(store, transitions.restored(before, now), now)
            check_key(after, store.owner)
            store.open_payload(before).close()
            after = store.put(before, after)
            store.note(events.event_of("restored", after, now))
            self._tell()
            return after

    def expire(self) -> Iterator[int]:
        """Let everything that was removed go for good; yield how many have gone at each step."""
        gone = 1
        while gone:
            with self._store.transaction():
                gone = self._store.expire(math.inf)
            yield gone

    def pause(self, reason: str | None = None) -> None:
        """Let nothing be claimed until `resume`; everything else goes on."""
        valid_text("reason", reason)
        store = self._store
        with store.transaction():
            now = transitions.stamp(store.now())
            store.set_state(store.state().replace(paused=Pause(since=now, reason=reason)))
            store.note(events.pause("paused", now, reason))

    def resume(self) -> bool:
        """Let items be claimed again; tell whether the queue was paused."""
        store = self._store
        with store.transaction():
            state = store.state()
            if state.paused is None:
                return False
            store.set_state(state.replace(paused=None))
            store.note(events.pause("resumed", store.now(), None))
            return True

    def age(self, at: float | None = None, *, dry_run: bool = False) -> list[AgedGroup]:
        """Return what has aged at `at` (default now); the manual clock moves there."""
        t = self.move_clock(at, dry_run=dry_run)
        return aged_groups(self.config, self.items([State.PENDING]), t)

    def move_clock(self, at: float | None = None, *, dry_run: bool = False) -> float:
        """Move the manual aging clock to `at` (default now), and return that time.

        One small atomic write, however many items there are; none with dry_run, or where the clock
        is live.
        """
        store = self._store
        t = store.now() if at is None else valid_time("at", at)
        if not valid_flag("dry_run", dry_run) and self.config.aging_clock == "manual":
            with store.transaction():
                store.set_state(store.state().replace(aged_at=transitions.stamp(t)))
        return t

    # -- to and from other queues ------------------------------------------------

    def arrivals(self) -> Arrivals:
        """Return a context in which items that have a past enter, each exactly once."""
        return self._store.arrivals()

    def departures(self) -> Departures:
        """Return what marks items as leaving for another queue, and puts them back."""
        from pq_cli.queue.departures import Departures  # start-up

        return Departures(self._store)
