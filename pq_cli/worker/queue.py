"""What `drain` needs of a queue: `Spool` and `MemoryQueue` both have it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from pq_cli.core.item import Item, State
from pq_cli.core.policy import QueueConfig


class Queue(Protocol):
    """The verbs of a queue that work is taken from; see `Spool` for what each one means."""

    config: QueueConfig

    def claim(self, *, lease: float | None = None) -> Item | None:
        """Claim the next item, or return None when nothing is pending."""

    def done(self, item: Item, *, status: int | None = None) -> Item:
        """End a claimed item well."""

    def fail(
        self,
        item: Item,
        error: str | None = None,
        *,
        dead: bool = False,
        status: int | None = None,
    ) -> Item:
        """End an attempt badly."""

    def defer(self, item: Item, error: str | None = None, *, status: int | None = None) -> Item:
        """Put an item off, uncounted."""

    def release(self, item: Item, error: str | None = None) -> Item:
        """Give a claimed item back, uncounted."""

    def renew(self, item: Item, lease: float | None = None) -> Item:
        """Prolong a claim."""

    def items(self, states: Iterable[State] | None = None) -> Iterable[Item]:
        """Yield items in serving order."""
