"""What a pool tells of itself, and how it is told to stop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from pq_cli.core.item import Item
from pq_cli.core.record import Record
from pq_cli.queue.outcome import Outcome, Verdict


class Event(Record):
    """Something that happened.

    kind: `start`, `end`, `lost` (the claim was taken away), `gate`, `pace`, or `wait` (lock or disk
    have refused something for a second: the end of the item, or a claim where there is none; it
    is tried again).

    seconds: how long the attempt took. outcome: what it came to. open: what the gate said.
    slow: whether the pool slows down from now on, after how many failures `in_a_row`. error: why
    something has to wait.
    """

    kind: str
    item: Item | None = None
    outcome: Outcome | None = None
    seconds: float = 0.0
    open: bool = True
    slow: bool = False
    in_a_row: int = 0
    error: Exception | None = None


class Watch(Protocol):
    """A plain function that is told of every Event, on the event loop; it should not take long."""

    def __call__(self, event: Event, /) -> None:
        """Hear of it."""


class Summary(Record):
    """How many attempts ended in which way.

    retried: failed; the item is tried again, or is out of attempts. dead: failed for good at once.
    deferred: put off, uncounted. released: given back, uncounted. lost: the claim was taken away.
    """

    done: int = 0
    retried: int = 0
    dead: int = 0
    deferred: int = 0
    released: int = 0
    lost: int = 0

    @property
    def failed(self) -> int:
        """The attempts that did not end well; those called off are left out."""
        return self.retried + self.dead + self.deferred + self.lost


COUNTED = {
    Verdict.DONE: "done",
    Verdict.RETRY: "retried",
    Verdict.DEAD: "dead",
    Verdict.DEFER: "deferred",
    Verdict.RELEASE: "released",
}
"""The field of `Summary` that counts each verdict."""


class Stop:
    """Asks a running `drain` or `work` to stop; call `request` from any thread or signal handler.

    The first request: claim no more, let what runs finish. Each further one cancels what
    runs, and its items go back uncounted. (Plain functions cannot be cancelled: they finish.)
    """

    def __init__(self) -> None:
        self.requests = 0
        self._listeners: list[Callable[[], None]] = []

    def request(self) -> None:
        """Ask once (more)."""
        self.requests += 1
        for listener in self._listeners:
            listener()

    def listen(self, listener: Callable[[], None]) -> None:
        """Call `listener` at each request."""
        self._listeners.append(listener)
