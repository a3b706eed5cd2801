"""The outcome of an attempt: what becomes of its item, also while lock or disk refuse it.

And a claim as a context that ends by it.
"""

from __future__ import annotations

import threading
import time
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

from pq_cli.core.item import Item
from pq_cli.core.record import Record
from pq_cli.errors import (
    LockTimeoutError,
    NoSuchItemError,
    PqError,
    StaleClaimError,
    TryAgainError,
    UsageError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from pq_cli.queue.verbs import Queue

    T = TypeVar("T")

END_AGAIN = 1.0
"""Seconds between tries to write down how work ended, or goes on, while disk or lock refuse."""
LOOK_AGAIN = 0.5
"""Seconds between looks whether claims still stand: what was cancelled is called off this soon."""
_SILENT = 1.0
"""Seconds after which people are told what it is that has to wait."""


class Verdict(Enum):
    """What becomes of an item after an attempt."""

    DONE = "done"
    DEFER = "defer"
    """Retry later, and do not count it: the item is fine, the world is not."""
    RETRY = "retry"
    """Retry until max_attempts, then failed."""
    DEAD = "dead"
    """Failed for good."""
    RELEASE = "release"
    """Given back, uncounted: the attempt was called off."""


class Outcome(Record):
    """What an attempt came to. error: for `last_error`. status: the exit status, if there is one.

    fatal: an error that concerns every item: no more are claimed, and `drain` raises it.
    """

    verdict: Verdict
    error: str | None = None
    status: int | None = None
    fatal: BaseException | None = None


class RetryLater(Exception):
    """Raised by a handler: the item is fine, the world is not; retry later, uncounted."""


class GiveUp(Exception):
    """Raised by a handler: no retry can help, the item fails for good."""


def outcome_of(error: BaseException | None) -> Outcome:
    """Return what it means that work ended with this exception; the text becomes `last_error`.

    None: it ended well. What is no Exception (KeyboardInterrupt, SystemExit, a cancellation) is no
    fault of the item: it is given back.
    """
    if error is None:
        return Outcome(verdict=Verdict.DONE)
    if isinstance(error, RetryLater):
        return Outcome(verdict=Verdict.DEFER, error=str(error) or "put off")
    if isinstance(error, GiveUp):
        return Outcome(verdict=Verdict.DEAD, error=str(error) or "given up")
    if not isinstance(error, Exception):
        return Outcome(verdict=Verdict.RELEASE)
    words = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return Outcome(verdict=Verdict.RETRY, error=words)


def _settle(
    queue: Queue, item: Item, outcome: Outcome, done: Callable[[Item, int | None], object] | None
) -> None:
    """End a claim as its outcome says. Raises StaleClaimError when it was lost."""
    what, words, status = outcome.verdict, outcome.error, outcome.status
    if what is Verdict.DONE and done is not None:
        done(item, status)
    elif what is Verdict.DONE:
        queue.done(item, status=status)
    elif what is Verdict.DEFER:
        queue.defer(item, words, status=status)
    elif what is Verdict.RELEASE:
        queue.release(item, words)
    else:
        queue.fail(item, words, dead=what is Verdict.DEAD, status=status)


class Waiting:
    """Counts from now, the first try on. patience: seconds for which it is tried."""

    def __init__(self, patience: float) -> None:
        self._began = time.monotonic()
        self._patience = patience
        self._told = False

    def over(self) -> bool:
        """Tell whether it was tried for long enough."""
        return time.monotonic() >= self._began + self._patience

    def news(self) -> bool:
        """Tell, once, that it has taken so long that people must be told."""
        told, self._told = self._told, time.monotonic() >= self._began + _SILENT
        return self._told and not told


def patiently(take: Callable[[], T], patience: float, warn: Callable[[object], None]) -> T:
    """Return what `take` gives, tried again while it is kept waiting, for `patience` seconds."""
    waiting = Waiting(patience)
    while True:
        try:
            return take()
        except LockTimeoutError as error:
            if waiting.over():
                raise
            if waiting.news():
                warn(f"nothing can be claimed yet: {error}")


def settling(
    queue: Queue,
    item: Item,
    outcome: Outcome,
    lease: float,
    done: Callable[[Item, int | None], object] | None = None,
) -> Iterator[tuple[OSError | TryAgainError, Waiting]]:
    """End a claim as the worker contract says; yield each time that disk or lock refuse it.

    It is tried again whenever the caller, who pauses for END_AGAIN and knows whether somebody
    wants it given up, comes back: the work was done, and to forget that would do it twice. After
    `lease` seconds it raises what refused it. Raises StaleClaimError or NoSuchItemError when the
    claim was lost. done: ends, instead of `Queue.done`, what ended well with this exit status.
    """
    waiting = Waiting(lease)
    while True:
        try:
            return _settle(queue, item, outcome, done)
        except (OSError, TryAgainError) as error:
            if waiting.over():
                raise
            refused = error
        yield refused, waiting


Taken = TypeVar("Taken", bound="Item | None")


class Claimed(Generic[Taken]):
    """One claim as a context; see `Queue.claimed`. take: makes the claim, when it is entered."""

    def __init__(self, queue: Queue, take: Callable[[], Taken], lease: float | None) -> None:
        self._queue = queue
        self._take = take
        self._lease = queue.config.lease if lease is None else lease
        self._item: Item | None = None
        self.entered = False

    def __enter__(self) -> Taken:
        if self.entered:
            raise UsageError("a claim is entered once: ask the queue for another")
        self.entered = True
        item = self._item = self._take()
        if item is not None:
            try:
                self._stop_renewing = _renew(self._queue, item, self._lease)
            except BaseException:
                self._queue.release(item)
                raise
        return item

    def __exit__(self, _: object, error: BaseException | None, *__: object) -> bool:
        if self._item is None:
            return False
        try:
            self._end(self._item, outcome_of(error))
        except (PqError, OSError) as trouble:
            if error is None or isinstance(error, RetryLater | GiveUp):
                raise
            error.add_note(f"pq: item {self._item.id} could not be ended so: {trouble}")
        finally:
            self._stop_renewing()
        return isinstance(error, RetryLater | GiveUp)

    def _end(self, item: Item, outcome: Outcome) -> None:
        """Write down how the work ended; an interrupted body does not wait for lock or disk."""
        for error, _ in settling(self._queue, item, outcome, self._lease):
            if outcome.verdict is Verdict.RELEASE:
                raise error
            time.sleep(END_AGAIN)


def _renew(queue: Queue, item: Item, lease: float) -> Callable[[], None]:
    """Renew a claim in a thread, until it is lost or what is returned is called."""
    over = threading.Event()

    def run() -> None:
        pause = lease / 3
        while not over.wait(pause):
            try:
                queue.renew(item, lease)
                pause = lease / 3
            except (StaleClaimError, NoSuchItemError):
                return
            except (PqError, OSError):  # again soon; should the lease end first, the claim is lost
                pause = min(END_AGAIN, lease / 6)

    def stop() -> None:
        over.set()
        thread.join()

    thread = threading.Thread(target=run, name=f"pq {item.claim}", daemon=True)
    thread.start()
    return stop


def each(
    queue: Queue, take: Callable[[], Item | None], lease: float | None
) -> Iterator[AbstractContextManager[Item]]:
    """Yield what `take` claims, each as a context, until it claims nothing."""
    while (item := take()) is not None:
        claimed = Claimed(queue, partial(_itself, item), lease)
        try:
            yield claimed
        finally:
            if not claimed.entered:
                queue.release(item)
        if not claimed.entered:
            raise UsageError("a claim was not entered: `for claimed in ...: with claimed as item:`")


def _itself(item: Item) -> Item:
    return item
