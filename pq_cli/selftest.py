"""The promises of pq, tried on a directory of the user's own file system. See `pq selftest`."""

from __future__ import annotations

import os
import random
import shutil
import signal
import tempfile
import time

from pq_cli.core.record import Record
from pq_cli.errors import LockTimeoutError, PqError
from pq_cli.spool.check.check import Check
from pq_cli.spool.disk.durable import Disk
from pq_cli.spool.disk.lock import SpoolLock
from pq_cli.spool.spool import Spool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO

    Tell = Callable[[bytes], object]

_KILLS = 30
"""Processes killed in one trial: about a second on a disk that syncs in a millisecond."""


class Result(Record):
    """What one trial gave: its name, whether the promise held, and the figures or the reason."""

    name: str
    held: bool
    detail: str


def run(folder: str) -> Iterator[Result]:
    """Try each promise in a new folder below `folder`, which is removed afterwards."""
    scratch = tempfile.mkdtemp(prefix="pq-selftest-", dir=folder)
    try:
        for name, trial in _TRIALS.items():
            try:
                yield Result(name=name, held=True, detail=trial(f"{scratch}/{name}"))
            except (PqError, OSError, AssertionError) as error:
                yield Result(name=name, held=False, detail=str(error) or type(error).__name__)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _lock(path: str) -> str:
    """The lock excludes another process, and is free again when its holder is killed."""
    os.mkdir(path)
    (holder,), told = _children(1, lambda tell: _hold(f"{path}/lock", tell))
    try:
        _require(bool(told.readline()), "a child could not take the lock")
        try:
            with SpoolLock(f"{path}/lock", 0.2):
                raise AssertionError("two processes hold the lock at once")
        except LockTimeoutError:
            pass
    finally:
        told.close()
        os.kill(holder, signal.SIGKILL)
        os.waitpid(holder, 0)
    with SpoolLock(f"{path}/lock", 5.0):
        return "excludes other processes; free after the holder was killed"


def _hold(path: str, tell: Tell) -> None:
    with SpoolLock(path, 5.0):
        tell(b"ready\n")
        time.sleep(60)


def _sync(path: str) -> str:
    """Every way to sync that pq uses is accepted, for files and folders."""
    os.mkdir(path)
    disk = Disk(path, sync=True)
    began = time.monotonic()
    for number in range(20):
        disk.write_new(f"file-{number}", b"x" * 1000)
        disk.sync_dir("")
    each = (time.monotonic() - began) / 40
    record = disk.open_to_overwrite("record")
    disk.overwrite(record, b"x" * 64)
    os.close(record)
    disk.sync_file_system()
    return f"files, folders and the file system; {each * 1000:.2f} ms each"


def _contention(path: str) -> str:
    """Of many claimers at once, each item goes to exactly one; ids are given once."""
    workers, each = 4, 25
    spool = Spool(path)
    pids, stream = _children(workers, lambda tell: _produce_and_work(path, each, tell))
    with stream:
        lines = [line.split() for line in stream]
    statuses = [os.waitpid(pid, 0)[1] for pid in pids]
    _require(not any(statuses), "a worker failed")
    given = [word for kind, word in lines if kind == b"in"]
    done = [word for kind, word in lines if kind == b"done"]
    _require(len(given) == len(set(given)) == workers * each, "an id was given twice")
    _require(sorted(given) == sorted(done), f"{len(done)} of {len(given)} items were done once")
    _require(len(spool) == 0, "something is left")
    return f"{workers} processes, {len(given)} items, each done exactly once"


def _produce_and_work(path: str, count: int, tell: Tell) -> None:
    spool = Spool(path)
    for _ in range(count):
        tell(b"in %d\n" % spool.enqueue(b"x").id)
    while (item := spool.claim()) is not None:
        spool.done(item)
        tell(b"done %d\n" % item.id)


def _kill(path: str) -> str:
    """A process that is killed at any moment loses nothing and blocks nobody."""
    spool = Spool(path)
    began = time.monotonic()
    serve_one(spool, lambda _: None)
    span = 2 * (time.monotonic() - began)
    entered: set[int] = set()
    ending: set[int] = set()
    for _ in range(_KILLS):
        for word, item_id in _killed(path, random.uniform(0.0, span)):
            (entered if word == b"in" else ending).add(int(item_id))
        left = {item.id for item in spool.items()}
        lost = entered - ending - left
        _require(not lost, f"lost: {lost}")
        for item in spool.items():
            _require(spool.payload(item) == b"payload", f"item {item.id} is torn")
    harm = [f for f in Check(path, 5.0).run(repair=False) if f.damage]
    _require(not harm, f"damage: {harm[0].detail}" if harm else "")
    return f"{_KILLS} processes killed at random moments; nothing lost, torn or damaged"


def _killed(path: str, after: float) -> list[list[bytes]]:
    """Kill a child at its work, so many seconds after it began; return what it told."""
    (pid,), stream = _children(1, lambda tell: _serve(path, tell))
    with stream:
        _require(stream.readline() == b"ready\n", "a child could not open the spool")
        time.sleep(after)
        os.kill(pid, signal.SIGKILL)
        status = os.waitpid(pid, 0)[1]
        _require(os.WIFSIGNALED(status), "a child failed at its work")
        return [line.split() for line in stream]


def _serve(path: str, tell: Tell) -> None:
    spool = Spool(path)
    tell(b"ready\n")
    while True:
        serve_one(spool, tell)


def serve_one(spool: Spool, tell: Tell) -> None:
    """Let an item enter, claim one and end it; tell what is safe and what may be gone."""
    tell(b"in %d\n" % spool.enqueue(b"payload").id)
    item = spool.claim(lease=60)
    if item is not None:
        tell(b"ending %d\n" % item.id)
        spool.done(item)


def _children(count: int, work: Callable[[Tell], object]) -> tuple[list[int], BinaryIO]:
    """Fork children that do `work` and end; return their pids, and what they tell."""
    read_end, write_end = os.pipe()
    pids: list[int] = []
    while len(pids) < count:
        pid = os.fork()
        if not pid:
            status = 1
            try:
                work(lambda line: os.write(write_end, line))
                status = 0
            finally:
                os._exit(status)
        pids.append(pid)
    os.close(write_end)
    return pids, os.fdopen(read_end, "rb")


def _require(true: bool, otherwise: str) -> None:
    if not true:
        raise AssertionError(otherwise)


_TRIALS = {"lock": _lock, "sync": _sync, "contention": _contention, "kill": _kill}
