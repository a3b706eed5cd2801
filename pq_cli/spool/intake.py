"""Intake: staged payloads become items: key, room, id, then payload and meta take their places."""

from __future__ import annotations

from pq_cli.core.item import Item, State, encode, printable
from pq_cli.core.request import new_item
from pq_cli.errors import KeyTakenError, PqError, QueueFullError
from pq_cli.spool import layout
from pq_cli.spool.holder import boot_id
from pq_cli.spool.state import allocate
from pq_cli.spool.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pq_cli.spool.payload import Staged

MANY = 8
"""From this many items on, one sync of the file system is cheaper than one for each file."""


def admit(
    store: Store, batch: Sequence[Staged], now: float
) -> tuple[list[Item], PqError | OSError | None]:
    """Commit staged payloads in order; return (the items, what stopped it or None).

    Called under the lock. When it returns, in "full" the returned items are durable; the rest
    of the batch has left no trace. With `if_exists="skip"` a taken key yields the item that has it.
    """
    work = _Admission(store, len(batch), now)
    try:
        if len(batch) >= MANY:
            with store.disk.together():
                work.admit(batch)
        else:
            work.admit(batch)
            work.sync_folders()
    except OSError as error:
        work.withdraw()
        return [], error
    finally:
        for staged in batch:
            store.disk.discard(staged.tmp)
    return work.items, work.error


class _Admission:
    """The batch on its way in: what has been admitted, and what stopped it."""

    def __init__(self, store: Store, count: int, now: float) -> None:
        self.items: list[Item] = []
        self.error: PqError | OSError | None = None
        self._fresh: list[Item] = []
        self._store = store
        self._ids = _Ids(store, count)
        self._now = now

    def admit(self, batch: Sequence[Staged]) -> None:
        """Admit the batch in order, up to the first that cannot be."""
        for staged in batch:
            try:
                item, is_new = _admit_one(self._store, staged, self._ids, self._now)
            except (PqError, OSError) as stop:
                self.error = stop
                return
            self.items.append(item)
            if is_new:
                self._fresh.append(item)

    def sync_folders(self) -> None:
        """Make the new entries durable, in "full"."""
        if self._store.disk.sync:
            for folder in sorted({layout.folder_of(item) for item in self._fresh}):
                self._store.disk.sync_dir(folder)

    def withdraw(self) -> None:
        """Take everything back: it could not be made durable, so it must not be promised."""
        for item in self._fresh:
            self._store.erase(item)


class _Ids:
    """Hands out ids for one batch, allocated together at the first need."""

    def __init__(self, store: Store, count: int) -> None:
        self._store = store
        self._count = count
        self._next = self._end = 0

    def take(self) -> int:
        """Return an id that was never given before."""
        if self._next >= self._end:
            store = self._store
            count = max(1, self._count)
            first, store.state = allocate(store.disk, store.counter, store.state, count)
            self._next, self._end = first, first + count
        item_id, self._next = self._next, self._next + 1
        self._count -= 1
        return item_id


def _admit_one(store: Store, staged: Staged, ids: _Ids, now: float) -> tuple[Item, bool]:
    request = staged.request
    taken = store.keys.owner(request.key) if request.key is not None else None
    if taken is not None:
        if request.if_exists == "skip":
            return taken, False
        if request.if_exists == "fail" or taken.state is State.ACTIVE:
            raise KeyTakenError(
                f"key '{printable(request.key or '')}' is taken by item {taken.id}, {taken.state}"
            )
    _check_room(store, replacing=taken is not None)
    item = new_item(request, ids.take(), now, store.config)
    while store.reader.occupied(layout.payload_path(item)):
        item = item.replace(id=ids.take())
    item = item.replace(
        size=staged.size,
        checksum=staged.checksum,
        written_boot=None if store.disk.sync else boot_id() or "unknown",
    )
    if request.key is not None and taken is None:
        store.keys.give(request.key, item.id)
    with store.counting(+1):
        item = _place(store, staged, item)
    if request.key is not None and taken is not None:
        # In this order a crash leaves two items with one key, and the link tells which counts.
        if store.disk.sync:
            store.disk.sync_dir(layout.folder_of(item))
        store.keys.give(request.key, item.id)
        store.erase(taken)
    return item, True


def _check_room(store: Store, *, replacing: bool) -> None:
    limit = store.config.max_items
    if limit and not replacing and store.live_count() >= limit:
        raise QueueFullError(f"the queue is full: {store.live_count()} items, max_items = {limit}")


def _place(store: Store, staged: Staged, item: Item) -> Item:
    """Give payload and meta their places; the meta's rename is the commit instant."""
    disk, path = store.disk, layout.payload_path(item)
    disk.make_dir(layout.folder_of(item))
    tmp = store.tmp_name("meta")
    disk.write_new(tmp, encode(item))
    try:
        disk.rename(staged.tmp, path)
        disk.rename(tmp, path + layout.META)
    except BaseException:
        disk.discard(tmp)
        disk.discard(path)
        raise
    item = item.replace(path=f"{store.root}/{path}")
    store.index.moved(None, item)
    return item
