"""Spool: a queue that is a directory.

Is there one, is it ours, is it safe to follow the path there; and how it is made.
"""

from __future__ import annotations

import errno
import os
import stat
import time

from pq_cli.core.arguments import LOCK_TIMEOUT, valid_making, wrong
from pq_cli.core.item import printable
from pq_cli.core.policy import QueueConfig, valid_config
from pq_cli.errors import (
    CannotCreateError,
    DamagedItemError,
    NoSpoolError,
    PermissionDeniedError,
    UsageError,
)
from pq_cli.opened import present_folder
from pq_cli.queue.verbs import Queue
from pq_cli.spool.disk import layout
from pq_cli.spool.disk.durable import Disk
from pq_cli.spool.disk.lock import SpoolLock
from pq_cli.spool.disk.spare import Spare
from pq_cli.spool.disk.state import (
    SpoolState,
    new_state,
    present_state,
    read_config,
    read_state,
    write_state,
)
from pq_cli.spool.files import Files
from pq_cli.spool.store import SpoolStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pq_cli.spool.doors.restoring import Quarantine


def _random_fraction() -> float:
    """Return a number in [0, 1) without the start-up cost of `random`."""
    return int.from_bytes(os.urandom(4)) / 2**32


class Spool(Queue):
    """A priority queue in a directory: many processes, one truth, nothing lost.

    path: the spool's directory. create: make it when missing (else NoSpoolError). config:
    overrides queue.toml. clock: returns Unix seconds. jitter: returns what backoff is shortened by,
    as a share of a tenth, in [0, 1). lock_timeout: seconds to wait for other
    processes before LockTimeoutError. report: called with the DamagedItemError of each item that is
    passed over because it cannot be read; default: ignored.

    Raises NoSpoolError, CannotCreateError, PermissionDeniedError or ConfigError on opening. Every
    verb may raise OSError from the file system and LockTimeoutError. An item is named by its
    id (int or text), by a claim (`"1742.2"`), or by the Item itself.
    """

    _store: SpoolStore

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        create: bool = True,
        config: QueueConfig | None = None,
        clock: Callable[[], float] = time.time,
        jitter: Callable[[], float] = _random_fraction,
        lock_timeout: float = LOCK_TIMEOUT,
        report: Callable[[DamagedItemError], None] | None = None,
    ) -> None:
        report = valid_making(clock, jitter, report, create=create, lock_timeout=lock_timeout)
        limits = None if config is None else valid_config(config).limits
        self.path = absolute(path)
        state = make(self.path, lock_timeout) if create else open_state(self.path)
        config = config or read_config(self.path)
        files = Files(self.path, config, state, lock_timeout, report)
        super().__init__(SpoolStore(files, clock, limits), config, jitter)

    # -- what only a folder has ------------------------------------------------------

    def quarantine(self) -> Quarantine:
        """Return what a repair has set aside, and the way back from there."""
        from pq_cli.spool.doors.restoring import Quarantine

        return Quarantine(self._store.files, self._store.now)

    def write_config(self, text: str) -> bool:
        """Write a queue.toml unless there is one; tell whether it was written."""
        with self._store.files:
            if os.path.lexists(f"{self.path}/{layout.CONFIG}"):
                return False
            self._store.set_policy(text)
            return True

    def finish_begun(self) -> None:
        """Finish what others have begun, as a claim does first: hand over, and tell followers."""
        with self._store.files:
            self._store.finish_handover()
            self._store.followers.look()
            self._tell()

    def open_drop_box(self, mode: int) -> None:
        """Give `new/` this mode, and others the way through the spool to it, but no more."""
        disk = self._store.files.disk
        with self._store.files:
            disk.make_dir(layout.NEW)
            disk.set_mode(layout.NEW, mode)
            disk.set_mode("", layout.root_mode(mode))


_MOST_LINKS = 40
"""As many as Linux follows."""
_CANNOT_MAKE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EINVAL)
"""Errors of syncing a folder in which we can have made nothing; EINVAL: on squashfs or sysfs."""


def absolute(path: str | os.PathLike[str]) -> str:
    """Return the absolute path of a spool's folder.

    Raises UsageError for what is no path, or an empty one: that would mean the current folder,
    which nobody named.
    """
    text: object = path
    if not isinstance(path, str) and hasattr(path, "__fspath__"):
        text = path.__fspath__()
    if text == "":
        raise UsageError("--spool: give a directory; the path is empty")
    if not isinstance(text, str) or "\0" in text:
        raise wrong("path", path, "a directory")
    return os.path.normpath(text if os.path.isabs(text) else f"{present_folder()}/{text}")


def check_path(path: str) -> None:
    """Raise PermissionDeniedError if a symbolic link in a world-writable folder leads to `path`.

    Anybody could have put it there, to make us write elsewhere. Links elsewhere are followed,
    and where they lead is looked at in the same way.
    """
    parts = absolute(path).split("/")[1:]
    walked, links = "/", 0
    while parts:
        part = parts.pop(0)
        parent, walked = walked, os.path.normpath(os.path.join(walked, part))
        try:
            info = os.lstat(walked)
            if not stat.S_ISLNK(info.st_mode):
                continue
            target, links = os.readlink(walked), links + 1
        except OSError:
            return
        if os.stat(parent).st_mode & stat.S_IWOTH:
            raise PermissionDeniedError(
                f"{printable(walked)} is a symbolic link in a world-writable folder: not followed"
            )
        if links > _MOST_LINKS:
            return  # opening it will say so
        parts = [part for part in target.split("/") if part] + parts
        walked = "/" if target.startswith("/") else parent


def open_state(path: str) -> SpoolState:
    """Return the state of the spool at `path`.

    Raises NoSpoolError when there is none yet, CannotCreateError when something else is there,
    DamagedStateError when it is damaged or gone.
    """
    check_path(path)
    try:
        state = read_state(path)
    except NotADirectoryError:
        raise CannotCreateError(f"{printable(path)} is not a directory") from None
    except PermissionError:
        raise PermissionDeniedError(
            f"{printable(path)}: permission denied; run pq as the owner of the spool,"
            " or name another with -s"
        ) from None
    if state is not None:
        return state
    try:
        found = os.listdir(path)
    except FileNotFoundError:
        raise NoSpoolError(
            f"there is no spool at {printable(path)}; `pq enqueue` or `pq init` makes one"
        ) from None
    foreign = min((name for name in found if name not in layout.OURS), default=None)
    if foreign is not None:
        raise CannotCreateError(
            f"{printable(path)} is not a pq spool: it holds {printable(foreign, 60)!r}"
        )
    if layout.COUNTER in found:  # there was one, or is just now: made anew, it would give ids twice
        return present_state(path)
    raise NoSpoolError(f"the spool at {printable(path)} is not made yet; `pq init` makes it")


def make(path: str, lock_timeout: float) -> SpoolState:
    """Make the spool at `path` unless it is there, durably; return its state.

    Its folder is 0700. `state.json` comes last: before it there is no spool. Safe against
    others who make it at the same time.
    """
    try:
        return open_state(path)
    except NoSpoolError:
        pass
    _make_root(path)
    disk = Disk(path, sync=True)
    lock = SpoolLock(f"{path}/{layout.LOCK}", lock_timeout, disk.owner)
    try:
        with lock:
            state = read_state(path)
            if state is None:
                for folder in layout.FOLDERS:
                    disk.make_dir(folder)
                Spare(disk).keep()
                state = new_state()
                write_state(disk, state)
            return state
    finally:
        lock.close()


def _make_root(path: str) -> None:
    missing = []
    parent = os.path.abspath(path)
    while not os.path.lexists(parent):
        missing.append(parent)
        parent = os.path.dirname(parent)
    for folder in reversed(missing):
        try:
            os.mkdir(folder, 0o700)
        except FileExistsError:
            pass  # somebody makes it just now, and its entry may not be durable yet
        except NotADirectoryError:
            raise CannotCreateError(f"{printable(path)}: a part of it is not a directory") from None
        Disk(os.path.dirname(folder), sync=True).sync_dir("")
    if not missing:
        os.chmod(path, 0o700)
    try:
        Disk(os.path.dirname(parent), sync=True).sync_dir("")  # who made it may have died then
    except OSError as error:
        if error.errno not in _CANNOT_MAKE:
            raise  # else another has made it there, or something is mounted on it
