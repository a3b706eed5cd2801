"""Attendance: a lock that a worker holds as long as it lives, named in each of its claims.

Who finds the lock free knows that nobody works on those claims any more: at once, and also from
another host that shares the file system, or another pid namespace, where a pid says nothing.
"""

from __future__ import annotations

import os

from pq_cli import host
from pq_cli.core.item import Holder
from pq_cli.spool.disk import layout
from pq_cli.spool.disk.durable import Disk
from pq_cli.spool.disk.lock import SpoolLock, is_locked


class Attendance:
    """One worker's lock in `workers/`, held until `close`. Made under the spool's lock."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self.name = f"{os.getpid()}-{os.urandom(8).hex()}"
        disk.make_dir(layout.WORKERS)
        self._path = f"{layout.WORKERS}/{self.name}"
        self._lock = SpoolLock(f"{disk.root}/{self._path}", timeout=0)
        self._lock.__enter__()

    def fileno(self) -> int:
        """Return the lock's descriptor; a process that inherits it holds the lock as well."""
        return self._lock.fileno()

    def close(self) -> None:
        """End it: all claims have been settled."""
        self._disk.discard(self._path)
        self._lock.__exit__()
        self._lock.close()


def sweep(disk: Disk) -> None:
    """Remove the locks of workers that were killed; their claims were taken back before."""
    for name in os.listdir(f"{disk.root}/{layout.WORKERS}"):
        if is_locked(f"{disk.root}/{layout.WORKERS}/{name}") is False:
            disk.discard(f"{layout.WORKERS}/{name}")


def is_gone(holder: Holder, root: str) -> bool:
    """Tell whether the worker that holds a claim is certainly gone.

    Certain is what its lock says, if it has one in the spool at `root`: also from another host or
    pid namespace. Else what this host knows.
    """
    path = None if holder.lock is None else layout.worker_lock(holder.lock)
    held = None if path is None else is_locked(f"{root}/{path}")
    return host.is_dead(holder) if held is None else not held
