"""The drop box: a file renamed into `SPOOL/new/` becomes an item.

Whoever looks for work picks the files up first. A file leaves `new/` by a rename to
`imports/handover/`, after its meta is there: so at every instant it is in one place only, and a
crash leaves it in `new/` or lets the next command finish (see `handover`). A file of another
owner, or with a second name, is copied first: its owner could still write to it.

Files that are unfinished are left alone: by their names, or by a name beside them, see
`unfinished`; by what is known of them, see `resting`. pq-drop(7) has the rule.
"""

from __future__ import annotations

import errno
import os
import stat

from pq_cli.core.item import Item, printable
from pq_cli.core.jsonio import JsonError, parse_strict
from pq_cli.core.meta import encode
from pq_cli.core.origin import digest
from pq_cli.core.record import Record
from pq_cli.core.unfinished import looks_unfinished, marks
from pq_cli.errors import KeyTakenError, LeftInDropBoxError, QueueFullError, UsageError
from pq_cli.opened import FOUND, checksum_of
from pq_cli.queue.request import Request, checked, new_item
from pq_cli.spool.disk import layout
from pq_cli.spool.disk.durable import SMALL
from pq_cli.spool.disk.reader import beginning
from pq_cli.spool.doors import handover
from pq_cli.spool.doors.porch import Porch, said_of
from pq_cli.spool.doors.resting import Resting, look_at
from pq_cli.spool.files import Files

MOST = 500
"""Files picked up at once: whoever asked for work must not wait for all of them."""
_TOLD = f"{layout.IMPORTS}/left"
"""What was said of files that stay, so that it is said once and not at every run: a line for each,
32 hexadecimal digits, a digest of its name, of the file as it is, and of why it stays. Derived and
never synced: without it, it is said again."""
_MOST_TOLD = 16 * 1024 * 1024
_SIDECAR_FIELDS = ("priority", "key", "max_attempts", "timeout", "limit", "metadata")
_MAX_SIDECAR = 512 * 1024


def priority_in(name: str) -> int | None:
    """Return the priority that a name like `3.report.xml` sets, or None."""
    number, _, rest = name.partition(".")
    valid = number in [str(n) for n in range(1, 11)]
    return int(number) if valid and rest else None


class _Drop(Record):
    """A file in `new/` that can become an item. copy: its content in `tmp/`, or None: itself."""

    name: str
    look: tuple[int, int, int]
    dropped_at: float
    size: int
    checksum: str | None
    request: Request
    sidecar: bool
    copy: str | None


def waiting(files: Files) -> int:
    """Return how many finished files lie in the drop box and are no items yet. Nothing is read."""
    finished = _finished(set(files.reader.names(layout.NEW)))
    return sum(files.reader.size_of(f"{layout.NEW}/{name}") is not None for name in finished)


def _finished(names: set[str]) -> set[str]:
    """Return those of the names in `new/` that are not of sidecars, and say that they are whole."""
    finished = {n for n in names if not looks_unfinished(n) and not n.endswith(layout.META)}
    return finished.difference(map(marks, names))


class Dropbox:
    """The drop box of one spool; remembers what it has reported, to say it once."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._folder = f"{files.root}/{layout.NEW}"
        self._resting = Resting(self._folder, files.config.drop_settle)
        self._told: set[bytes] = set()
        self._left: dict[bytes, str] = {}

    def pick_up(self, now: float) -> None:
        """Make items of the finished files, oldest first, `MOST` at once. Takes the lock itself."""
        if self._files.reader.names(layout.HANDOVER):
            with self._files:
                handover.finish(self._files)  # a crash may have kept a sidecar from its file
        self._left = {}
        names = set(self._files.reader.names(layout.NEW))
        self._resting.forget(names)
        drops: list[_Drop] = []
        try:
            for name in self._oldest(names):
                if len(drops) == MOST:
                    break
                drop = self._stage(name, f"{name}{layout.META}" in names, now)
                if drop is not None:
                    drops.append(drop)
            if drops:
                self._files.disk.sync_files([d.copy or f"{layout.NEW}/{d.name}" for d in drops])
                with self._files:
                    self._commit(drops, now)
        finally:
            for drop in drops:
                if drop.copy is not None:
                    self._files.disk.discard(drop.copy)
        self._tell(all_of_them=len(drops) < MOST)

    # -- looking, without the lock -----------------------------------------------

    def _oldest(self, names: set[str]) -> list[str]:
        """Return the names of finished files in the order they were renamed to here."""
        found = []
        for name in _finished(names):
            try:
                info = os.lstat(f"{self._folder}/{name}")
            except FileNotFoundError:
                continue
            if stat.S_ISREG(info.st_mode):
                found.append((info.st_ctime_ns, name))
            else:
                self._leave(name, "a link, folder or special file; only files become items")
        return [name for _, name in sorted(found)]

    def _stage(self, name: str, has_sidecar: bool, now: float) -> _Drop | None:
        try:
            request = self._request(name, has_sidecar, now)
            fd = os.open(f"{self._folder}/{name}", FOUND)
        except FileNotFoundError:
            return None
        except (UsageError, OSError) as error:
            self._leave(name, getattr(error, "strerror", None) or str(error))
            return None
        try:
            return self._stage_open(name, fd, request, has_sidecar, now)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
                raise
            self._leave(name, error.strerror or str(error))
            return None
        finally:
            os.close(fd)

    def _stage_open(
        self, name: str, fd: int, request: Request, sidecar: bool, now: float
    ) -> _Drop | None:
        info = os.fstat(fd)  # before the question: what is written after it makes another look
        if not stat.S_ISREG(info.st_mode) or not self._resting.is_whole(name, fd, now):
            return None
        disk, copy = self._files.disk, None
        spool = os.stat(self._files.root)
        if info.st_uid == spool.st_uid and info.st_nlink == 1 and info.st_dev == spool.st_dev:
            size = info.st_size
            checksum = checksum_of(fd) if size <= SMALL or not disk.sync else None
        else:
            copy = layout.tmp_name("drop")
            size, checksum = disk.copy_in(fd, copy)
        return _Drop(
            name=name,
            look=look_at(info),
            dropped_at=info.st_ctime_ns / 1e9,
            size=size,
            checksum=checksum,
            request=request,
            sidecar=sidecar,
            copy=copy,
        )

    def _request(self, name: str, has_sidecar: bool, now: float) -> Request:
        """Return what name and sidecar ask for. Raises UsageError, OSError.

        FileNotFoundError while the sidecar is not whole.
        """
        request = Request(name=name, priority=priority_in(name))
        if not has_sidecar:
            return request
        fd = os.open(f"{self._folder}/{name}{layout.META}", FOUND)
        with os.fdopen(fd, "rb") as file:
            if not self._resting.is_whole(f"{name}{layout.META}", fd, now):
                raise FileNotFoundError
            text = file.read(_MAX_SIDECAR)
        try:
            values = parse_strict(text)
        except JsonError as error:
            raise UsageError(f"its {layout.META}: {error}") from None
        if not isinstance(values, dict):
            raise UsageError(f"its {layout.META} is not a JSON object")
        unknown = [key for key in values if key not in _SIDECAR_FIELDS]
        if unknown:
            known = ", ".join(_SIDECAR_FIELDS)
            raise UsageError(f"its {layout.META} has '{printable(unknown[0], 40)}'; known: {known}")
        for field, kind in (("key", str), ("priority", int), ("max_attempts", int)):
            value = values.get(field)
            if value is not None and (not isinstance(value, kind) or isinstance(value, bool)):
                what = "a text" if kind is str else "a whole number"
                raise UsageError(f"its {layout.META}: {field} must be {what}")
        given = {key: value for key, value in values.items() if value is not None}
        return checked(request.replace(**given))

    # -- taking, under the lock -----------------------------------------------------

    def _commit(self, drops: list[_Drop], now: float) -> None:
        files = self._files
        handover.finish(files)
        files.disk.make_dir(layout.HANDOVER)
        porch = Porch(files, len(drops))
        chosen: list[tuple[_Drop, Item]] = []
        metas: list[str] = []
        try:
            for drop in drops:
                item = self._admit(drop, porch, now)
                if item is not None:
                    chosen.append((drop, item))
                    metas.append(layout.tmp_name("meta"))
                    files.disk.write_new(metas[-1], encode(item), sync=False)
        except QueueFullError:
            pass  # the rest waits in new/ for room
        files.disk.sync_files(metas)
        for meta, (_, item) in zip(metas, chosen, strict=True):
            files.disk.rename(meta, handover.stem(item) + layout.META)  # whole, or not there
        if files.disk.sync:
            files.disk.sync_dir(layout.HANDOVER)  # each meta is there before its file comes
        taken = [(drop, item) for drop, item in chosen if self._take(drop, item)]
        # Copies go in when the originals are durably gone from new/: else a power loss could leave
        # both, and there would be two items.
        copies = [(drop.copy, item) for drop, item in taken if drop.copy is not None]
        if copies and files.disk.sync:
            files.disk.sync_dir(layout.HANDOVER)
        for copy, item in copies:
            files.disk.rename(copy, handover.stem(item))
        handover.hand_over(files, [item for _, item in taken], event="enqueued")

    def _admit(self, drop: _Drop, porch: Porch, now: float) -> Item | None:
        files = self._files
        said = said_of(files, drop.size, drop.checksum)
        item = new_item(drop.request, 0, min(now, drop.dropped_at), files.config, **said)
        try:
            porch.check(item, "fail")
        except KeyTakenError as error:
            self._leave(drop.name, str(error), always="its key is taken")
            return None
        item, _ = porch.numbered(item)
        porch.enter(item)
        return item

    def _take(self, drop: _Drop, item: Item) -> bool:
        """Rename the file out of `new/`: the instant at which it is ours. False: it is gone."""
        disk, stem = self._files.disk, handover.stem(item)
        source = f"{layout.NEW}/{drop.name}"
        try:
            if look_at(os.lstat(f"{self._files.root}/{source}")) != drop.look:
                raise FileNotFoundError
            if drop.sidecar != os.path.lexists(f"{self._files.root}/{source}{layout.META}"):
                raise FileNotFoundError  # one came or went since: the next call reads it
            if drop.sidecar:
                disk.rename(source + layout.META, stem + handover.SIDECAR)
            moved = stem if drop.copy is None else stem + handover.ORIGINAL
            disk.rename(source, moved)
            if look_at(os.lstat(f"{self._files.root}/{moved}")) != drop.look:
                raise FileNotFoundError  # another one has just taken its name
        except FileNotFoundError:
            handover.give_back(self._files, item)
            return False
        if drop.copy is None:
            disk.own(stem)
        return True

    # -- telling what stays --------------------------------------------------------

    def _leave(self, name: str, why: str, always: str = "") -> None:
        """Note that a file stays. always: what of the reason is the same the next time."""
        try:
            info = os.lstat(f"{self._folder}/{name}")
        except OSError:
            return
        line = digest(f"{name}\0{info.st_ino}\0{info.st_ctime_ns}\0{always or why}")
        self._left[line] = f"new/{printable(name)} is left there: {why}"

    def _tell(self, *, all_of_them: bool) -> None:
        """Report what stays and was not reported by whichever process; hold all for reported.

        all_of_them: no other file stays, so what else was reported can be forgotten. Under the
        lock, so that two processes do not say the same.
        """
        left = set(self._left)
        if left <= self._told:
            return
        disk = self._files.disk
        with self._files:
            try:
                before = set(beginning(f"{self._files.root}/{_TOLD}", _MOST_TOLD).split())
            except OSError:
                before = set()
            self._told = left if all_of_them else left | before
            if left - before:
                text = b"".join(line + b"\n" for line in sorted(self._told))
                try:
                    disk.make_dir(layout.IMPORTS)
                    disk.replace(layout.tmp_name("left"), _TOLD, text, sync=False)
                except OSError:
                    pass  # a full disk: it will be said again
        for line, why in self._left.items():
            if line not in before:
                self._files.report(LeftInDropBoxError(why))
