"""Intake: staged payloads become items: past the porch, then payload and meta take their places."""

from __future__ import annotations

from pq_cli.core.admission import standing
from pq_cli.core.events import event_of
from pq_cli.core.meta import encode
from pq_cli.errors import PqError
from pq_cli.queue.request import Admitted, new_item
from pq_cli.spool.disk import layout
from pq_cli.spool.disk.durable import SMALL
from pq_cli.spool.doors.porch import Porch
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


def admit(files: Files, batch: Sequence[Staged], now: float) -> Admitted:
    """Commit staged payloads in order; see `Store.admit`.

    Called under the lock. When it returns, in "full" the returned items are durable; the rest
    of the batch has left no trace.
    """
    work = _Admission(files, len(batch), now)
    try:
        work.admit(batch)
        files.log.note(*(event_of("enqueued", i, i.created_at) for i in work.fresh))
        files.log.note(*(event_of("changed", i, now) for i in work.raised))
    except OSError as error:
        work.withdraw()
        return Admitted.nothing(error)
    work.drop_replaced()
    return work.admitted.replace(error=work.error)


class _Admission:
    """The batch on its way in: what has been admitted, and what stopped it."""

    def __init__(self, files: Files, count: int, now: float) -> None:
        self.admitted = Admitted.nothing()
        self.error: PqError | OSError | None = None
        self.fresh: list[Item] = []
        self.raised: list[Item] = []
        self._replaced: list[tuple[Item, Item]] = []
        self._vouched = False
        self._files = files
        self._porch = Porch(files, count)
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
        item = new_item(request, 0, self._now, files.config)
        other = self._porch.check(item, request.if_exists)
        stands = standing(other, item, request.if_exists)
        if other is not None and stands is not None:
            # Its id will be told, so it must be durable, even if who enqueued it was killed.
            self._vouched = True
            if stands is not other:
                stands = self._raise(other, stands)
            self.admitted.stand(stands, staged.size, staged.checksum)
            return
        # In a batch nothing is synced yet when the meta appears.
        item = self._porch.numbered(item, staged.size, staged.checksum, synced=staged.synced)
        if item.key is not None and other is None:
            files.keys.give(item.key, item.id)
        item = _place(files, staged, item)
        self._porch.enter(item, other)
        self.fresh.append(item)
        if other is not None:
            self._replaced.append((other, item))
        self.admitted.items.append(item)

    def _raise(self, other: Item, stands: Item) -> Item:
        """Bring an item to its new lane; it may be one of this batch, which is withdrawn there."""
        stands = self._files.move(other, stands)
        self._porch.enter(stands, other)
        self.fresh = [stands if item.id == stands.id else item for item in self.fresh]
        self._replaced = [(o, stands if n.id == stands.id else n) for o, n in self._replaced]
        self.raised.append(stands)
        return stands

    def withdraw(self) -> None:
        """Take everything back: it could not be made durable, so it must not be promised."""
        for item in self.fresh:
            self._files.erase(item)


def _place(files: Files, staged: Staged, item: Item) -> Item:
    """Give payload and meta their places; the meta's rename is the commit instant."""
    disk, path = files.disk, layout.payload_path(item)
    tmp = layout.tmp_name("meta")
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
