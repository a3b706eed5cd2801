"""The porch: what every door has, and what is asked of an item there.

That is whose key it is, room, a free id. A door says where its payloads come from and by which
rename they enter; `Porch.check`, then `enter` is all that it must ask here.
"""

from __future__ import annotations

from pq_cli.core.item import LIVE, Item
from pq_cli.core.record import Record
from pq_cli.host import NO_BOOT, boot_id
from pq_cli.queue.request import Request, check_key, check_room
from pq_cli.spool.disk import layout
from pq_cli.spool.disk.state import allocate
from pq_cli.spool.files import Files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Ready = tuple[Item, str, int]
    """What a staged payload is to be, still without its id; its meta in `tmp/`, and its size."""
    Prepared = dict[str, Ready | None]
    """By the name in `tmp/` of the payload; None: it does not lie there any more."""
    Raised = dict[str, tuple[Item, Item, str]]
    """By the name of a payload, as above: the item that has its key as it was seen, what it
    becomes, and the meta in `tmp/` that says so."""


class Staged(Record):
    """A payload that lies whole in `tmp/`, unsynced, waiting for its id.

    outside: the user's file to remove once the item is committed (`--move`), or None. adopted:
    whether that file and this one are the same.
    """

    tmp: str
    size: int
    checksum: str | None
    request: Request
    outside: str | None = None
    adopted: bool = False


def said_of(files: Files, size: int, checksum: str | None) -> dict[str, Any]:
    """Return the fields of an item that tell of its payload.

    In "full" that must be durable before the meta appears.
    """
    boot = None if files.disk.sync else boot_id() or NO_BOOT
    return {"size": size, "checksum": checksum, "written_boot": boot}


class Porch:
    """A batch of at most `count` items on their way into the spool."""

    def __init__(self, files: Files, count: int = 1) -> None:
        self._files = files
        self._count = count
        self._next = self._end = 0
        self._live: int | None = None
        self._entered = 0
        self._owners: dict[str, Item] = {}

    def check(self, item: Item, if_exists: str | None) -> Item | None:
        """Return the live item that has the key of one that is to enter; None: it has room.

        See `check_key` for what is to be done with the other one. Raises KeyTakenError,
        QueueFullError. Room is counted by names at the first need: that costs what the limit
        allows, and no number is kept that a death or a hand in the spool could make wrong.
        """
        other = check_key(item, self._owner, if_exists)
        limit = self._files.config.max_items
        if limit and other is None and item.state in LIVE:
            if self._live is None:
                self._live = self._files.reader.count(LIVE)
            check_room(limit, self._live + self._entered)
        return other

    def enter(self, item: Item, other: Item | None = None) -> None:
        """Take note that an item enters, and that it does so in the stead of `other`."""
        if item.state in LIVE:
            self._entered += other is None
            if item.key is not None:
                self._owners[item.key] = item

    def _owner(self, key: str) -> Item | None:
        return self._owners.get(key) or self._files.keys.owner(key)

    def numbered(self, item: Item) -> tuple[Item, str]:
        """Return the item with an id that was never given, and its payload's place, which is free.

        One that it has already, not 0, it keeps, if the place is free. The ids of the batch are
        reserved together at the first need, later ones come singly.
        """
        item = item.replace(id=item.id or self._id())
        while self._files.reader.occupied(path := layout.payload_path(item)):
            item = item.replace(id=self._id())
        return item, path

    def _id(self) -> int:
        if self._next >= self._end:
            files, count = self._files, self._count
            self._next, files.state = allocate(files.disk, files.counter, files.state, count)
            self._end, self._count = self._next + count, 1
        self._next += 1
        return self._next - 1
