"""Departures and arrivals: items on their way from one queue to another, kept here until then.

An item that is sent for good is first marked: `leaving` in its meta says in which state it was and
which export sends it, and a pending or delayed one becomes `held`, so that nobody here works at it.
At the end of that export it is removed, or put back as it was. What a crash leaves marked is sent
again by the next export, which takes it over; `pq retry` puts it back to work.
"""

from __future__ import annotations

from secrets import token_hex
from typing import TYPE_CHECKING, Protocol

from pq_cli.core.events import transition
from pq_cli.core.item import Item, State
from pq_cli.core.origin import as_sent
from pq_cli.core.transitions import LEAVING, due, leaving, stamp, stayed
from pq_cli.errors import ConflictError, NoSuchItemError
from pq_cli.queue.followers import tell, up_to_date

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, BinaryIO, Self

    from pq_cli.core.origin import Origin
    from pq_cli.errors import PqError
    from pq_cli.queue.store import Store


class Departures:
    """Marks items of one queue as leaving, and puts them back: one export."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._export = token_hex(8)

    def mark(self, ids: Sequence[int]) -> list[Item]:
        """Mark those of the items that wait or have ended; return them as they are to arrive.

        Durable in "full" when it returns. Passed over is what is active, removed or gone.
        """
        store, changes = self._store, []
        with store.transaction():
            now = store.now()
            store.uuid(lasting=True)  # sent again, its items must be known, wherever it is then
            for item_id in ids:
                try:
                    item = store.find(item_id)
                except NoSuchItemError:
                    continue
                if item.state not in (State.ACTIVE, State.REMOVED):
                    changes.append((item, leaving(item, now, self._export)))
            self._put(changes)
        return [as_sent(before) for before, _ in changes]

    def put_back(self, ids: Sequence[int]) -> None:
        """Let those of the items that this export has marked stand as they were."""
        store, changes = self._store, []
        with store.transaction():
            now = store.now()
            for item_id in ids:
                try:
                    item = self.marked(item_id)
                except (NoSuchItemError, ConflictError):
                    continue
                after = up_to_date(store, stayed(item).replace(updated_at=stamp(now)), now)
                changes.append((item, due(after, now)))
            self._put(changes)

    def _put(self, changes: Sequence[tuple[Item, Item]]) -> None:
        self._store.put_many(changes)
        for before, after in changes:
            event = transition(before, after) if after.state is not before.state else None
            if event is not None:
                self._store.note(event)
        tell(self._store, self._store.put)

    def marked(self, item_id: int) -> Item:
        """Return an item that this export has marked.

        Raises NoSuchItemError when it is gone, and ConflictError when it is no longer this
        export's to remove.
        """
        item = self._store.find(item_id)
        mark = item.extra.get(LEAVING)
        if item.state is State.REMOVED:
            raise NoSuchItemError(f"item {item_id} was removed while it was sent")
        if not isinstance(mark, dict):
            raise ConflictError(
                f"item {item_id} was put back to work while it was sent: it is in both places"
            )
        if mark.get("export") != self._export:
            raise ConflictError(f"item {item_id} is being sent by another pq export")
        return item


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
