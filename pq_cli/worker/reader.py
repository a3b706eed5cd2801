"""The reader of a command's output: whether it is gone, where a command has stdout itself."""

from __future__ import annotations

import errno
import fcntl
import os
import select
import stat

_FULL = os.makedev(1, 7)  # /dev/full
_PIPE_ENDS = select.POLLERR | select.POLLNVAL


def lost_output() -> OSError | None:
    """Return why stdout or stderr take nothing any more, or None when they may.

    Nobody reads the pipe, the disk is full, or it was closed: a command that fails then has most
    likely failed by that.
    """
    for fd, name in ((1, "standard output"), (2, "standard error")):
        code = _trouble(fd)
        if code:
            return OSError(code, os.strerror(code), name)
    return None


def _trouble(fd: int) -> int:
    try:
        info = os.fstat(fd)
        if fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            return errno.EBADF  # what stands for one that was closed
        if stat.S_ISREG(info.st_mode):
            return 0 if os.fstatvfs(fd).f_bavail else errno.ENOSPC
    except OSError as error:
        return error.errno or errno.EIO
    if stat.S_ISCHR(info.st_mode) and info.st_rdev == _FULL:
        return errno.ENOSPC
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    gone = any(event & _PIPE_ENDS for _, event in poll.poll(0))
    return errno.EPIPE if gone else 0
