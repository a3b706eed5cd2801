"""What a store in memory has beside its items: who works, who waits for whom, what happened."""

from __future__ import annotations

from collections import deque
from secrets import token_hex
from typing import TYPE_CHECKING

from pq_cli.core import transitions
from pq_cli.core.insight.workers import Duty, Worker
from pq_cli.core.item import Holder
from pq_cli.errors import EventsGoneError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from threading import RLock
    from typing import Any

    from pq_cli.core.item import Item, State

_MOST = 10_000


class MemoryAttendance:
    """Shows that somebody attends in this process, under a name among those that `here` holds."""

    def __init__(self, here: dict[str, float], now: float) -> None:
        self._here = here
        self.name = token_hex(8)
        here[self.name] = now

    def fileno(self) -> int:
        """Raise UsageError: there is none."""
        raise UsageError("a queue in memory has no lock that a child could inherit")

    def close(self) -> None:
        """Be seen no more."""
        self._here.pop(self.name, None)


class MemoryAttends:
    """The part of a `Store` that knows who is at work; all are of this process."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.now = clock
        self._here: dict[str, float] = {}
        self._attendance = self._own = ""
        self._duty = Duty()

    def holder(self, *, bound: bool) -> Holder:
        lock = self._attendance
        if bound and lock not in self._here:
            self._own = lock = self._own or MemoryAttendance(self._here, self.now()).name
        return Holder(
            host="", pid=0, boot=None, started=None, since=0.0, lock=lock if bound else None
        )

    def attend(self) -> MemoryAttendance:
        attendance = MemoryAttendance(self._here, self.now())
        self._attendance = attendance.name
        return attendance

    def describe(self, duty: Duty) -> None:
        self._duty = duty

    def workers(self) -> Iterator[Worker]:
        for name, since in list(self._here.items()):
            yield Worker(lock=name, host="", pid=0, since=since, duty=self._duty)


class MemoryFollowers:
    """Who waits for whom; see `queue.followers.Followers`. find: returns an item by id, or None."""

    def __init__(self, find: Callable[[int], Item | None]) -> None:
        self.untold: dict[int, State | None] = {}
        self._of: dict[int, set[int]] = {}
        self._find = find

    def of(self, item_id: int) -> list[int]:
        return sorted(self._of.get(item_id, ()))

    def told(self, item_id: int) -> None:
        del self.untold[item_id]

    def stand(self, ids: Sequence[int], *, fixed: bool = False) -> dict[int, State]:
        ended = self.untold.items()
        known = {i: how for i, how in ended if how is not None and i in ids}
        items = filter(None, map(self._find, ids))
        return known | {item.id: transitions.standing(item.state, item.was) for item in items}

    def refused(self, error: OSError) -> None:
        raise error

    def moved(self, before: Item | None, after: Item | None) -> None:
        """Follow an item that changes; None: it is new, or is dropped."""
        old, new = transitions.ties(before), transitions.ties(after)
        item_id = (before or after).id  # type: ignore[union-attr]
        for parent in old:
            self._of[parent].discard(item_id)
            if not self._of[parent] and parent not in new:
                del self._of[parent]
        for parent in new:
            self._of.setdefault(parent, set()).add(item_id)
        if before is not None and before.id in self._of:
            stands = transitions.stands_anew(before, after)
            if stands is not None:
                self.untold[before.id] = stands


class MemoryEvents:
    """The last events, numbered from 1; used under the lock, but for a tail's `read`."""

    def __init__(self, lock: RLock) -> None:
        self.lock = lock
        self.last = 0
        self._events: deque[dict[str, Any]] = deque(maxlen=_MOST)

    def note(self, event: dict[str, Any]) -> None:
        """Keep an event; the oldest goes where there are many."""
        self.last += 1
        self._events.append({"number": self.last, **event})

    def after(self, number: int) -> list[dict[str, Any]]:
        """Return the events that came after the one of this number. Raises EventsGoneError."""
        with self.lock:
            if number and not self.last - len(self._events) <= number <= self.last:
                raise EventsGoneError.after(number, self.last)
            return [dict(event) for event in self._events if event["number"] > number]


class MemoryTail:
    """See `queue.following.Tail`."""

    def __init__(self, events: MemoryEvents, after: int) -> None:
        self._events = events
        self._after = after

    def read(self) -> Iterator[dict[str, Any]]:
        """Yield what came since."""
        for event in self._events.after(self._after):
            self._after = event["number"]
            yield event

    def close(self) -> None:
        """Nothing to let go of."""
