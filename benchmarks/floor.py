"""The floor: what two files an item cost to take, if the queue around them cost nothing.

No order, no policy, no check, no log: only the system calls without which others would not see a
claim (meta and payload in another folder, the claim in the meta) and its end (both files gone),
each under the lock, with a look whether somebody else has written. pq can only be dearer than this,
so a peer that is cheaper than this is out of reach for a spool of readable pairs.
"""

from __future__ import annotations

import fcntl
import os
from collections import deque

from benchmarks.peers import TEXT, Peer

_META = b"x" * 410  # as long as that of a new item
_CLAIM = b"y" * 340  # as long as what a claim adds to it
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


class _Floor:
    def __init__(self, folder: str) -> None:
        self._pending, self._active = f"{folder}/pending", f"{folder}/active"
        os.mkdir(self._pending)
        os.mkdir(self._active)
        self._lock = os.open(f"{folder}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.write(self._lock, b"z" * 64)
        self._names: deque[str] = deque()
        self._count = 0

    def put(self, number: int) -> None:
        self._count += 1
        name = f"{self._count:010d}"
        for path, content in ((name, TEXT.encode()), (f"{name}.meta.json", _META)):
            fd = os.open(f"{self._pending}/{path}", _NEW, 0o600)
            os.write(fd, content)
            os.close(fd)
        self._names.append(name)

    def take(self) -> None:
        name = self._names.popleft()
        source, target = f"{self._pending}/{name}", f"{self._active}/{name}.1"
        self._enter()
        fd = os.open(f"{source}.meta.json", os.O_RDWR | os.O_CLOEXEC)
        os.pread(fd, 8192, 0)
        os.pwrite(fd, _CLAIM, len(_META))
        os.close(fd)
        os.rename(f"{source}.meta.json", f"{target}.meta.json")
        os.rename(source, target)
        fcntl.flock(self._lock, fcntl.LOCK_UN)
        self._enter()
        os.unlink(f"{target}.meta.json")
        os.unlink(target)
        fcntl.flock(self._lock, fcntl.LOCK_UN)

    def _enter(self) -> None:
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.pread(self._lock, 64, 0)

    def close(self) -> None:
        os.close(self._lock)


FLOOR = Peer(
    "the bare calls of two files", "pq-cli", sync=False, priority=False, ack=False, lease=False,
    processes=False, make=_Floor,
)  # fmt: skip
