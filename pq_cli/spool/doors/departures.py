"""Departures: items on their way to another spool, kept here until the other side has them.

An item that is sent for good is first marked: `leaving` in its meta says in which state it was and
which export sends it, and a pending or delayed one becomes `held`, so that nobody here works at it.
At the end of that export it is removed, or put back as it was. What a crash leaves marked is sent
again by the next export, which takes it over; `pq retry` puts it back to work.
"""

from __future__ import annotations

import os

from pq_cli.core.events import transition
from pq_cli.core.item import Item, State
from pq_cli.core.timefmt import format_time
from pq_cli.core.transitions import LEAVING, due, stamp, stayed
from pq_cli.errors import ConflictError, NoSuchItemError
from pq_cli.spool.disk.state import spool_uuid
from pq_cli.spool.doors.ledger import Origin
from pq_cli.spool.files import Files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_WAITING = (State.PENDING, State.DELAYED)


def origin_of(item: Item, uuid: str) -> Origin:
    """Return the origin of an item of the spool `uuid`.

    Time and size tell apart the items of two copies of one spool that went on counting.
    """
    return Origin(
        realm=f"spool {uuid}", name=f"{item.id} {format_time(item.created_at)} {item.size}"
    )


def as_sent(item: Item) -> Item:
    """Return the item in the state in which it is to arrive: as it was before it was marked."""
    item = stayed(item)
    item = item.replace(extra={name: v for name, v in item.extra.items() if name != "origin"})
    return item.replace(state=State.PENDING) if item.state is State.ACTIVE else item


def sent_state(item: Item) -> State:
    """Return the state in which the item was before it was marked, or is."""
    return stayed(item).state


class Departures:
    """Marks items of one spool as leaving, and puts them back."""

    def __init__(self, files: Files, clock: Callable[[], float]) -> None:
        self._files = files
        self._clock = clock
        self._export = os.urandom(8).hex()

    def uuid(self) -> str:
        """Return what tells this spool from all others. Looks only: see `spool_uuid`."""
        return spool_uuid(self._files.present_state(), self._files.root)

    def mark(self, ids: Sequence[int]) -> list[Item]:
        """Mark those of the items that wait or have ended; return them as they are to arrive.

        Durable in "full" when it returns. Passed over is what is active, removed or gone.
        """
        files, marked = self._files, []
        with files:
            if files.state.uuid is None:  # sent again, its items must be known, wherever it is then
                files.set_state(files.state.replace(uuid=spool_uuid(files.state, files.root)))
            for item_id in ids:
                try:
                    item = files.reader.find(item_id)
                except NoSuchItemError:
                    continue
                if item.state not in (State.ACTIVE, State.REMOVED):
                    self._mark(item)
                    marked.append(as_sent(item))
            # Each new meta is synced before it takes the place of the old one; the moves together.
            if files.disk.sync:
                files.disk.sync_file_system()
        return marked

    def _mark(self, item: Item) -> None:
        was = stayed(item)
        due_at = None if was.not_before is None else format_time(was.not_before)
        mark = {"state": str(was.state), "not_before": due_at, "export": self._export}
        after = item.replace(
            state=State.HELD if item.state in _WAITING else item.state,
            not_before=None,
            updated_at=stamp(self._clock()),
            extra={**item.extra, LEAVING: mark},
        )
        self._files.move(item, after, sync=False)
        if after.state is not item.state:
            self._files.log.note(transition(item, after))

    def put_back(self, ids: Sequence[int]) -> None:
        """Let those of the items that this export has marked stand as they were."""
        files, now = self._files, self._clock()
        with files:
            for item_id in ids:
                try:
                    item = self._ours(item_id)
                except (NoSuchItemError, ConflictError):
                    continue
                after = stayed(item).replace(updated_at=stamp(now))
                if after.state is State.DELAYED and (after.not_before or 0.0) <= now:
                    after = due(after)
                files.move(item, after, sync=False)
                if after.state is not item.state:
                    files.log.note(transition(item, after))
            if files.disk.sync:
                files.disk.sync_file_system()

    def check_removable(self, item_id: int) -> State:
        """Return the state of an item that this export has marked.

        Raises NoSuchItemError when it is gone, and ConflictError when it is no longer this
        export's to remove.
        """
        return self._ours(item_id).state

    def _ours(self, item_id: int) -> Item:
        item = self._files.reader.find(item_id)
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
