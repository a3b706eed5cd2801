"""Looking at a queue: nothing here changes anything or keeps others from changing it."""

from __future__ import annotations

from itertools import islice

from pq_cli.core.arguments import (
    valid_callable,
    valid_reference,
    valid_states,
    valid_whole,
    wrong,
)
from pq_cli.core.item import EVERY, LIVE, ORDER, Item, State, parse_reference
from pq_cli.core.order import order_time
from pq_cli.core.policy import Pause, QueueConfig

POLL = 0.2
"""Seconds between looks of a store that nobody tells what comes: within a quarter of a second."""
_LAST_EVENT = 2**63 - 1

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from typing import Any, BinaryIO

    from pq_cli.core.insight.explain import Reason
    from pq_cli.core.insight.fact import Fact
    from pq_cli.core.insight.shape import Backlog
    from pq_cli.core.insight.workers import Worker
    from pq_cli.core.selection import Selection
    from pq_cli.errors import TryAgainError
    from pq_cli.queue.ends import Ended
    from pq_cli.queue.store import Store


class Looking:
    """The verbs of a queue that only look. An item is named by its id, its claim, or itself."""

    config: QueueConfig
    _store: Store

    @property
    def name(self) -> str:
        """What `open_queue` takes to open this queue again; of one in memory nothing."""
        return self._store.name

    @property
    def where(self) -> str:
        """What people know the queue by: a path, or a URL without its password."""
        return self._store.where

    def now(self) -> float:
        """Return the time by which the queue goes, Unix seconds."""
        return self._store.now()

    def get(self, item: Item | int | str) -> Item:
        """Return the item as it stands now. Raises NoSuchItemError, DamagedItemError."""
        return self._store.find(*valid_reference(item))

    def payload(self, item: Item | int | str) -> bytes:
        """Return the payload, whole and verified. Raises NoSuchItemError, DamagedItemError."""
        return self._store.read_payload(self._at(item))

    def open_payload(self, item: Item | int | str) -> BinaryIO:
        """Return the payload as a stream; close it.

        Its size was verified, and its checksum where it is small or may be torn. Raises
        NoSuchItemError, DamagedItemError.
        """
        return self._store.open_payload(self._at(item))

    def file_of(self, item: Item | int | str) -> AbstractContextManager[BinaryIO]:
        """Return a context with the payload as a file that has a descriptor, for other programs.

        `name` is a path at which they find it until the context is left: only to read. Verified
        as, and raises like `open_payload`.
        """
        return self._store.file_of(self._at(item))

    def _at(self, item: Item | int | str) -> Item:
        """Return the item, without a look if it is claimed: where it is, is known then."""
        return item if isinstance(item, Item) and item.claim is not None else self.get(item)

    def items(self, states: Iterable[State] | None = None) -> Iterator[Item]:
        """Yield the items in the order they would be served now, then the others.

        Active first, then pending in serving order (what is due counts as pending), delayed
        by due time, held, failed and done by id; and if it is asked for, what was removed, by the
        time at which it goes for good. A stream; it may show some changes made meanwhile.
        """
        chosen = valid_states(states)
        wanted = ORDER if chosen is None else chosen
        now = self._store.now()
        return self._store.items([s for s in EVERY if s in wanted], now, self._order_time(now))

    def select(self, selection: Selection) -> Iterator[Item]:
        """Yield the items that fit, in the order of `items`; without states, of all but removed."""
        from pq_cli.core.selection import valid_selection  # start-up

        chosen = valid_selection(selection, "selection")
        now = self._store.now()
        return (item for item in self.items(chosen.states or None) if chosen.fits(item, now))

    def order_time(self) -> float:
        """Return the Unix time at which order is computed now: the clock, or the last `age`."""
        return self._order_time(self._store.now())

    def _order_time(self, now: float) -> float:
        return order_time(self.config, now, self._store.state)

    @property
    def paused(self) -> Pause | None:
        """Since when and why nothing is claimed, or None."""
        return self._store.state().paused

    def workers(self) -> list[Worker]:
        """Return who is at work and on what, the first that came first.

        Those that have died are among them while others have not taken over what they had; and who
        has made claims that end by their lease alone.
        """
        from pq_cli.queue.attending import workers  # start-up: for who looks only

        return workers(self._store)

    def trouble(self) -> list[Reason]:
        """Return why nothing goes on although there is work: nobody is there, or is able to.

        Empty where all is well. Quick, however many items there are.
        """
        from pq_cli.queue.attending import trouble

        return trouble(self._store)

    def removed(self) -> Iterator[tuple[float, list[int]]]:
        """Yield (Unix second at which they go for good, ids) of what was removed together.

        The latest removal comes first.
        """
        return self._store.removals()

    def suggest(self, states: Iterable[State] | None, prefix: str, most: int = 100) -> list[Item]:
        """Return at most so many items in `states` (None: all) that `prefix` may be meant for.

        Those whose id begins with it, or the claim where they are active. For completion: quick
        however many items there are, so some that fit may be missing.
        """
        chosen = valid_states(states)
        valid_whole("most", most, 0, 10_000)
        found = self._store.suggest(EVERY if chosen is None else chosen, _prefix(prefix))
        return list(islice(found, most))

    def suggest_keys(self, prefix: str, most: int = 100) -> list[str]:
        """Return at most so many keys of live items that begin with `prefix`, as `suggest` does."""
        valid_whole("most", most, 0, 10_000)
        return list(self._store.suggest_keys(_prefix(prefix))[:most])

    def suggest_limits(self, prefix: str) -> list[str]:
        """Return the limits of the policy, or of pending or active items, that begin so."""
        prefix = _prefix(prefix)
        known = {*self.config.limits, *self._store.limits()}
        return sorted(limit for limit in known if limit.startswith(prefix))

    def attempt_logs(self, item: Item) -> dict[int, str]:
        """Return the claim numbers whose attempts left a log, in order, and where each is found.

        That is a path, or the claim where there is none.
        """
        return self._store.logs(item)

    def open_log(self, item: Item, claim: int) -> BinaryIO:
        """Return what the attempt under this claim number left, as a stream; close it.

        The first line is JSON: claim, exit, started_at, ended_at; the rest is output. Raises
        FileNotFoundError when it is gone.
        """
        return self._store.open_log(item, claim)

    def backlog(self) -> Backlog:
        """Return what waits in which lane now: a million items cost some seconds."""
        return self._store.backlog(self._store.now())

    def reference(self, text: str) -> str:
        """Return `ID` or `ID.CLAIM` of an item named by people: so, or by a path in the spool.

        Raises UsageError for what names none.
        """
        parsed = self._store.at_path(text) if "/" in text else parse_reference(text)
        return str(parsed[0]) if parsed[1] is None else f"{parsed[0]}.{parsed[1]}"

    def uuid(self) -> str:
        """Return what tells this queue from all others, wherever it is moved or copied."""
        return self._store.uuid()

    def taken(self, realm: str) -> Iterator[bytes]:
        """Yield the digests (`core.origin.digest`) of the names that have entered from a realm."""
        return self._store.taken(realm)

    def reader_of(self, realm: str) -> str | None:
        """Return how a realm was read before (see `Arrivals.describe`), or None."""
        return self._store.reader_of(realm)

    def quarantined(self) -> int:
        """Return how many things a repair has set aside."""
        return self._store.quarantined()

    def dropped(self) -> int:
        """Return how many files wait in the drop box: the next claim makes items of them."""
        return self._store.dropped()

    def facts(self) -> Iterable[Fact]:
        """Yield what should be known of that on which the queue lies, for `pq doctor`."""
        return self._store.facts()

    def log(self, after_event: int | None = None) -> Iterator[dict[str, Any]]:
        """Yield what happened lately, oldest first: records with `at`, `event`, `number` and more.

        Derived and bounded: an event may be missing, no item depends on it.

        after_event: only what came after the event of this number, 0 for all. Then nothing that
        is seen later has a lower number than the last of these, so that one misses nothing who
        goes on from there. Raises EventsGoneError where some of it is no longer in the log.
        """
        if after_event is None:
            return self._store.events()
        from pq_cli.queue.following import past  # start-up: for who comes back only

        return past(self._store, valid_whole("after_event", after_event, 0, _LAST_EVENT))

    def follow(
        self,
        after_event: int = 0,
        *,
        idle: Callable[[], object] | None = None,
        trouble: Callable[[TryAgainError], object] | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Yield what `log` has after the event of this number, and then what happens, for ever.

        Each event once, within a quarter of a second, at next to no CPU and without a lock. idle:
        called each time when all was told. trouble: called with the TryAgainError of a queue that
        cannot be read for now, and then it is tried again; without it that is raised. Raises
        EventsGoneError, also when the log was bounded before the events could be read.
        """
        from pq_cli.queue.following import follow

        valid_whole("after_event", after_event, 0, _LAST_EVENT)
        if idle is not None:
            valid_callable("idle", idle, "a function without arguments")
        if trouble is not None:
            valid_callable("trouble", trouble, "a function of a TryAgainError")
        return follow(self._store, after_event, idle, trouble)

    def followers(self, item: Item | int | str) -> list[int]:
        """Return the ids of the items that wait for this one, or failed or are held with it."""
        return list(self._store.followers.of(valid_reference(item)[0]))

    def ends(
        self, items: Iterable[Item | int | str], *, wait: float = float("inf")
    ) -> Iterator[Ended]:
        """Yield how each of the items ended, as soon as it has; each id once.

        Also of what is gone, as the log tells. wait: seconds, 0 not at all; waiting costs next to
        no CPU. Raises NoSuchItemError for what neither the queue nor its log knows, before it
        waits; and TryAgainError when they have not all ended in that time.
        """
        from pq_cli.queue.ends import ends  # start-up: for who waits only

        return ends(self._store, items, wait)

    def drained(self, *, wait: float = 0.0) -> bool:
        """Tell whether nothing is pending, delayed or active; wait so many seconds for that."""
        from pq_cli.queue.ends import drained

        return drained(self._store, wait)

    def lost(self, items: Sequence[Item]) -> list[Item]:
        """Return those of the items, as this queue gave them, whose state or claim is over.

        Quick: it is asked some times a second. When in doubt it stands.
        """
        return self._store.lost(items)

    def count(self, states: Iterable[State]) -> int:
        """Return how many items are in `states` (delayed ones that are due are still delayed)."""
        return self._store.count(valid_states(states) or ())

    def __len__(self) -> int:
        """Return the number of live items: active, pending, delayed and held."""
        return self._store.count(LIVE)


def _prefix(text: str) -> str:
    if not isinstance(text, str):
        raise wrong("prefix", text, "text, a str")
    return text
