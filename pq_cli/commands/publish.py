"""A file that others read at any moment is replaced whole: they see the old one, or the new one."""

from __future__ import annotations

import os
import stat

from pq_cli.core.item import printable
from pq_cli.errors import UsageError

_MODE = 0o666


def publish(path: str, data: bytes) -> None:
    """Put `data` in the place of a file, with its mode; a new one gets what umask leaves.

    A link is followed. Raises UsageError for what is no file, OSError, and then all is as before.
    """
    target = os.path.realpath(path)
    info = os.stat(target) if os.path.exists(target) else None
    if info is not None and not stat.S_ISREG(info.st_mode):
        raise UsageError(f"{printable(path)!r} is no file: name one, or - for standard output")
    folder, name = os.path.split(target)
    beside = os.path.join(folder, f".{name[:200]}.{os.getpid()}.tmp")
    try:
        _replace(beside, target, data, info)
    except OSError as error:
        error.filename, error.filename2 = path, None
        raise


def _replace(beside: str, target: str, data: bytes, before: os.stat_result | None) -> None:
    fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
    try:
        with open(fd, "wb") as file:
            if before is not None:
                os.fchmod(fd, stat.S_IMODE(before.st_mode))
            file.write(data)
            file.flush()
            os.fsync(fd)
        os.rename(beside, target)
    except BaseException:
        os.unlink(beside)
        raise
