"""Working: taking work from a queue, at once or when it comes, one by one or as contexts."""

from __future__ import annotations

import time

from pq_cli.core.arguments import valid_flag, valid_lease, valid_wait

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from pq_cli.core.item import Item
    from pq_cli.queue.store import Store

POLL = 0.2
"""Seconds between looks of a store that nobody tells what comes: within a quarter of a second."""


class Working:
    """The ways to claim, over `_claim_now`, which `Queue` has."""

    _store: Store

    def _claim_now(self, lease: float | None, bound: bool) -> Item | None:
        raise NotImplementedError

    def claim(
        self, *, lease: float | None = None, bound: bool = True, wait: float = 0.0
    ) -> Item | None:
        """Claim the next item for `lease` seconds; None when nothing is pending, or while paused.

        wait: seconds to wait for an item to come, `math.inf` for ever; waiting costs next to no
        CPU. bound: the claim ends with this process, if it dies before the lease does; give False
        when the work outlives the process that claims.
        """
        _valid(lease, wait)
        valid_flag("bound", bound)
        deadline = time.monotonic() + wait
        while True:
            item = self._claim_now(lease, bound)
            if item is not None or not wait:
                return item
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            self._store.idle(left)

    def ear(self) -> tuple[int, float] | None:
        """Return a descriptor that is readable once work may have come, and the longest wait.

        None where nobody tells what comes: look again soon. Ask anew for each wait.
        """
        return self._store.ear()

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
        from pq_cli.queue.contexts import Claimed  # start-up: commands work in their own way

        _valid(lease, wait)
        # Only Queue is a Working.
        return Claimed(self, lambda: self.claim(lease=lease, wait=wait), lease)  # type: ignore[arg-type]

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
        from pq_cli.queue.contexts import each

        _valid(lease, wait)
        return each(self, lambda: self.claim(lease=lease, wait=wait), lease)  # type: ignore[arg-type]


def _valid(lease: float | None, wait: float) -> None:
    if lease is not None:
        valid_lease(lease)
    valid_wait(wait)
