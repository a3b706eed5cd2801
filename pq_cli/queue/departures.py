"""Departures: items on their way to another queue, kept here until the other side has them.

An item that is sent for good is first marked: `leaving` in its meta says in which state it was and
which export sends it, and a pending or delayed one becomes `held`, so that nobody here works at it.
At the end of that export it is removed, or put back as it was. What a crash leaves marked is sent
again by the next export, which takes it over; `pq retry` puts it back to work.
"""

from __future__ import annotations

from secrets import token_hex

from pq_cli.core.events import transition
from pq_cli.core.item import Item, State
from pq_cli.core.origin import as_sent
from pq_cli.core.transitions import LEAVING, due, leaving, stamp, stayed
from pq_cli.errors import ConflictError, NoSuchItemError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

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
                    item = self._ours(item_id)
                except (NoSuchItemError, ConflictError):
                    continue
                after = stayed(item).replace(updated_at=stamp(now))
                if after.state is State.DELAYED and (after.not_before or 0.0) <= now:
                    after = due(after)
                changes.append((item, after))
            self._put(changes)

    def _put(self, changes: Sequence[tuple[Item, Item]]) -> None:
        self._store.put_many(changes)
        for before, after in changes:
            event = transition(before, after) if after.state is not before.state else None
            if event is not None:
                self._store.note(event)

    def check_removable(self, item_id: int) -> State:
        """Return the state of an item that this export has marked.

        Raises NoSuchItemError when it is gone, and ConflictError when it is no longer this
        export's to remove.
        """
        return self._ours(item_id).state

    def _ours(self, item_id: int) -> Item:
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
