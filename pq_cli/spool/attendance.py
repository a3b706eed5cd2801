"""Attendance: a lock that a worker holds as long as it lives, named in each of its claims.

Who finds the lock free knows that nobody works on those claims any more: at once, and also from
another host that shares the file system, or another pid namespace, where a pid says nothing.
"""

from __future__ import annotations

import os

from filelock import FileLock

from pq_cli.spool import layout
from pq_cli.spool.durable import Disk
from pq_cli.spool.holder import is_locked


class Attendance:
    """One worker's lock in `workers/`, held until `close`. Made under the spool's lock."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self.name = f"{os.getpid()}-{os.urandom(8).hex()}"
        disk.make_dir(layout.WORKERS)
        self._path = f"{layout.WORKERS}/{self.name}"
        # Whoever inherits the descriptor holds the lock too, so no other thread may matter here.
        self._lock = FileLock(f"{disk.root}/{self._path}", mode=0o600, thread_local=False)
        self._lock.acquire(blocking=False)

    def fileno(self) -> int:
        """Return the lock's descriptor; a process that inherits it holds the lock as well."""
        fd = self._lock._context.lock_file_fd
        if fd is None:
            raise ValueError("the lock is closed")
        return fd

    def close(self) -> None:
        """End it: all claims have been settled."""
        self._disk.discard(self._path)
        self._lock.release()


def sweep(disk: Disk) -> None:
    """Remove the locks of workers that were killed; their claims were taken back before."""
    for name in os.listdir(f"{disk.root}/{layout.WORKERS}"):
        if is_locked(f"{disk.root}/{layout.WORKERS}/{name}") is False:
            disk.discard(f"{layout.WORKERS}/{name}")
