"""Queue: the verbs that every queue has, and those that are made of them, once for all queues."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod

from pq_cli.core.arguments import valid_flag, valid_lease, valid_wait

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from contextlib import AbstractContextManager
    from typing import Any, BinaryIO, Self

    from pq_cli.core.item import Item, State
    from pq_cli.core.policy import AgedGroup, Pause, QueueConfig

POLL = 0.2
"""Seconds between looks while waiting: work is noticed within a quarter of a second."""


class Queue(ABC):
    """What `Spool` and `MemoryQueue` both are: a program can be given either.

    An item is named by its id (int or text), by a claim (`"1742.2"`), or by the Item itself. What
    is no argument of a verb is a UsageError that says what is wanted, and changes nothing. Threads
    may share a queue. As a context it is closed at the end.
    """

    config: QueueConfig

    # -- in ------------------------------------------------------------------

    @abstractmethod
    def enqueue(
        self,
        payload: bytes | BinaryIO,
        *,
        priority: int | None = None,
        key: str | None = None,
        if_exists: str = "skip",
        delay: float | None = None,
        at: float | None = None,
        max_attempts: int | None = None,
        name: str | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> Item:
        """Add an item and return it; the fields are those of `Request`."""

    # -- claims --------------------------------------------------------------

    def claim(
        self, *, lease: float | None = None, bound: bool = True, wait: float = 0.0
    ) -> Item | None:
        """Claim the next item for `lease` seconds; None when nothing is pending, or while paused.

        wait: seconds to wait for an item to come, `math.inf` for ever; waiting costs next to no
        CPU. bound: the claim ends with this process, if it dies before the lease does; give False
        when the work outlives the process that claims.
        """
        if lease is not None:
            valid_lease(lease)
        valid_flag("bound", bound)
        deadline = time.monotonic() + valid_wait(wait)
        while True:
            item = self._take(lease, bound)
            if item is not None or not wait:
                return item
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            self._idle(min(POLL, left))

    @abstractmethod
    def _take(self, lease: float | None, bound: bool) -> Item | None:
        """Claim the next item if there is one now."""

    def _idle(self, seconds: float) -> None:
        """Let so many seconds pass, or fewer if something has changed."""
        time.sleep(seconds)

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
        from pq_cli.core.working import Claimed

        _valid(lease, wait)
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
        from pq_cli.core.working import each

        _valid(lease, wait)
        return each(self, lambda: self.claim(lease=lease, wait=wait), lease)

    @abstractmethod
    def done(self, item: Item | int | str, *, status: int | None = None) -> Item:
        """End a claimed item well. Raises StaleClaimError or NoSuchItemError."""

    @abstractmethod
    def fail(
        self,
        item: Item | int | str,
        error: str | None = None,
        *,
        dead: bool = False,
        status: int | None = None,
    ) -> Item:
        """End an attempt badly: retry later, or dead letter. Raises StaleClaimError."""

    @abstractmethod
    def defer(
        self, item: Item | int | str, error: str | None = None, *, status: int | None = None
    ) -> Item:
        """Put an item off: retried after a growing wait, uncounted. Raises StaleClaimError."""

    @abstractmethod
    def release(self, item: Item | int | str, error: str | None = None) -> Item:
        """Give a claimed item back, uncounted; `error` says why. Raises StaleClaimError."""

    @abstractmethod
    def renew(self, item: Item | int | str, lease: float | None = None) -> Item:
        """Prolong a claim to `lease` seconds from now. Raises StaleClaimError."""

    # -- changes by people ---------------------------------------------------

    @abstractmethod
    def retry(self, item: Item | int | str, priority: int | None = None) -> Item:
        """Send a failed, held or delayed item back to pending. Raises ConflictError."""

    @abstractmethod
    def hold(self, item: Item | int | str) -> Item:
        """Suspend a pending or delayed item. Raises ConflictError."""

    @abstractmethod
    def change(
        self,
        item: Item | int | str,
        *,
        priority: int | None = None,
        delay: float | None = None,
        at: float | None = None,
    ) -> Item:
        """Change base priority or due time (`delay` from now, or `at`). Raises ConflictError."""

    @abstractmethod
    def remove(self, item: Item | int | str, *, state: State | None = None) -> Item:
        """Remove an item that nobody works on. Raises ConflictError, NoSuchItemError."""

    @abstractmethod
    def age(self, at: float | None = None, *, dry_run: bool = False) -> list[AgedGroup]:
        """Return what has aged at `at` (default now); the manual clock moves there."""

    @abstractmethod
    def pause(self, reason: str | None = None) -> None:
        """Let nothing be claimed until `resume`; everything else goes on."""

    @abstractmethod
    def resume(self) -> bool:
        """Let items be claimed again; tell whether the queue was paused."""

    # -- looking -------------------------------------------------------------

    @abstractmethod
    def get(self, item: Item | int | str) -> Item:
        """Return the item as it stands now. Raises NoSuchItemError."""

    @abstractmethod
    def payload(self, item: Item | int | str) -> bytes:
        """Return the payload. Raises NoSuchItemError."""

    @abstractmethod
    def items(self, states: Iterable[State] | None = None) -> Iterator[Item]:
        """Yield the items in the order they would be served now, then the others."""

    @property
    @abstractmethod
    def paused(self) -> Pause | None:
        """Since when and why nothing is claimed, or None."""

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of live items: active, pending, delayed and held."""

    # -- the end -------------------------------------------------------------

    @abstractmethod
    def close(self) -> None:
        """Let go of what is open; the next verb opens it again."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _valid(lease: float | None, wait: float) -> None:
    if lease is not None:
        valid_lease(lease)
    valid_wait(wait)
