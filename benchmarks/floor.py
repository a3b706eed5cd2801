"""The floor: what two files an item cost to take, if the queue around them cost nothing.

Of two kinds. `FLOOR` makes only the system calls without which others would not see a claim (meta
and payload in another folder, the claim in the meta) and its end (both files gone), each under the
lock, with a look whether somebody else has written. `PROMISES` makes all the calls of pq's claim
and done: is the lock still the lock, and the counter the counter; did anything come into `new/`; is
the payload there and whole; what does the meta say when it is written into; the log's two lines.

In neither is any order, policy or item: what is read is not looked at, what is written was made
before. pq can only be dearer, so a peer that is cheaper than the first is out of reach for a spool
of readable pairs, and one that is cheaper than the second for a spool with these promises.
"""

from __future__ import annotations

import dataclasses
import fcntl
import os
from collections import deque

from benchmarks.peers import TEXT, Peer

_META = b"x" * 410  # as long as that of a new item
_CLAIM = b"y" * 340  # as long as what a claim adds to it
_LINE = b"z" * 130  # as long as the log's line of a claim, or of its end
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


class _Floor:
    def __init__(self, folder: str) -> None:
        self._pending, self._active = f"{folder}/pending", f"{folder}/active"
        self._new = f"{folder}/new"
        for made in (self._pending, self._active, self._new):
            os.mkdir(made)
        self._lock, self._counter, self._log = (
            os.open(f"{folder}/{name}", os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            for name in ("lock", "counter", "log")
        )
        os.write(self._counter, b"z" * 64)
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

    def _enter(self) -> None:
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.pread(self._counter, 64, 0)

    def _leave(self) -> None:
        fcntl.flock(self._lock, fcntl.LOCK_UN)

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
        self._leave()
        self._enter()
        os.unlink(f"{target}.meta.json")
        os.unlink(target)
        self._leave()

    def close(self) -> None:
        for fd in (self._lock, self._counter, self._log):
            os.close(fd)


class _Promises(_Floor):
    def _enter(self) -> None:
        super()._enter()
        os.fstat(self._lock)
        os.fstat(self._counter)

    def _leave(self) -> None:
        os.write(self._log, _LINE)
        super()._leave()

    def take(self) -> None:
        os.lstat(self._new)
        source = f"{self._pending}/{self._names[0]}"
        fd = os.open(f"{source}.meta.json", os.O_RDONLY | os.O_CLOEXEC)
        os.pread(fd, 8192, 0)
        os.close(fd)
        os.lstat(source)
        super().take()


FLOOR = Peer(
    "the bare calls of two files", "pq-cli", sync=False, priority=False, ack=False, lease=False,
    processes=False, make=_Floor,
)  # fmt: skip
PROMISES = dataclasses.replace(FLOOR, name="all calls of pq, bare", make=_Promises)
