"""Whether a file in the drop box is whole: closed, renamed there, or left alone for a while.

What can be known depends on whose it is. Of one's own files (root: of all) the kernel says whether
somebody has them open for writing. Of another owner's it does not, so what it says of times must
do: a write moves both times of a file, a rename its ctime alone, and the times of the folder.
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal

_STEP_NS = 20_000_000
"""Nanoseconds by which two time stamps of one rename may differ: they move in steps up to 10 ms."""


class Resting:
    """Judges the files of one folder for one process.

    folder: its path. settle: the seconds for which a file must have rested where nothing else
    shows that it is whole.
    """

    def __init__(self, folder: str, settle: float) -> None:
        self._folder = folder
        self._settle = settle
        self._since: dict[str, tuple[object, float]] = {}

    def is_whole(self, name: str, fd: int, now: float) -> bool:
        """Tell whether the open file `name` has all that it will get. now: Unix seconds."""
        writers = _has_writers(fd)
        if writers is not None:
            return not writers
        info = os.fstat(fd)
        return self._was_renamed(info) or self._has_rested(name, info, now)

    def forget(self, present: set[str]) -> None:
        """Forget the files that are not there any more."""
        for name in self._since.keys() - present:
            del self._since[name]

    def _was_renamed(self, info: os.stat_result) -> bool:
        """Tell whether the last thing that happened to the file was its coming here by a name.

        An empty one may be just made, and its mode set: its writer has not begun.
        """
        if not info.st_size or info.st_ctime_ns <= info.st_mtime_ns:
            return False
        return os.stat(self._folder).st_mtime_ns >= info.st_ctime_ns - _STEP_NS

    def _has_rested(self, name: str, info: os.stat_result, now: float) -> bool:
        # ctime: every write moves it, and nobody can set it back, as `cp -p` does with mtime.
        if now - info.st_ctime_ns / 1e9 >= self._settle:
            return True
        # The times may be another machine's, whose clock is ahead: what this process has seen.
        look = look_at(info)
        known, since = self._since.get(name, (None, now))
        if known != look:
            since = now
        self._since[name] = (look, since)
        return now - since >= self._settle


def look_at(info: os.stat_result) -> tuple[int, int, int]:
    """Return what tells a file from itself after a write, and from another of its name."""
    return info.st_ino, info.st_size, info.st_mtime_ns


def _has_writers(fd: int) -> bool | None:
    """Tell whether some process has the file open for writing; None where that is not told.

    Linux grants a read lease only on a file that nobody writes to, and only to its owner or to
    root. A lease that is broken while we hold it sends a signal; SIGURG is ignored by default,
    SIGIO would end the process.
    """
    try:
        fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        return True if error.errno == errno.EAGAIN else None
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False
