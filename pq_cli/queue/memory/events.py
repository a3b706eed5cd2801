"""What happened in a queue in memory, lately."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from pq_cli.errors import EventsGoneError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from threading import RLock
    from typing import Any

_MOST = 10_000


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
