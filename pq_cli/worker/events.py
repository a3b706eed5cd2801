"""What a pool tells of itself, and how it is told to stop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Protocol

from pq_cli.core.insight.workers import Duty
from pq_cli.core.item import Item
from pq_cli.core.record import Record
from pq_cli.errors import PqError, TryAgainError
from pq_cli.queue.outcome import END_AGAIN, Outcome, Verdict
from pq_cli.queue.verbs import Queue

SHARED = 0.05
"""Seconds that what is done waits at most for a sync, which others then share."""
_PATIENCE = 60.0
"""Seconds for which a sync that is refused for now is tried again."""


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
    """A plain function that is told of every Event, on the event loop; it should not take long.

    Events come in order. That an item is done is told once that survives a power loss, with
    durability "full" up to 50 ms and a sync later, and what comes meanwhile after it.
    """

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


class Notice:
    """What others can see of a pool while it works (see `Queue.describe`); told when it changes."""

    def __init__(self, queue: Queue, slots: int) -> None:
        self._queue = queue
        self._duty = Duty()
        self._say(slots=slots)

    def gate(self, is_open: bool) -> None:
        """Note what the gate has said."""
        if is_open is not (self._duty.gate_closed is None):
            self._say(gate_closed=None if is_open else self._now())

    def pace(self, slow: bool, in_a_row: int) -> None:
        """Note that the pool slows down, or is at full speed again."""
        self._say(slow=self._now() if slow else None, in_a_row=in_a_row)

    def close(self) -> None:
        """Say no more: the process may go on without the pool."""
        self._queue.describe(Duty())

    def _say(self, **changed: Any) -> None:
        self._duty = self._duty.replace(**changed)
        self._queue.describe(self._duty)

    def _now(self) -> float:
        try:
            return self._queue.now()
        except (PqError, OSError):
            return time.time()  # a server that cannot be reached


class Telling:
    """Tells a watch what happens, in order; that an item is done, once that survives a power loss.

    `done` counts for everybody at once, and its sync is shared: SHARED seconds after the first that
    waits for one there is one for all. failed: called with what a sync or the watch has raised.
    """

    def __init__(
        self, queue: Queue, watch: Watch | None, failed: Callable[[BaseException], None]
    ) -> None:
        self._queue, self._watch, self._failed = queue, watch, failed
        self.shares = queue.config.durability == "full"
        """Whether what is done may be left for a shared sync."""
        self._waiting: list[Event] = []
        self._now = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def tell(self, event: Event) -> None:
        """Tell of an event, or have it wait for its sync, or for those that wait already."""
        if self._task is None and self.shares and _is_done(event):
            self._now.clear()
            self._task = asyncio.create_task(self._sync())
        if self._task is None:
            self._hear(event)
        else:
            self._waiting.append(event)

    async def close(self) -> None:
        """Sync what is left to be synced, and tell of it."""
        while self._task is not None:
            self._now.set()
            await asyncio.wait([self._task])

    async def _sync(self) -> None:
        try:
            while any(map(_is_done, self._waiting)):
                try:
                    async with asyncio.timeout(SHARED):
                        await self._now.wait()
                except TimeoutError:
                    pass
                events, self._waiting = self._waiting, []
                await self._settled()
                for event in events:
                    self._hear(event)
        except Exception as error:
            self._failed(error)
        self._task = None
        events, self._waiting = self._waiting, []
        for event in events:
            self.tell(event)

    async def _settled(self) -> None:
        """Sync; a server that is gone for a while is waited for, as it is where claims end."""
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                await asyncio.to_thread(self._queue.settle)
                return
            except TryAgainError:
                if time.monotonic() >= until:
                    raise
            await asyncio.sleep(END_AGAIN)

    def _hear(self, event: Event) -> None:
        if self._watch is not None:
            self._watch(event)


def _is_done(event: Event) -> bool:
    outcome = event.outcome if event.kind == "end" else None
    return outcome is not None and outcome.verdict is Verdict.DONE
