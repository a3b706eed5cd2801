"""Bulk: many small records become items together, a folder at a time.

Ids are taken first, under the lock. Then, without it, payloads and metas are written under their
final names into folders of their own in `tmp/`. Under the lock again the pairs move to their
places, and one sync makes all of them durable. In "fast" a folder that is not there yet is the
renamed one, so that most of a big batch costs two new files an item and nothing more. (Not in
"full": who comes upon a folder with items in it takes its own entry for durable, see
`Disk.make_dir`.) A crash before leaves a folder in `tmp/`, whose ids were never told.
"""

from __future__ import annotations

import os
from zlib import crc32

from pq_cli.core.item import Item
from pq_cli.core.journal import record
from pq_cli.core.meta import encode, encoder_like
from pq_cli.core.request import checked, new_item
from pq_cli.errors import PqError
from pq_cli.spool import layout
from pq_cli.spool.checksum import checksum_text
from pq_cli.spool.durable import SMALL
from pq_cli.spool.holder import NO_BOOT, boot_id
from pq_cli.spool.intake import MANY, Ids
from pq_cli.spool.process import tmp_name
from pq_cli.spool.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pq_cli.core.request import Request


def are_many(records: Sequence[tuple[bytes, Request]]) -> bool:
    """Tell whether records are so many and small that one sync for all is cheaper than many."""
    return len(records) >= MANY and sum(len(payload) for payload, _ in records) <= SMALL


def is_bulk(store: Store, records: Sequence[tuple[bytes, Request]]) -> bool:
    """Tell whether records can enter this way: many, and each of them sure to.

    What has a key may be refused, or replace another item, and a full queue refuses some.
    """
    sure = not store.config.max_items and not any(request.key for _, request in records)
    return sure and are_many(records)


class _Mould:
    """What the items of one request have in common, worked out once for all of them."""

    def __init__(self, item: Item) -> None:
        # In another boot it must be verified: it is not synced yet when the meta appears.
        self.sample = item.replace(written_boot=boot_id() or NO_BOOT)
        self.encoded = encoder_like(self.sample)
        self._block = -1
        self._home = ""

    def home(self, item_id: int) -> str:
        """Return the folder in which the item with this id is to lie."""
        if item_id // layout.BLOCK_SIZE != self._block:
            self._block = item_id // layout.BLOCK_SIZE
            self._home = layout.folder_of(self.sample.replace(id=item_id))
        return self._home


class Bulk:
    """One batch on its way in."""

    def __init__(self, store: Store, records: Sequence[tuple[bytes, Request]], now: float) -> None:
        self.items: list[Item] = []
        self.error: PqError | OSError | None = None
        self._store = store
        self._now = now
        self._folders: dict[str, tuple[str, list[Item]]] = {}
        self._records = records
        self._ids = Ids(store, len(records))

    def admit(self) -> None:
        """Make items of the records up to the first that is bad; durable in "full" on return.

        `items` are in, in order; `error` is what stopped it, and from there on nothing is left.
        """
        try:
            with self._store:
                self._ids.reserve()
            self._write_all()
            with self._store:
                self._commit()
        except OSError as error:
            self.items, self.error = [], error
        finally:
            self._throw_away()

    # -- without the lock ------------------------------------------------------

    def _write_all(self) -> None:
        last: Request | None = None
        for payload, request in self._records:
            try:
                if request is not last:
                    mould = _Mould(new_item(checked(request), 0, self._now, self._store.config))
                    last = request
                self._write(payload, mould)
            except (PqError, OSError) as error:
                self.error = error
                return

    def _write(self, payload: bytes, mould: _Mould) -> None:
        disk, item_id = self._store.disk, self._ids.take()
        size, checksum = len(payload), checksum_text(crc32(payload))
        home, name = mould.home(item_id), f"{item_id:010d}"
        folder, items = self._folders.get(home) or self._make(home)
        disk.write_new(f"{folder}/{name}", payload, sync=False)
        meta = mould.encoded(item_id, size, checksum)
        disk.write_new(f"{folder}/{name}{layout.META}", meta, sync=False)
        path = f"{self._store.root}/{home}/{name}"
        items.append(mould.sample.replace(id=item_id, size=size, checksum=checksum, path=path))

    def _make(self, home: str) -> tuple[str, list[Item]]:
        folder = tmp_name("bulk")
        self._store.disk.make_dir(folder, durable=False)
        self._folders[home] = (folder, [])
        return self._folders[home]

    # -- under the lock --------------------------------------------------------

    def _commit(self) -> None:
        """Bring every pair to its place, and make all durable; on trouble nothing stays."""
        store = self._store
        try:
            with store.disk.together():
                for home, (folder, items) in self._folders.items():
                    if store.disk.sync or os.path.lexists(f"{store.root}/{home}"):
                        self._move(folder, items)
                    else:
                        self._rename(folder, home, items)
        except OSError:
            for item in self.items:
                store.erase(item)
            raise
        self.items.sort(key=lambda item: item.id)
        store.log.note(b"".join(record("enqueued", i, i.created_at) for i in self.items))

    def _rename(self, folder: str, home: str, items: list[Item]) -> None:
        self._store.disk.make_dir(os.path.dirname(home))
        self._store.disk.rename(folder, home)
        for item in items:
            self._enter(item)

    def _move(self, folder: str, items: list[Item]) -> None:
        """Move pairs to a folder that others use too: the payload first, as on every way in."""
        store = self._store
        for item in items:
            source, item = f"{folder}/{layout.name_of(item)}", self._with_free_id(folder, item)
            path = layout.payload_path(item)
            store.make_folder(layout.folder_of(item))
            try:
                store.disk.rename(source, path)
                store.disk.rename(source + layout.META, path + layout.META)
            except OSError:
                store.disk.discard(path)
                raise
            self._enter(item)

    def _with_free_id(self, folder: str, item: Item) -> Item:
        """Return the item under an id that is free, should its own be taken against all odds."""
        source = f"{folder}/{layout.name_of(item)}{layout.META}"
        free = item
        while self._store.reader.occupied(layout.payload_path(free)):
            free = free.replace(id=self._ids.take())
        if free is not item:
            free = free.replace(path=f"{self._store.root}/{layout.payload_path(free)}")
            self._store.disk.discard(source)
            self._store.disk.write_new(source, encode(free), sync=False)
        return free

    def _enter(self, item: Item) -> None:
        self.items.append(item)
        self._store.index.moved(None, item)

    def _throw_away(self) -> None:
        """Remove what is left in `tmp/`: that of a record that could not be written, or of all."""
        disk = self._store.disk
        for folder, _ in self._folders.values():
            try:
                for name in self._store.reader.names(folder):
                    disk.discard(f"{folder}/{name}")
                disk.remove_dir(folder)
            except OSError:
                return  # it lies there for `check`
