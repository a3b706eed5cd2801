"""The spool's lock: flock(2) on `SPOOL/lock`, with a deadline.

It is the same lock as `filelock.FileLock(SPOOL/lock)` and `flock SPOOL/lock`, and filelock takes
it, on a descriptor that is kept. Only a process that makes one change and ends, the plain forms of
`enqueue`, `next` and `done`, makes the same system call without the library: to import that costs
as much as all else that such a command does (`python -X importtime -c "import filelock"`).

`Afterwards` is what a transaction leaves to be done when the lock is free: nobody waits for a disk.
First the folders are synced in which metas have moved; then goes what may only go when its meta is
durably gone: the payload of an item that has ended, and its key, which else a power loss
could leave without the one or the other.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from _thread import allocate_lock  # `threading` costs a millisecond of start-up

from pq_cli import host
from pq_cli.errors import CannotCreateError, LockTimeoutError, PermissionDeniedError
from pq_cli.opened import FOUND, named
from pq_cli.spool.disk.durable import MANY, Disk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pq_cli.core.item import Item


_OPEN = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
_FIRST_NAP = 0.0005
_LONGEST_NAP = 0.004
"""Seconds between two tries. While the others sleep, one process makes several changes from what it
remembers: longer naps mean more work in all and longer waits (`python -m benchmarks contention`).
"""
_SILENT = 1.0
_WHO = "(which process: fuser -v FILE)"


class SpoolLock:
    """Excludes other processes, and other threads of this one. Not reentrant.

    path: the lock file, made when missing. timeout: seconds to wait before LockTimeoutError.
    owner: see `Disk`.
    """

    def __init__(self, path: str, timeout: float, owner: tuple[int, int] | None = None) -> None:
        self._path = path
        self._timeout = timeout
        self._owner = owner
        self._threads = {host.pid: allocate_lock()}
        self._fd = -1
        self._pid = 0

    def __enter__(self) -> None:
        # A thread of the parent that held it at a fork does not exist here, and never lets go.
        threads = self._threads.setdefault(host.pid, allocate_lock())
        if not threads.acquire(True, self._timeout):
            raise self._late()
        try:
            self._lock()
        except BaseException as error:
            if isinstance(error, OSError):
                named(error, self._fd, self._path)
            self.close()  # it may be locked
            threads.release()
            raise
        self._held = threads

    def __exit__(self, *_: object) -> None:
        try:
            _let_go(self._fd)
        except OSError as error:
            named(error, self._fd, self._path)
            raise
        finally:
            self._held.release()

    def _lock(self) -> None:
        deadline = None
        while True:
            fresh = self._pid != host.pid
            if fresh:
                self._open()
            if not self._try():
                deadline = deadline or time.monotonic() + self._timeout
                self._wait(deadline)
            if os.fstat(self._fd).st_nlink:
                break
            self.close()  # somebody removed the file: others lock a new one
        if fresh:
            self._prove()

    def _open(self) -> None:
        # After fork the descriptor shares the parent's lock: it would exclude nobody.
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        self._fd = os.open(self._path, _OPEN, 0o600)
        self._pid = host.pid
        if self._owner is not None:
            os.fchown(self._fd, *self._owner)
        elif os.fstat(self._fd).st_uid != os.geteuid() != 0:
            self.close()
            raise PermissionDeniedError(
                f"{os.path.dirname(self._path)} belongs to another user: only its owner changes it"
            )

    def _prove(self) -> None:
        """Raise CannotCreateError unless the lock that is held excludes others.

        A few microseconds a process, against file systems on which flock says yes to everybody.
        """
        other = os.open(self._path, _OPEN)
        try:
            if not _take(other):
                return
        finally:
            os.close(other)
        _let_go(self._fd)
        raise self._useless()

    def _wait(self, deadline: float) -> None:
        nap, tell = _FIRST_NAP, time.monotonic() + _SILENT
        while (now := time.monotonic()) < deadline:
            if now >= tell and host.say is not None:
                host.say(f"the spool is locked: waiting for {self._path} {_WHO}")
                tell = deadline
            time.sleep(min(nap, deadline - now))
            if self._try():
                return
            nap = min(nap * 1.5, _LONGEST_NAP)
        raise self._late()

    def _try(self) -> bool:
        try:
            return _take(self._fd)
        except OSError as error:
            if error.errno in (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK):
                raise self._useless() from None
            raise

    def _useless(self) -> CannotCreateError:
        return CannotCreateError(
            f"{self._path}: this file system has no working flock; put the spool elsewhere"
        )

    def _late(self) -> LockTimeoutError:
        return LockTimeoutError(
            f"the spool is locked: waited {self._timeout:g}s for {self._path} {_WHO}"
        )

    def fileno(self) -> int:
        """Return the descriptor; a process that inherits it while it is held holds the lock too."""
        return self._fd

    def close(self) -> None:
        """Close the descriptor; the next use opens it again."""
        if self._fd >= 0 and self._pid == host.pid:
            os.close(self._fd)
        self._fd, self._pid = -1, 0


def _take(fd: int) -> bool:
    """Lock an open file, or tell that somebody else holds it."""
    if not host.brief:
        from filelock import lock_descriptor

        return lock_descriptor(fd, blocking=False)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _let_go(fd: int) -> None:
    if not host.brief:
        from filelock import unlock_descriptor

        return unlock_descriptor(fd)
    return fcntl.flock(fd, fcntl.LOCK_UN)


def is_locked(path: str) -> bool | None:
    """Tell whether somebody holds the lock just now; None when it is not there or cannot say.

    Looks without waiting, and keeps no other look from the same.
    """
    try:
        fd = os.open(path, FOUND)
    except OSError:
        return None
    try:
        return is_held(fd)
    except OSError:
        return None
    finally:
        os.close(fd)


def is_held(fd: int) -> bool:
    """Tell whether somebody holds the lock on an open file: take it, shared, for an instant."""
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(fd, fcntl.LOCK_UN)
    return False


class Afterwards:
    """What one transaction leaves to be done.

    ended: items whose metas are gone, each with where its payload lies. metas: those that say
    that their items have ended, to be removed when that is durable. kept: those that were
    overwritten to say that their items are done. freed: items that give up their keys. untied: ids
    of items, with those for which they wait no longer. told: marks of items whose followers know.
    take_back: called under the lock if what was put could not be made durable. then: called without
    it when that is. whole: it is not known which folder is to be synced, so all are. later: how
    many ends are in it that wait for `settle`. dead: the locks of workers that are gone, once it
    was looked for them.
    """

    def __init__(self) -> None:
        self.folders: dict[str, None] = {}
        self.ended: list[tuple[Item, str]] = []
        self.metas: list[str] = []
        self.kept: list[str] = []
        self.freed: list[Item] = []
        self.untied: list[tuple[int, Sequence[int]]] = []
        self.told: dict[int, str] = {}
        self.take_back: Callable[[], None] | None = None
        self.then: Callable[[], None] | None = None
        self.whole = False
        self.later = 0
        self.dead: list[str] | None = None

    def take_in(self, many: list[Afterwards]) -> None:
        """Let what many have left be done together; somebody may add one to them meanwhile."""
        while many:
            more = many.pop()
            self.folders |= more.folders
            for name in ("ended", "metas", "kept", "freed", "untied"):
                getattr(self, name).extend(getattr(more, name))
            self.told |= more.told
            self.later += more.later
            self.whole |= more.whole

    def sync(self, folder: str) -> None:
        """Have a folder synced."""
        self.folders[folder] = None

    def sync_now(self, disk: Disk) -> None:
        """Sync the metas and folders, in "full"."""
        if self.metas:
            disk.sync_files(self.metas, data=True)
        if self.kept and not disk.sync_files(self.kept, data=True):
            disk.sync_file_system()  # somebody has moved one on, with its sector
            return
        if not disk.sync or not (self.folders or self.whole):
            return
        if len(self.folders) < MANY and not self.whole:
            try:
                for folder in self.folders:
                    disk.sync_dir(folder)
                return
            except FileNotFoundError:
                pass  # others have moved all that was in it, and tidied it away
        disk.sync_file_system()
