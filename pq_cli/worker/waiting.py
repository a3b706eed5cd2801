"""Waiting: something that lock or disk refuse, and that is tried again for a while."""

from __future__ import annotations

import time

from pq_cli.errors import LockTimeoutError, TryAgainError
from pq_cli.queue.outcome import settle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeVar

    from pq_cli.core.item import Item
    from pq_cli.queue.outcome import Outcome
    from pq_cli.queue.verbs import Queue

    T = TypeVar("T")

SETTLE_AGAIN = 1.0
"""Seconds between tries to write down how an attempt ended, while disk or lock refuse."""
_SILENT = 1.0
"""Seconds after which people are told what it is that has to wait."""


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
    """Return what `take` gives, tried again while the lock is busy and patience lasts (seconds)."""
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
    queue: Queue, item: Item, outcome: Outcome, lease: float, *, later: bool = False
) -> Iterator[tuple[OSError | TryAgainError, Waiting]]:
    """End a claim as the worker contract says; yield each time that disk or lock refuse it.

    It is tried again whenever the caller, who pauses for SETTLE_AGAIN and knows whether somebody
    wants it given up, comes back: the work was done, and to forget that would do it twice. After
    `lease` seconds it raises what refused it. Raises StaleClaimError or NoSuchItemError when the
    claim was lost. later: as of `settle`.
    """
    waiting = Waiting(lease)
    while True:
        try:
            return settle(queue, item, outcome, later=later)
        except (OSError, TryAgainError) as error:
            if waiting.over():
                raise
            refused = error
        yield refused, waiting
