"""Staging: payloads come in, and lie in `tmp/` until they are items.

`prepare` does ahead what the others need not wait for: metas are written, and in "full" synced with
the payloads. `admit`, under the lock, gives each its id, and renames both to their places; the
folders are synced when the lock is free. The id is written over the second line of the meta,
unsynced: it is in the name as well. It is neither guessed nor given before: a wrong one might be
all that a power loss leaves, and a lane goes by id, so none may appear before those to be served.
"""

from __future__ import annotations

import errno
import os
import stat
from functools import partial
from zlib import crc32

from pq_cli.core.events import event_of
from pq_cli.core.item import PENDING, Item, checksum_text, printable
from pq_cli.core.meta import encode
from pq_cli.errors import PqError, SpoolIOError
from pq_cli.opened import Opened, open_file
from pq_cli.queue.request import Admitted, Request, new_item, raised
from pq_cli.spool.disk import ahead, layout
from pq_cli.spool.disk.payload import measure
from pq_cli.spool.disk.state import ids_left, last_given
from pq_cli.spool.doors.porch import Staged, said_of
from pq_cli.spool.files import Files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, BinaryIO

    from pq_cli.spool.doors.porch import Prepared, Raised


class SpoolAdmits:
    """Knows how payloads come in and become items; `SpoolStore` is one.

    now: returns Unix seconds.
    """

    files: Files
    now: Callable[[], float]
    _ready: Prepared
    _raised: Raised

    def stage(self, payload: bytes | BinaryIO, request: Request) -> Staged:
        """Stage a payload: one in memory, or what a stream yields, in bounded memory."""
        disk, tmp = self.files.disk, layout.tmp_name("in")
        if isinstance(payload, bytes):
            disk.write_new(tmp, payload, sync=False)
            size, checksum = len(payload), checksum_text(crc32(payload))
        else:
            size, checksum = disk.receive(payload, tmp)
        return Staged(tmp=tmp, size=size, checksum=checksum, request=request)

    def stage_file(self, path: str, request: Request, *, move: bool) -> Staged:
        """Stage a FILE: by a second name when it is to be moved and may be, else by a cheap copy.

        Raises OSError, SpoolIOError when it changes meanwhile, or UsageError like `open_file`.
        """
        disk, tmp = self.files.disk, layout.tmp_name("in")
        outside = path if move else None
        if move and disk.adopt(path, tmp):
            size, checksum = measure(f"{disk.root}/{tmp}", read=not disk.sync)
            return Staged(
                tmp=tmp, size=size, checksum=checksum, request=request, outside=path, adopted=True
            )
        with Opened(open_file(path, pipes=not move), path) as fd:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                with os.fdopen(os.dup(fd), "rb") as stream:
                    return self.stage(stream, request)
            try:
                size, checksum = disk.copy_in(fd, tmp, name=path)
            except OSError as error:
                if error.errno == errno.ESTALE:
                    raise SpoolIOError(f"{printable(path)}: {error.strerror}") from None
                raise
        return Staged(tmp=tmp, size=size, checksum=checksum, request=request, outside=outside)

    def prepare(self, batch: Sequence[Any]) -> None:
        """Write the metas of staged payloads, durably in "full"; note them by `tmp`.

        Called without the lock, by several threads at once: each notes its own alone. Those from
        the first on that cannot be written are left out, and what will not enter as things stand:
        `admit` says why, or writes them after all. Raises OSError when what was written cannot be
        made durable.
        """
        files, disk, ready = self.files, self.files.disk, self._ready
        last = self._reserve(batch)
        paths: list[str] = []
        to_raise: set[int] = set()
        folders = set(files.folders)
        now = self.now()
        many = disk.sync and len(batch) >= ahead.MANY
        wait_for_payloads = ahead.begin_sync(disk) if many else None
        for likely, staged in enumerate(batch, last + 1):
            request = staged.request
            if staged.tmp in ready or staged.tmp in self._raised:
                continue
            said = said_of(files, staged.size, staged.checksum)
            item = new_item(request, 0, now, files.config, **said)
            owner = None if request.key is None else files.keys.owner(request.key)
            if owner is not None and request.if_exists != "replace":
                once = owner.id not in to_raise  # after that it is not what it was seen to be
                if disk.sync and request.if_exists == "raise" and once:
                    to_raise.add(owner.id)
                    paths += self._raise_ahead(staged, owner, item, folders)
                continue
            meta, text = layout.tmp_name("meta"), encode(item, first=True)
            try:
                disk.write_new(meta, text, sync=False)
                if disk.sync and item.state is PENDING:
                    _make_folder(files, layout.pending_folder(item.lane, likely), folders)
                if disk.sync and item.limit is not None:  # for its first claim
                    _make_folder(files, layout.active_folder(item.limit), folders)
            except OSError:
                disk.discard(meta)
                break
            ready[staged.tmp] = item, meta, len(text)
            paths += (staged.tmp, meta)
        if wait_for_payloads is not None:
            wait_for_payloads()
        disk.sync_files(paths)

    def _reserve(self, batch: Sequence[Any]) -> int:
        """Let `state.json` say ahead what a batch needs of it; return the last id given so far."""
        files = self.files
        last, short = ids_left(files.root, len(batch))
        after = not files.state.after and any(staged.request.after for staged in batch)
        if short or after:
            from pq_cli.spool.doors.reserving import reserve  # start-up: once in a thousand ids

            reserve(files, len(batch), after=after)
            last = last_given(files.root)[0] or 0  # a boot that begins goes on elsewhere
        return last

    def _raise_ahead(self, staged: Staged, owner: Item, item: Item, folders: set[str]) -> list[str]:
        """Write what the owner of a key becomes, if it is to be raised; return its path."""
        files, meta, after = self.files, layout.tmp_name("meta"), raised(owner, item)
        if after is None:
            return []
        try:
            files.disk.write_new(meta, encode(after), sync=False)
            _make_folder(files, layout.folder_of(after), folders)
        except OSError:
            files.disk.discard(meta)
            return []  # whoever does it under the lock is told
        self._raised[staged.tmp] = owner, after, meta
        return [meta]

    def admit(self, batch: Sequence[Any], *, at_once: bool = False) -> Admitted:
        """Commit staged payloads in order; see `Store.admit`.

        Called under the lock. When it is free again, in "full" the admitted items are durable; the
        rest of the batch has left no trace.
        """
        from pq_cli.spool.doors.admission import Admission  # start-up: for those who enqueue

        files = self.files
        work = Admission(files, len(batch), self._ready, self._raised, self)  # type: ignore[arg-type]
        try:
            for staged in batch:
                try:
                    work.place(staged)
                except (PqError, OSError) as stop:
                    work.error = stop
                    break
            events = [event_of("enqueued", item, item.created_at) for item in work.fresh]
            events += [event_of("changed", item, item.updated_at) for item in work.raised]
            files.log.note(*events)
        except OSError as error:
            work.withdraw()
            return Admitted.nothing(error)
        files.after.take_back = work.withdraw
        if work.replacing:
            from pq_cli.spool.replacing import end_replaced  # start-up: few replace

            files.after.then = partial(end_replaced, files, work.replacing)
        return work.admitted if work.error is None else work.admitted.replace(error=work.error)

    def finish(self, batch: Sequence[Any], admitted: int) -> OSError | None:
        """Remove what is left of a batch; see `Store.finish`."""
        stop: OSError | None = None
        for staged in batch[:admitted]:
            if staged.outside is None or os.path.lexists(f"{self.files.root}/{staged.tmp}"):
                continue  # what still lies in tmp/ is no item: its key was taken
            try:
                self.files.disk.remove_outside(staged.outside)
            except OSError as error:
                stop = error
        for staged in batch:
            ready, above = self._ready.pop(staged.tmp, ()), self._raised.pop(staged.tmp, ())
            left = [] if ready is None else [staged.tmp, *ready[1:2]]  # None: it has left `tmp/`
            try:
                for path in (*left, *above[2:]):
                    self.files.disk.discard(path)
            except OSError:
                break  # what is left lies in tmp/ for `check`
        return stop


def _make_folder(files: Files, folder: str, there: set[str]) -> None:
    """Make the folder of an item that is to come, unless it is known to be `there`."""
    if folder not in there:
        there.add(folder)
        try:
            files.disk.make_dir(folder)
        except FileNotFoundError:
            pass  # somebody tidies it away just now
