"""The queues that pq is measured beside, each with what it guarantees.

An adapter has `put`, and `take`: get the next item, read it, and end it for good. A fast figure
without a sync, an acknowledgement or a priority is a figure for less; so the table
says what each one does.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Protocol

from pq_cli import QueueConfig, Spool

if TYPE_CHECKING:
    from collections.abc import Callable

TEXT = "x" * 100
"""The payload of one item: a line of text."""


class Queue(Protocol):
    """What is measured of every queue."""

    def put(self, number: int) -> None:
        """Add the item with this number; it has one of ten priorities where there are any."""

    def take(self) -> None:
        """Get the next item, read its payload, end it."""

    def close(self) -> None:
        """Let go of files."""


@dataclass(frozen=True)
class Peer:
    """One queue and what it promises; `make(folder)` opens an empty one.

    sync: an item that was put survives a power loss. ack: it stays until its worker says that it
    is done. lease: what a dead worker held comes back by itself. processes: many may share it.
    """

    name: str
    package: str
    sync: bool
    priority: bool
    ack: bool
    lease: bool
    processes: bool
    make: Callable[[str], Queue]

    @property
    def version(self) -> str | None:
        """The installed version, or None when it is not installed."""
        if self.package == "pq-cli":
            from pq_cli import __version__

            return __version__
        module = _MODULES[self.package]
        return version(self.package) if importlib.util.find_spec(module) else None


class _Pq:
    def __init__(self, folder: str, durability: str) -> None:
        self._spool = Spool(f"{folder}/spool", config=QueueConfig(durability=durability))
        self._payload = TEXT.encode()

    def put(self, number: int) -> None:
        self._spool.enqueue(self._payload, priority=1 + number % 10)

    def take(self) -> None:
        item = self._spool.claim()
        assert item is not None
        self._spool.payload(item)
        self._spool.done(item)

    def close(self) -> None:
        self._spool.close()


class PqUnread(_Pq):
    """pq without reading the payload: claim and done alone, as the targets have it."""

    def take(self) -> None:
        """Claim the next item and end it."""
        item = self._spool.claim()
        assert item is not None
        self._spool.done(item)


class _Dirq:
    def __init__(self, folder: str) -> None:
        from dirq.QueueSimple import QueueSimple

        self._queue: Any = QueueSimple(f"{folder}/dirq")
        self._started = False

    def put(self, number: int) -> None:
        self._queue.add(TEXT)

    def take(self) -> None:
        name = self._queue.next() if self._started else self._queue.first()
        self._started = True
        assert self._queue.lock(name)
        self._queue.get(name)
        self._queue.remove(name)

    def close(self) -> None:
        pass


class _LocalQueue:
    def __init__(self, folder: str, durability: str) -> None:
        from localqueue import DurabilityMode, SimpleQueue

        self._queue: Any = SimpleQueue(f"{folder}/lq", durability=DurabilityMode(durability))

    def put(self, number: int) -> None:
        self._queue.put(TEXT)

    def take(self) -> None:
        self._queue.ack(self._queue.get(block=False))

    def close(self) -> None:
        self._queue.close()


class _LiteQueue:
    def __init__(self, folder: str) -> None:
        from litequeue import LiteQueue

        self._queue: Any = LiteQueue(f"{folder}/queue.db")

    def put(self, number: int) -> None:
        self._queue.put(TEXT)

    def take(self) -> None:
        self._queue.done(self._queue.pop().message_id)

    def close(self) -> None:
        self._queue.close()


class _PersistQueue:
    def __init__(self, folder: str) -> None:
        from persistqueue import SQLiteAckQueue

        self._queue: Any = SQLiteAckQueue(f"{folder}/persist", auto_commit=True)

    def put(self, number: int) -> None:
        self._queue.put(TEXT)

    def take(self) -> None:
        self._queue.ack(self._queue.get(block=False))

    def close(self) -> None:
        self._queue.close()


_MODULES = {
    "dirq": "dirq", "localqueue": "localqueue", "litequeue": "litequeue",
    "persist-queue": "persistqueue",
}  # fmt: skip

PQ_FAST = Peer(
    "pq fast", "pq-cli", sync=False, priority=True, ack=True, lease=True, processes=True,
    make=lambda folder: _Pq(folder, "fast"),
)  # fmt: skip
PQ_FULL = replace(PQ_FAST, name="pq full", sync=True, make=lambda folder: _Pq(folder, "full"))
PQ_UNREAD = replace(
    PQ_FAST, name="pq fast, payload unread", make=lambda folder: PqUnread(folder, "fast")
)
PQ_FULL_UNREAD = replace(
    PQ_FULL, name="pq full, payload unread", make=lambda folder: PqUnread(folder, "full")
)
DIRQ = Peer(
    "dirq", "dirq", sync=False, priority=False, ack=True, lease=False, processes=True, make=_Dirq
)
LOCALQUEUE = Peer(
    "localqueue relaxed", "localqueue", sync=False, priority=False, ack=True, lease=True,
    processes=True, make=lambda folder: _LocalQueue(folder, "relaxed"),
)  # fmt: skip
LOCALQUEUE_DURABLE = replace(
    LOCALQUEUE, name="localqueue durable", sync=True,
    make=lambda folder: _LocalQueue(folder, "durable"),
)  # fmt: skip
LITEQUEUE = Peer(
    "litequeue", "litequeue", sync=False, priority=False, ack=True, lease=False, processes=True,
    make=_LiteQueue,
)  # fmt: skip
PERSIST_QUEUE = Peer(
    "persist-queue", "persist-queue", sync=True, priority=False, ack=True, lease=False,
    processes=False, make=_PersistQueue,
)  # fmt: skip
PEERS = (
    PQ_UNREAD, PQ_FAST, PQ_FULL_UNREAD, PQ_FULL, DIRQ, LOCALQUEUE, LOCALQUEUE_DURABLE, LITEQUEUE,
    PERSIST_QUEUE,
)  # fmt: skip


def installed(peers: tuple[Peer, ...] = PEERS) -> list[Peer]:
    """Return the peers that can be measured here."""
    return [peer for peer in peers if peer.version is not None]


COMMANDS = {
    "nq": "no sync, no priority, no ack, no lease; runs the command itself, in order",
    "tsp": "no sync, no priority, no ack, no lease; a daemon holds the queue in memory",
}
"""The queues for the shell, by the name of their command, and what they guarantee."""


def command_installed(name: str) -> bool:
    """Tell whether a queue for the shell can be measured here."""
    return shutil.which(name) is not None


def command_environment(folder: str) -> dict[str, str]:
    """Return the variables that keep nq and tsp inside `folder`."""
    return {"NQDIR": f"{folder}/nq", "TS_SOCKET": f"{folder}/tsp", "TMPDIR": folder}


def listing() -> list[dict[str, object]]:
    """Return every queue with what it guarantees, and its version or `not installed`."""
    rows: list[dict[str, object]] = [
        {
            "name": peer.name, "version": peer.version or "not installed", "sync": peer.sync,
            "priority": peer.priority, "ack": peer.ack, "lease": peer.lease,
            "processes": peer.processes,
        }
        for peer in PEERS
    ]  # fmt: skip
    for name, guarantees in COMMANDS.items():
        found = "installed" if command_installed(name) else "not installed"
        rows.append({"name": name, "version": found, "guarantees": guarantees})
    return rows


def same_file_system(path: str) -> str:
    """Return the type of the file system that `path` is on, or `unknown`."""
    best, kind = "", "unknown"
    try:
        with open("/proc/mounts", encoding="utf-8") as file:
            mounts = [line.split()[1:3] for line in file]
    except OSError:
        return kind
    for where, what in mounts:
        inside = os.path.realpath(path).startswith(where.rstrip("/") + "/")
        if inside and len(where) >= len(best):
            best, kind = where, what
    return kind
