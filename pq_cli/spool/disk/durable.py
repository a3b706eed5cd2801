"""The only file that writes, syncs, renames or unlinks.

`Disk` is the spool's hand on the file system. With `sync` (durability "full") data is on disk
when a call returns that says so; without, calls only order things in memory. Every path is
relative to the spool's root, and no symbolic link below the root is followed.
"""

from __future__ import annotations

import errno
import os
import stat
import zlib

from pq_cli.core.item import checksum_text
from pq_cli.errors import SpoolIOError
from pq_cli.opened import CHUNK, About, Opened, checksum_of, named, read_some
from pq_cli.spool.disk.copying import NO_WHOLE_COPY, copy_in_kernel
from pq_cli.spool.disk.reader import Reader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import BinaryIO, TypeVar

    T = TypeVar("T")
    Change = Callable[..., tuple[int, bytes] | None]

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
_BEGIN = os.POSIX_FADV_DONTNEED  # write it from now on; what is not written is not dropped
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_LOOSE = 0o1700  # the mode of a folder whose entry may not be durable yet
MANY = 12
"""From this many files or folders on, one sync of the file system is cheaper than one for each."""
REMEMBERED = ("pending/", "delayed/", "state.json")
"""Where what a process remembers lies, metas and the state: see `index.Index`, `state.Counter`."""
SMALL = 1024 * 1024
"""Payloads up to this size are read whole where that is simpler than copying in the kernel."""


class Disk:
    """Writes below one root. `sync`: whether data must survive a power loss.

    folders: what readers know of its folders, too. owner: of new files; None: who runs this.
    """

    def __init__(self, root: str, sync: bool, folders: Reader | None = None) -> None:
        self.root = root
        self.sync = sync
        self._eager = sync
        self._folders = folders or Reader(root)
        info = os.stat(root) if os.geteuid() == 0 else None
        self.owner = (info.st_uid, info.st_gid) if info is not None and info.st_uid else None
        self.tell_others: Callable[[], object] = lambda: None
        """Called before a change of what others remember: see `state.Counter`."""

    def _at(self, path: str) -> str:
        folder = path.rpartition("/")[0]
        if folder not in self._folders.known and not self._folders.is_real(folder):
            raise SpoolIOError(f"{self.root}/{path}: a part of it is a link or no folder")
        return f"{self.root}/{path}"

    def _create(self, path: str, flags: int) -> int:
        try:
            fd = os.open(self._at(path), flags, 0o600)
        except FileNotFoundError:  # somebody has swept empty folders away
            self.make_dir(os.path.dirname(path))
            fd = os.open(self._at(path), flags, 0o600)
        if self.owner is not None:
            with About(fd):
                os.fchown(fd, *self.owner)
        return fd

    def _filled(self, path: str, fill: Callable[[int], T], flags: int = _NEW) -> T:
        """Make a file (0600) and return what `fill` does with it; what goes wrong removes it."""
        fd = self._create(path, flags)
        try:
            return _closed(fd, f"{self.root}/{path}", fill)
        except BaseException:
            self.discard(path)
            raise

    # -- folders -----------------------------------------------------------

    def make_dir(self, path: str, *, durable: bool = True, later: bool = False) -> bool:
        """Make a folder (0700) with the parents it lacks, durably in "full"; tell whether it is so.

        Until it is, it has the sticky bit: who finds that, for its maker may be dead, syncs it
        first. durable=False: for one in which nothing needs to last. later: only what is new
        enters, and the caller calls `sync_dir` before it promises that.
        """
        sync = self.sync and durable
        try:
            os.mkdir(self._at(path), _LOOSE if sync else 0o700)
        except FileExistsError:
            pass
        except FileNotFoundError:
            if "/" not in path:
                raise  # the spool itself is gone
            self.make_dir(os.path.dirname(path), durable=durable, later=later)
            return self.make_dir(path, durable=durable, later=later)
        else:
            if self.owner is not None:
                os.chown(self._at(path), *self.owner, follow_symlinks=False)
        if sync and not later:
            self._let_last(path)
        return not (sync and later and _is_loose(self._at(path)))

    def _let_last(self, path: str) -> None:
        """Make the entry of a folder durable, and those above it, unless they are."""
        full = self._at(path)
        if not _is_loose(full):
            return
        # By its descriptor: meanwhile it may be removed, and another made that is not durable.
        with Opened(os.open(full, _FOLDER | os.O_NOFOLLOW), full) as fd:
            self.sync_dir(os.path.dirname(path))
            os.fchmod(fd, 0o700)

    def remove_dir(self, path: str) -> bool:
        """Remove a folder if it is empty; tell whether it is gone."""
        try:
            os.rmdir(self._at(path))
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTEMPTY, errno.EEXIST):
                raise
            return error.errno == errno.ENOENT
        return True

    def sync_dir(self, path: str) -> None:
        """Make a folder's entries durable, and its own, whatever `sync` says."""
        if path:
            self._let_last(path)
        full = self._at(path)
        _closed(os.open(full, _FOLDER), full, os.fsync)

    # -- files -------------------------------------------------------------

    def write_new(self, path: str, data: bytes, *, sync: bool | None = None) -> None:
        """Write a new file (0600) whole, synced if `sync` (default: the disk's own)."""

        def fill(fd: int) -> None:
            _write_all(fd, data)
            if self._eager if sync is None else sync:
                os.fsync(fd)

        self._filled(path, fill)

    def replace(self, tmp: str, path: str, data: bytes, *, sync: bool | None = None) -> None:
        """Write `data` beside, at `tmp`, synced like `write_new`; then rename it over `path`.

        So whoever reads finds the old content or the new. The folder is synced by the caller.
        """
        self.write_new(tmp, data, sync=sync)
        try:
            self.rename(tmp, path)
        except BaseException:
            self.discard(tmp)
            raise

    def rename(self, source: str, target: str) -> None:
        """Rename within the spool, atomically replacing the target."""
        if target.startswith(REMEMBERED) and target.endswith(".json"):
            self.tell_others()
        os.rename(self._at(source), self._at(target))

    def unlink(self, path: str) -> None:
        """Remove a file. Raises FileNotFoundError."""
        os.unlink(self._at(path))

    def discard(self, path: str) -> None:
        """Remove a file that may be gone already."""
        try:
            os.unlink(self._at(path))
        except FileNotFoundError:
            pass

    def sync_files(self, paths: Sequence[str], *, data: bool = False) -> bool:
        """Make files (`data`: what was overwritten) durable, in "full"; tell if all were there."""
        if not self.sync:
            return True
        if len(paths) >= MANY:
            self.sync_file_system()  # one call for all
            return True
        whole = True
        how = os.fdatasync if data else os.fsync  # what is overwritten needs no journal
        # Begun before, the others are in the commit of the journal that the first one waits for.
        first = [(lambda fd: os.posix_fadvise(fd, 0, 0, _BEGIN), p) for p in paths[1:]]
        for do, path in first + [(how, p) for p in paths]:
            full = self._at(path)
            try:
                _closed(os.open(full, _READ | os.O_NONBLOCK), full, do)
            except OSError as error:
                if do is how and error.errno not in (errno.ENOENT, errno.ELOOP, errno.EINVAL):
                    raise
                whole = False  # somebody has put another there: who works on with it notices
        return whole

    def open_to_append(self, path: str) -> int:
        """Return a descriptor for `append`, also to read; the file (0600) is made when missing."""
        return self._create(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | _READ)

    def append(self, fd: int, data: bytes) -> int:
        """Append in one write, unsynced; return how many bytes there was room for."""
        try:
            return os.write(fd, data)
        except OSError as error:
            raise named(error, fd) from None

    def link_text(self, path: str, text: str, tmp: str, *, sync: bool) -> None:
        """Make or replace, atomically, a link that holds a `text`; `sync`: unless `together`."""
        for folder in (os.path.dirname(tmp), os.path.dirname(path)):
            self.make_dir(folder, later=not sync)  # somebody may have swept empty folders away
        try:
            os.symlink(text, self._at(tmp))
            if self.owner is not None:
                os.chown(self._at(tmp), *self.owner, follow_symlinks=False)
            os.rename(self._at(tmp), self._at(path))
        except OSError as error:
            error.filename, error.filename2 = self._at(tmp), None  # not the text
            self.discard(tmp)
            raise
        if sync and self._eager:
            self.sync_dir(os.path.dirname(path))

    def open_to_overwrite(self, path: str) -> int:
        """Return a descriptor for `overwrite`, also to read; the file is made when missing."""
        return self._create(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW)

    def overwrite(self, fd: int, data: bytes, at: int = 0) -> None:
        """Overwrite some bytes of an open file in place, in one write, unsynced."""
        try:
            os.pwrite(fd, data, at)
        except OSError as error:
            raise named(error, fd) from None

    def patch(self, path: str, change: Change, *args: object) -> bool:
        """Overwrite a sector of a file in place, unsynced; tell whether it was done.

        change(content, *args): (offset, bytes) or None. Neither a signal nor a power loss tears a
        sector: it is old or new.
        """
        full = self._at(path)

        def overwrite(fd: int) -> bool:
            found = change(os.read(fd, os.fstat(fd).st_size), *args)
            if found is not None:
                self.overwrite(fd, found[1], found[0])
            return found is not None

        return _closed(os.open(full, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW), full, overwrite)

    def write_end(self, path: str, size: int, end: bytes) -> None:
        """Overwrite the end of a file of a known size as `patch` does."""
        full = self._at(path)
        fd = os.open(full, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        _closed(fd, full, lambda fd: self.overwrite(fd, end, size - len(end)))

    def append_lines(self, path: str, data: bytes) -> None:
        """Append whole lines to a file, made when missing; unsynced."""
        with Opened(self.open_to_append(path), self._at(path)) as fd:
            _write_all(fd, data)

    def together(self) -> Disk:
        """Return a context in which nothing is synced, or promised, before all is at its end."""
        return self

    def __enter__(self) -> None:
        self._eager = False

    def __exit__(self, error: object, *_: object) -> None:
        self._eager = self.sync
        if error is None and self.sync:
            self.sync_file_system()

    def sync_file_system(self) -> None:
        """Sync the whole file system that the spool is on: one call for many small files."""
        from pq_cli.spool.disk.syncfs import syncfs  # a few milliseconds, well spent on a batch

        with Opened(os.open(self.root, _FOLDER), self.root) as fd:
            if not syncfs(fd):
                os.sync()  # which syncs more

    def sync_everything(self) -> None:
        """Sync all file systems: once, when a spool goes from fast to full durability."""
        os.sync()

    def own(self, path: str) -> None:
        """Take other users' rights away, of a file all but 0600; let root give it to the owner."""
        full = self._at(path)
        info = os.lstat(full)
        if os.geteuid() == 0:
            root = os.stat(self.root)
            os.chown(full, root.st_uid, root.st_gid, follow_symlinks=False)
        if not stat.S_ISLNK(info.st_mode):
            folder = stat.S_ISDIR(info.st_mode)
            os.chmod(full, stat.S_IMODE(info.st_mode) & ~0o077 if folder else 0o600)

    def set_mode(self, path: str, mode: int) -> None:
        """Set a folder's mode; a link in its place is an error."""
        full = self._at(path)
        with Opened(os.open(full, _FOLDER | os.O_NOFOLLOW), full) as fd:
            os.fchmod(fd, mode)
            os.fsync(fd)

    # -- payloads ----------------------------------------------------------

    def receive(self, stream: BinaryIO, path: str) -> tuple[int, str]:
        """Write a stream to a new file, unsynced, in bounded memory; return (size, checksum)."""

        def fill(fd: int) -> tuple[int, int]:
            size = crc = 0
            while chunk := read_some(stream):
                _write_all(fd, chunk)
                size += len(chunk)
                crc = zlib.crc32(chunk, crc)
            return size, crc

        size, crc = self._filled(path, fill)
        return size, checksum_text(crc)

    def copy_in(self, source: int, path: str, *, name: str | None = None) -> tuple[int, str | None]:
        """Copy an open regular file whole to a new file, unsynced; return (size, checksum or None).

        name: what people call the source, for errors; default: its path. The checksum is None where
        the kernel copied a big file: reading it again would cost more than the copy, and in "full"
        it is synced before it counts. Raises OSError(ESTALE) when the source changed meanwhile.
        """
        before = os.fstat(source)

        def fill(fd: int) -> tuple[int, int | None]:
            size, crc = _copy(About(source, name), fd, before.st_size, read=not self.sync)
            after = os.fstat(source)
            if size != after.st_size or before.st_mtime_ns != after.st_mtime_ns:
                stale = OSError(errno.ESTALE, "it changed while it was being copied")
                raise named(stale, source, name)
            return size, crc

        size, crc = self._filled(path, fill, _NEW & ~os.O_WRONLY | os.O_RDWR)
        return size, None if crc is None else checksum_text(crc)

    def adopt(self, source: str, path: str) -> bool:
        """Give a file outside a second name in the spool, if that can be done safely.

        Until the caller removes `source`, a crash leaves it where it was, and until `own` it keeps
        its mode. False when the file system, its owner or other names forbid it: then copy.
        """
        info = os.lstat(source)
        if not stat.S_ISREG(info.st_mode) or info.st_nlink != 1 or info.st_uid != os.geteuid():
            return False
        try:
            os.link(source, self._at(path), follow_symlinks=False)
        except OSError as error:
            if error.errno in NO_WHOLE_COPY | {errno.EMLINK}:
                return False
            raise
        return True

    def remove_outside(self, path: str) -> None:
        """Remove a file outside the spool whose content has become an item (`--move`)."""
        os.unlink(path)


def _closed(fd: int, name: str, do: Callable[[int], T]) -> T:
    """Return what is done with an open file, which is closed then; an OSError names it."""
    try:
        try:
            return do(fd)
        finally:
            os.close(fd)  # some file systems tell only now that a write has failed
    except OSError as error:
        raise named(error, fd, name) from None


def _is_loose(path: str) -> bool:
    return stat.S_IMODE(os.lstat(path).st_mode) & ~stat.S_ISGID == _LOOSE


def _write_all(fd: int, data: bytes) -> None:
    written = os.write(fd, data)
    while written < len(data):
        written += os.write(fd, memoryview(data)[written:])


def _copy(source: About, target: int, size: int, *, read: bool) -> tuple[int, int | None]:
    """Copy from the start of `source`; return (bytes copied, CRC-32 or None)."""
    if size > SMALL:
        copied = copy_in_kernel(source, target)
        if copied is not None:
            crc = int(checksum_of(target).partition(":")[2], 16) if read else None
            return copied, crc
    total, crc = 0, 0
    while True:
        with source as fd:
            chunk = os.pread(fd, CHUNK, total)
        if not chunk:
            return total, crc
        _write_all(target, chunk)
        total += len(chunk)
        crc = zlib.crc32(chunk, crc)
