"""Working: a claim as a context, which is renewed while its body runs and ended as that ends."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

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


class Claimed:
    """One claim as a context; see `Queue.claimed`. take: makes the claim, when it is entered."""

    def __init__(self, queue: Queue, take: Callable[[], Item | None], lease: float | None) -> None:
        self._queue = queue
        self._take = take
        self._lease = queue.config.lease if lease is None else lease
        self._item: Item | None = None
        self.entered = False

    def __enter__(self) -> Item | None:
        if self.entered:
            raise UsageError("a claim is entered once: ask the queue for another")
        self.entered = True
        item = self._item = self._take()
        if item is not None:
            try:
                self._renewal = _Renewal(self._queue, item, self._lease)
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
            self._renewal.stop()
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


class _Renewal:
    """A thread that renews a claim until `stop`, or until the claim is lost."""

    def __init__(self, queue: Queue, item: Item, lease: float) -> None:
        self._queue, self._item, self._lease = queue, item, lease
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"pq {item.claim}", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        pause = self._lease / 3
        while not self._over.wait(pause):
            try:
                self._queue.renew(self._item, self._lease)
                pause = self._lease / 3
            except (StaleClaimError, NoSuchItemError):
                return
            except (PqError, OSError):  # again soon; should the lease end first, the claim is lost
                pause = min(END_AGAIN, self._lease / 6)

    def stop(self) -> None:
        """Renew no more."""
        self._over.set()
        self._thread.join()


def each(
    queue: Queue, take: Callable[[], Item | None], lease: float | None
) -> Iterator[AbstractContextManager[Item]]:
    """Yield what `take` claims, each as a context, until it claims nothing."""
    while (item := take()) is not None:
        claimed = _Taken(queue, item, lease)
        try:
            yield claimed
        finally:
            if not claimed.entered:
                queue.release(item)
        if not claimed.entered:
            raise UsageError("a claim was not entered: `for claimed in ...: with claimed as item:`")


class _Taken(Claimed):
    """A context of a claim that is made already."""

    def __init__(self, queue: Queue, item: Item, lease: float | None) -> None:
        super().__init__(queue, lambda: item, lease)
        self._made = item

    def __enter__(self) -> Item:
        super().__enter__()
        return self._made
