"""Arrivals: how items that have a past enter a store; a part of the contract in `queue.store`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from typing import Any, BinaryIO, Self

    from pq_cli.core.item import Item
    from pq_cli.core.origin import Origin
    from pq_cli.errors import PqError


class Received(Protocol):
    """A payload on its way in from elsewhere; see `Arrivals.receive`."""

    @property
    def size(self) -> int:
        """Its bytes."""

    @property
    def checksum(self) -> str:
        """As `core.item.checksum_text` writes it."""


class Arrivals(Protocol):
    """One import: items that have a past enter in batches, each exactly once.

    A context. What was not committed when it is left has not entered, and leaves no trace.
    """

    def __enter__(self) -> Self:
        """Raises TryAgainError while another import keeps this one out."""

    def __exit__(self, *_: object) -> None:
        """Let others import."""

    def describe(self, realm: str, reader: str) -> None:
        """Remember how a realm is read: the next run reads it likewise, whatever is left of it."""

    def receive(self, stream: BinaryIO) -> Received:
        """Take in a payload in bounded memory; `add` or `discard` it then."""

    def discard(self, received: Any) -> None:
        """Throw a payload away: its item is not to enter."""

    def add(self, received: Any, item: Item, origin: Origin) -> None:
        """Let `item` enter with this payload, as `core.origin.arriving` has it.

        Its id, size and checksum are set by `commit`.
        """

    @property
    def full(self) -> bool:
        """Tell whether it is time to commit: a batch should not hold up others."""

    def commit(self) -> list[Item | PqError]:
        """Let the batch enter; return for each item added, in order, the item or why not.

        When it returns the items are durable, and their origins with them (see `Store.taken`), so
        that they cannot enter again. A key that a live item has gives KeyTakenError, a full queue
        QueueFullError.
        """
