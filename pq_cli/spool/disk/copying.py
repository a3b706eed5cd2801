"""Copying whole files in the kernel, where the file system can."""

from __future__ import annotations

import errno
import fcntl
import os

from pq_cli.opened import About, named

_STEP = 64 * 1024 * 1024
_FICLONE = 0x40049409  # ioctl_ficlone(2): share the blocks of the whole file
NO_WHOLE_COPY = {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM,
                  errno.EBADF, errno.ETXTBSY, errno.ENOTTY}  # fmt: skip
"""Errors that mean: copy it by reading."""


def copy_in_kernel(source: About, target: int) -> int | None:
    """Copy an open file by reflink, else copy_file_range; return the bytes, None: neither works."""
    total = 0
    with source as fd:
        try:
            fcntl.ioctl(target, _FICLONE, fd)
            return os.fstat(target).st_size
        except OSError as error:
            if error.errno not in NO_WHOLE_COPY:
                raise _at_fault(error, target) from None
        try:
            while count := os.copy_file_range(fd, target, _STEP, total, total):
                total += count
        except OSError as error:
            if total or error.errno not in NO_WHOLE_COPY:
                raise _at_fault(error, target) from None
            return None
    return total


def _at_fault(error: OSError, target: int) -> OSError:
    """Return the error of a copy by the kernel; it names the target if that has no room."""
    return named(error, target) if error.errno in (errno.ENOSPC, errno.EDQUOT) else error
