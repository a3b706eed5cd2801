"""Copying whole files in the kernel, where the file system can."""

from __future__ import annotations

import errno
import os

from pq_cli.opened import About, named

_STEP = 64 * 1024 * 1024
NO_WHOLE_COPY = {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM,
                  errno.EBADF, errno.ETXTBSY}  # fmt: skip
"""Errors that mean: copy it by reading."""


def copy_in_kernel(source: About, target: int) -> int | None:
    """Copy an open file, by sharing its blocks where that can be; return the bytes, or None."""
    total = 0
    with source as fd:
        try:
            while count := os.copy_file_range(fd, target, _STEP, total, total):
                total += count
        except OSError as error:
            if not total and error.errno in NO_WHOLE_COPY:
                return None
            # What has no room is the target.
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            raise named(error, target) if full else error from None
    return total
