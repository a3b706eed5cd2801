"""What to type next after an error of the operating system, as `PqError.then` has it for ours."""

from __future__ import annotations

import errno
import os
from shlex import quote

from pq_cli.core.item import printable
from pq_cli.opened import os_error_text

_REMEDIES = {
    errno.ENOENT: "`ls {folder}` lists what is there",
    errno.ENOTDIR: "`ls -ld {there}` tells what it is",
    errno.EISDIR: "`ls {path}` lists what is in it",
    errno.EACCES: "`ls -ld {path}` tells who may",
    errno.EPERM: "`ls -ld {path}` tells who may",
    errno.EROFS: "`df {folder}` tells what is mounted there",
    errno.ENOSPC: "`df -h` and `df -i` tell what is full",
    errno.EDQUOT: "`quota` tells what is allowed",
    errno.EBADF: "`ls -l /proc/$$/fd` tells what is open",
    errno.EMFILE: "`ulimit -n` tells how many files may be open",
    errno.ENFILE: "`cat /proc/sys/fs/file-nr` tells how many files are open",
    errno.ELOOP: "`ls -ld {path}` tells where it leads",
    errno.ENAMETOOLONG: "`getconf NAME_MAX {folder}` tells what is allowed",
}
_ELSE = "`pq doctor` looks at what the spool lies on"


def told(error: OSError, behind: str = "") -> str:
    """Return what went wrong, and where, and what is to stand `behind` that, then what to type."""
    name = error.filename
    path = os.fsdecode(name) if isinstance(name, str | bytes) else ""
    folder = _nearest(path)
    paths = {"path": path, "folder": folder, "there": path if os.path.lexists(path) else folder}
    shown = {name: printable(quote(each)) for name, each in paths.items()}
    remedy = _REMEDIES.get(error.errno or 0, _ELSE).format(**shown)
    return f"{os_error_text(error)}{behind}; {remedy}"


def _nearest(path: str) -> str:
    """Return the nearest folder above a path that is there, as far as we may look."""
    folder = os.path.dirname(path)
    while folder and not os.path.lexists(folder):
        folder = os.path.dirname(folder)
    return folder or "."
