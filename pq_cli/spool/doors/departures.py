"""Departures: items on their way to another spool, kept here until the other side has them.

An item that is sent for good is first marked: `leaving` in its meta says in which state it was,
and a pending or delayed one becomes `held`, so that nobody here works at it. Only a receipt of the
other side removes it. Until then it may be sent again (the other side takes it once), or be put
back to work by `pq retry`, which takes the mark away: then a receipt no longer removes it.
"""

from __future__ import annotations

from pq_cli.core.events import record, transition
from pq_cli.core.item import Item, State
from pq_cli.core.timefmt import format_time, parse_time
from pq_cli.core.transitions import LEAVING, stamp
from pq_cli.errors import ConflictError, NoSuchItemError
from pq_cli.spool.disk.state import spool_uuid
from pq_cli.spool.doors.ledger import Origin
from pq_cli.spool.files import Files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_WAITING = (State.PENDING, State.DELAYED)
_STAY = (State.HELD, State.FAILED, State.DONE)


def origin_of(item: Item, uuid: str) -> Origin:
    """Return the origin of an item of the spool `uuid`.

    Time and size tell apart the items of two copies of one spool that went on counting.
    """
    return Origin(
        realm=f"spool {uuid}", name=f"{item.id} {format_time(item.created_at)} {item.size}"
    )


def as_sent(item: Item) -> Item:
    """Return the item in the state in which it is to arrive: as it was before it was marked."""
    extra = {name: value for name, value in item.extra.items() if name not in (LEAVING, "origin")}
    item = item.replace(extra=extra) if extra != item.extra else item.replace()
    if item.state is State.ACTIVE:
        return item.replace(state=State.PENDING)
    return item


def sent_state(item: Item) -> State:
    """Return the state in which the item was before it was marked, or is."""
    mark = item.extra.get(LEAVING)
    try:
        return State(mark["state"]) if isinstance(mark, dict) else item.state
    except (KeyError, ValueError):
        return item.state


class Departures:
    """Marks items of one spool as leaving, and lets them go."""

    def __init__(self, files: Files, clock: Callable[[], float]) -> None:
        self._files = files
        self._clock = clock

    def uuid(self) -> str:
        """Return what tells this spool from all others. Looks only: see `spool_uuid`."""
        return spool_uuid(self._files.present_state(), self._files.root)

    def mark(self, ids: Sequence[int]) -> list[Item]:
        """Mark those of the items that wait or have ended; return them as they are to arrive.

        Durable in "full" when it returns. Passed over is what is active or gone.
        """
        files, marked = self._files, []
        with files:
            if files.state.uuid is None:  # its receipts must find it, wherever it will be then
                files.set_state(files.state.replace(uuid=spool_uuid(files.state, files.root)))
            for item_id in ids:
                try:
                    item = files.reader.find(item_id)
                except NoSuchItemError:
                    continue
                if item.state is not State.ACTIVE:
                    marked.append(self._mark(item))
            # Each new meta is synced before it takes the place of the old one; the moves together.
            if files.disk.sync:
                files.disk.sync_file_system()
        return marked

    def _mark(self, item: Item) -> Item:
        mark = item.extra.get(LEAVING)
        if isinstance(mark, dict):
            due = mark.get("not_before")
            was = item.replace(
                state=sent_state(item), not_before=None if due is None else parse_time(str(due))
            )
            return as_sent(was)
        due = None if item.not_before is None else format_time(item.not_before)
        after = item.replace(
            state=State.HELD if item.state in _WAITING else item.state,
            not_before=None,
            updated_at=stamp(self._clock()),
            extra={**item.extra, LEAVING: {"state": str(item.state), "not_before": due}},
        )
        self._files.move(item, after, sync=False)
        self._files.log.note(transition(item, after))
        return as_sent(item)

    def let_go(self, uuid: str, receipt: Origin) -> bool:
        """Remove the item of a receipt; False when it is gone already.

        Raises ConflictError when the receipt is of another spool, or the item was put back to
        work since it was sent.
        """
        if receipt.realm != f"spool {uuid}":
            raise ConflictError(f"a receipt for another spool: {receipt.realm}")
        item_id = int(receipt.name.partition(" ")[0])
        with self._files:
            try:
                item = self._files.reader.find(item_id)
            except NoSuchItemError:
                return False
            if origin_of(item, uuid) != receipt:
                raise ConflictError(f"item {item_id} is not the one of the receipt")
            if LEAVING not in item.extra or item.state not in _STAY:
                raise ConflictError(
                    f"item {item_id} was put back to work after it was sent: it is in both places"
                )
            self._files.erase(item)
            self._files.log.note(record("removed", item, self._clock()))
        return True
