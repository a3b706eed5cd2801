"""Intake: staged payloads become items: key, room, id, then payload and meta take their places."""

from __future__ import annotations

from pq_cli.core.admission import check_room, standing_for
from pq_cli.core.events import record
from pq_cli.core.item import LIVE
from pq_cli.core.meta import encode
from pq_cli.errors import PqError
from pq_cli.host import NO_BOOT, boot_id
from pq_cli.queue.request import new_item
from pq_cli.spool.disk import layout
from pq_cli.spool.disk.durable import SMALL
from pq_cli.spool.disk.state import allocate
from pq_cli.spool.disk.tmp import tmp_name
from pq_cli.spool.files import Files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pq_cli.core.item import Item
    from pq_cli.queue.request import Request
    from pq_cli.spool.disk.payload import Staged

MANY = 8
"""From this many items on, one sync of the file system is cheaper than one for each file."""


def are_many(records: Sequence[tuple[bytes, Request]]) -> bool:
    """Tell whether records are so many and small that one sync for all is cheaper than many."""
    return len(records) >= MANY and sum(len(payload) for payload, _ in records) <= SMALL


def admit(
    files: Files, batch: Sequence[Staged], now: float, found: list[Item] | None = None
) -> tuple[list[Item], PqError | OSError | None]:
    """Commit staged payloads in order; return (the items, what stopped it or None).

    Called under the lock. When it returns, in "full" the returned items are durable; the rest
    of the batch has left no trace. With `if_exists="skip"` a taken key yields the item that has it,
    which is then added to `found`, too.
    """
    work = _Admission(files, len(batch), now)
    try:
        work.admit(batch)
        files.log.note(*(record("enqueued", i, i.created_at) for i in work.fresh))
    except OSError as error:
        work.withdraw()
        return [], error
    work.drop_replaced()
    if found is not None:
        found += work.found
    return work.items, work.error


class _Admission:
    """The batch on its way in: what has been admitted, and what stopped it."""

    def __init__(self, files: Files, count: int, now: float) -> None:
        self.items: list[Item] = []
        self.error: PqError | OSError | None = None
        self.fresh: list[Item] = []
        self.found: list[Item] = []
        self._replaced: list[tuple[Item, Item]] = []
        self._owners: dict[str, Item] = {}
        self._vouched = False
        self._files = files
        self._ids = Ids(files, count)
        self._room = Room(files)
        self._now = now

    def admit(self, batch: Sequence[Staged]) -> None:
        """Admit the batch up to the first that cannot be, and make it durable.

        Raises OSError when it cannot be made durable.
        """
        disk = self._files.disk
        if len(batch) >= MANY or not all(staged.synced for staged in batch):
            with disk.together():
                self._place_all(batch)
        else:
            self._place_all(batch)
            if self._vouched and disk.sync:
                disk.sync_file_system()
            elif disk.sync:
                for folder in sorted({layout.folder_of(item) for item in self.fresh}):
                    disk.sync_dir(folder)

    def drop_replaced(self) -> None:
        """Turn the keys to the new items and remove the old ones.

        Only now: after a power loss before, the old item must be served, because the new one may
        be torn. A crash until then leaves two items with one key, and the link tells which counts.
        """
        try:
            for old, new in self._replaced:
                self._files.keys.give(new.key or "", new.id)
                self._files.erase(old)
        except OSError as stop:
            self.error = self.error or stop

    def _place_all(self, batch: Sequence[Staged]) -> None:
        for staged in batch:
            try:
                self._place_one(staged)
            except (PqError, OSError) as stop:
                self.error = stop
                return

    def _place_one(self, staged: Staged) -> None:
        files, request = self._files, staged.request
        taken = self._owner(request.key)
        standing = standing_for(request.key, request.if_exists, taken)
        if standing is not None:
            # Its id will be told, so it must be durable, even if who enqueued it was killed.
            self._vouched = True
            self.items.append(standing.for_bystanders())
            self.found.append(self.items[-1])
            return
        if taken is None:
            self._room.check()
        item = self._new_item(staged)
        if request.key is not None and taken is None:
            files.keys.give(request.key, item.id)
        item = _place(files, staged, item)
        if taken is None:
            self._room.take()
        self.fresh.append(item)
        if request.key is not None:
            self._owners[request.key] = item
        if taken is not None:
            self._replaced.append((taken, item))
        self.items.append(item)

    def _owner(self, key: str | None) -> Item | None:
        if key is None:
            return None
        return self._owners.get(key) or self._files.keys.owner(key)

    def _new_item(self, staged: Staged) -> Item:
        files, request = self._files, staged.request
        item = new_item(request, self._ids.take(), self._now, files.config)
        while files.reader.occupied(layout.payload_path(item)):
            item = item.replace(id=self._ids.take())
        return item.replace(
            size=staged.size,
            checksum=staged.checksum,
            # In a batch nothing is synced yet when the meta appears.
            written_boot=None if files.disk.sync and staged.synced else boot_id() or NO_BOOT,
        )

    def withdraw(self) -> None:
        """Take everything back: it could not be made durable, so it must not be promised."""
        for item in self.fresh:
            self._files.erase(item)


class Ids:
    """Hands out ids for a batch of `count`, reserved together at the first need.

    What is not reserved yet can be taken under the lock only.
    """

    def __init__(self, files: Files, count: int) -> None:
        self._files = files
        self._count = count
        self._next = self._end = 0

    def reserve(self) -> None:
        """Reserve the ids of the batch now; later ones come singly."""
        files, count = self._files, self._count
        first, files.state = allocate(files.disk, files.counter, files.state, count)
        self._next, self._end, self._count = first, first + count, 1

    def take(self) -> int:
        """Return an id that was never given before."""
        if self._next >= self._end:
            self.reserve()
        item_id, self._next = self._next, self._next + 1
        return item_id


class Room:
    """What `max_items` leaves free; for one stretch under the lock.

    Counted by names at the first need: that costs what the limit allows, and no number is kept that
    a death or a hand in the spool could make wrong.
    """

    def __init__(self, files: Files) -> None:
        self._files = files
        self._live: int | None = None
        self._taken = 0

    def check(self) -> None:
        """Raise QueueFullError if there is no room for one live item more."""
        limit = self._files.config.max_items
        if limit:
            if self._live is None:
                self._live = self._files.reader.count(LIVE)
            check_room(limit, self._live + self._taken)

    def take(self) -> None:
        """Take the room of one live item, that is not in its place yet or has just come there."""
        self._taken += 1


def _place(files: Files, staged: Staged, item: Item) -> Item:
    """Give payload and meta their places; the meta's rename is the commit instant."""
    disk, path = files.disk, layout.payload_path(item)
    tmp = tmp_name("meta")
    try:
        files.make_folder(layout.folder_of(item))
        disk.write_new(tmp, encode(item))
        if staged.adopted:
            disk.take_over(staged.tmp)
        disk.rename(staged.tmp, path)
        disk.rename(tmp, path + layout.META)
    except BaseException:
        files.forget()  # perhaps a folder that it remembers is gone
        for leftover in (path + layout.META, tmp, path):
            disk.discard(leftover)
        raise
    item = item.replace(path=f"{files.root}/{path}")
    files.index.moved(None, item)
    return item
