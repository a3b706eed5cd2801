"""syncfs(2), which the standard library does not have."""

from __future__ import annotations

import ctypes
import os


def syncfs(fd: int) -> bool:
    """Sync the file system that an open file is on; False where there is no such call.

    It reports errors since Linux 5.8. Raises OSError.
    """
    try:
        call = ctypes.CDLL(None, use_errno=True).syncfs
    except (OSError, AttributeError):
        return False
    if call(fd) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return True
