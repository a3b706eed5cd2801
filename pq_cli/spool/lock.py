"""The spool's lock: flock(2) on `SPOOL/lock`, with a deadline.

It is the same lock as `filelock.FileLock(SPOOL/lock)` and `flock SPOOL/lock`. It is taken
with fcntl directly because it is taken a million times a day: filelock 4.2 costs
37 ms to import and 65 us a round, a kept descriptor 1 us.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from _thread import allocate_lock  # `threading` costs a millisecond of start-up

from pq_cli.errors import CannotCreateError, LockTimeoutError

_FIRST_NAP = 0.0005
_LONGEST_NAP = 0.02


class SpoolLock:
    """Excludes other processes, and other threads of this one. Not reentrant.

    path: the lock file, made when missing. timeout: seconds to wait before LockTimeoutError.
    """

    def __init__(self, path: str, timeout: float) -> None:
        self._path = path
        self._timeout = timeout
        self._threads = allocate_lock()
        self._fd = -1
        self._pid = 0

    def __enter__(self) -> None:
        if not self._threads.acquire(timeout=self._timeout):
            raise self._late()
        try:
            self._lock()
        except BaseException:
            self._threads.release()
            raise

    def __exit__(self, *_: object) -> None:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_UN)
        finally:
            self._threads.release()

    def _lock(self) -> None:
        if self._pid != os.getpid():
            # After fork the descriptor shares the parent's lock: it would exclude nobody.
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self._fd = os.open(self._path, flags, 0o600)
            self._pid = os.getpid()
        deadline = time.monotonic() + self._timeout
        nap = _FIRST_NAP
        while not self._try():
            left = deadline - time.monotonic()
            if left <= 0:
                raise self._late()
            time.sleep(min(nap, left))
            nap = min(nap * 1.5, _LONGEST_NAP)

    def _try(self) -> bool:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno in (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK):
                raise CannotCreateError(
                    f"{self._path}: this file system has no working flock; put the spool elsewhere"
                ) from None
            raise
        return True

    def _late(self) -> LockTimeoutError:
        return LockTimeoutError(
            f"the spool is locked: waited {self._timeout:g}s for {self._path}"
            " (which process: fuser -v FILE)"
        )

    def close(self) -> None:
        """Close the descriptor; the next use opens it again."""
        if self._fd >= 0 and self._pid == os.getpid():
            os.close(self._fd)
        self._fd, self._pid = -1, 0
