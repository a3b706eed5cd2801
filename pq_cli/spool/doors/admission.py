"""Admission: staged payloads become items, under the lock."""

from __future__ import annotations

from functools import partial

from pq_cli.core.item import ACTIVE, LIVE, PENDING, Item
from pq_cli.core.meta import encode, second_line
from pq_cli.errors import DamagedItemError, NoSuchItemError, PqError
from pq_cli.host import is_mine
from pq_cli.queue.request import Admitted, new_item
from pq_cli.spool.disk import layout
from pq_cli.spool.doors.porch import Porch, Staged, said_of
from pq_cli.spool.files import Files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pq_cli.queue.store import Store
    from pq_cli.spool.doors.porch import Prepared, Raised, Ready

_MOST = 50
"""Items that a key names before some of them are ended: a link has room for some hundreds."""


class Admission(Porch):
    """Staged payloads on their way in: what has been admitted, and what stopped it."""

    def __init__(
        self, files: Files, count: int, ready: Prepared, raised: Raised, store: Store
    ) -> None:
        super().__init__(files, count)
        self.admitted = Admitted.nothing()
        self.error: PqError | OSError | None = None
        self.fresh: list[Item] = []
        self.raised: list[Item] = []
        self.replacing: list[Item] = []
        self._ids: set[int] = set()
        self._in_place_of_others: set[int] = set()
        self._ready = ready
        self._raised = raised
        self._store = store

    def place(self, staged: Staged) -> None:
        """Admit one, or find the item that stands for it. Raises PqError, OSError."""
        files, request = self._files, staged.request
        prepared = self._ready.get(staged.tmp)
        synced = prepared is not None
        ends = None
        if request.after:
            from pq_cli.queue.followers import ends_before  # start-up: few items wait for others

            ends = ends_before(self._store, request.ids_before)
            if prepared is not None and any(how is not PENDING for how in ends.values()):
                files.disk.discard(prepared[1])
                del self._ready[staged.tmp]
                prepared = None
        now = self._store.now
        if prepared is not None:
            item = prepared[0]
        else:
            said = said_of(files, staged.size, staged.checksum)
            item = new_item(request, 0, now(), files.config, ends, **said)
        other = self.check(item, request.if_exists)
        put = partial(self._raise, staged)
        stands = other and self.admitted.stand(other, item, request.if_exists, put)
        if stands is not None:
            # Its id will be told, so it must last, and its key: who enqueued it may be dead.
            files.after.sync(files.place(stands).rpartition("/")[0])
            files.after.sync(layout.KEYS)
            return
        item, meta, size = prepared or self._prepared_now(staged, item, synced)
        item, path = self.numbered(item)
        if item.key is not None and item.state in LIVE:
            named = () if other is None else files.keys.named(item.key)
            # Of this batch one is enough: who claims the new one has its end, too, made durable.
            before = (i for i in named if i not in self._ids or (other and i == other.id))
            files.keys.give(item.key, item.id, *before, sync=False)
            files.after.sync(layout.KEYS)
        item = _place(files, staged, meta, item, size, path)
        self._ready[staged.tmp] = None
        self.enter(item, other)
        self.fresh.append(item)
        self._ids.add(item.id)
        if other is not None:
            self._replace(other, item)
        self.admitted.items.append(item)

    def _replace(self, other: Item, item: Item) -> None:
        """See that an item takes the place of another: later, but at once if others follow that.

        Or if it is of this batch, and nobody was told of it; or if a link could soon not name more.
        """
        files, key = self._files, item.key or ""
        own = other.id in self._ids
        if not own or other.id in self._in_place_of_others:
            self._in_place_of_others.add(item.id)
        followed = files.state.after and files.followers.of(other.id)
        if own:
            files.erase(other, alone=True)
            self.replacing.append(item)
        elif followed or len(files.keys.named(key)) > _MOST:
            files.end_replaced(item)
            files.keys.give(key, item.id, other.id, sync=False)
        else:
            self.replacing.append(item)

    def _raise(self, staged: Staged, other: Item, stands: Item) -> Item:
        """Bring an item to its new lane; it may be one of this batch, which is withdrawn there."""
        files = self._files
        before, after, meta = self._raised.get(staged.tmp, (None, stands, ""))
        if before == other and after.replace(updated_at=stands.updated_at) == stands:
            stands = after  # it is written
            files.foreseen[id(after)] = meta
        try:
            stands = files.move(other, stands)
        finally:
            files.foreseen.pop(id(after), None)  # what has failed may have left it
        self.enter(stands, other)
        self.fresh = [stands if item.id == stands.id else item for item in self.fresh]
        self.raised.append(stands)
        return stands

    def _prepared_now(self, staged: Staged, item: Item, synced: bool) -> Ready:
        """Return what `prepare` has left out, because things stood otherwise then.

        synced: its payload was not left out, and is synced.
        """
        meta, text = layout.tmp_name("meta"), encode(item, first=True)
        self._files.disk.write_new(meta, text)
        ready = self._ready[staged.tmp] = item, meta, len(text)  # `finish` is to know of it
        if not synced:
            self._files.disk.sync_files([staged.tmp])
        return ready

    def withdraw(self) -> None:
        """Take everything back: it could not be made durable, so it must not be promised.

        Unless somebody else works on it already, or has ended what it was to replace: then it is
        all that is left of the two.
        """
        for item in self.fresh:
            try:
                now = self._files.reader.find(item.id)
            except (NoSuchItemError, DamagedItemError):
                continue
            if item.id in self._in_place_of_others and not any(self._files.keys.replaced_by(now)):
                continue
            if now.state is not ACTIVE or (now.holder is not None and is_mine(now.holder)):
                self._files.erase(now, alone=True)
        self._files.forget()  # who was passed over, for one of these had its key, counts again


def _place(files: Files, staged: Staged, meta: str, item: Item, size: int, path: str) -> Item:
    """Give payload and meta, of this size, their places; its rename is the commit instant."""
    disk = files.disk
    folder = path.rpartition("/")[0]
    try:
        files.heed(None, item)
        files.make_folder(folder, later=True)
        if staged.adopted:
            disk.own(staged.tmp)
        disk.write_end(meta, size, second_line(item))
        disk.rename(staged.tmp, path)
        disk.rename(meta, path + layout.META)
    except BaseException:
        files.forget()  # perhaps a folder that it remembers is gone
        for leftover in (path + layout.META, meta, path):
            disk.discard(leftover)
        raise
    item = item.replace(path=f"{files.root}/{path}")
    files.index.moved(None, item)
    files.after.sync(folder)
    return item
