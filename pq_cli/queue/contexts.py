"""Working: a claim as a context, which is renewed while its body runs and ended as that ends."""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

from pq_cli.errors import NoSuchItemError, PqError, StaleClaimError, TryAgainError, UsageError
from pq_cli.queue.outcome import GiveUp, Outcome, RetryLater, Verdict, outcome_of, settle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from types import TracebackType

    from pq_cli.core.item import Item
    from pq_cli.queue.verbs import Queue

END_AGAIN = 1.0
"""Seconds between tries to write down how the work ended, while disk or lock refuse."""


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

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
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
        """Write down how the work ended.

        What disk or lock refuse is tried again while the lease lasts: the work was done, and to
        forget that would do it twice. An interrupted body does not wait for that.
        """
        deadline = time.monotonic() + self._lease
        while True:
            try:
                return settle(self._queue, item, outcome)
            except (OSError, TryAgainError):
                if outcome.verdict is Verdict.RELEASE or time.monotonic() >= deadline:
                    raise
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
