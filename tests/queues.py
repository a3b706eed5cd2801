"""The queues under one roof: what the contract, the model and the process tests build on."""

from __future__ import annotations

import os

from database import need_postgres, server

from pq_cli import MemoryQueue, PostgresQueue, QueueConfig, Spool
from pq_cli.spool.check.check import Check

START = 1_767_225_600.0  # 2026-01-01T00:00:00Z
BACKENDS = ("memory", "spool-full", "spool-fast", "postgres")
OWN = ("path", "holder", "checksum", "written_boot")
"""Fields in which the two backends may differ: where an item lies, and who wrote it."""


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self, now: float = START) -> None:
        self.now = now

    def __call__(self) -> float:
        """Return the time, Unix seconds."""
        return self.now

    def pass_(self, seconds: float) -> None:
        """Move on, or back."""
        self.now += seconds


def no_jitter() -> float:
    """Return what leaves waits as the formula says."""
    return 0.0


def make_queue(backend, folder, clock, jitter=no_jitter, **config):
    """Return a queue of this backend; a Spool lies in `folder`/spool."""
    if backend == "memory":
        return MemoryQueue(QueueConfig(**config), clock=clock, jitter=jitter)
    if backend == "postgres":
        need_postgres()
        config = QueueConfig(**config)
        return PostgresQueue(server().url(), config=config, clock=clock, jitter=jitter)
    config = QueueConfig(**{"durability": backend.partition("-")[2], **config})
    return Spool(folder / "spool", config=config, clock=clock, jitter=jitter)


def open_at(place, **more):
    """Return the queue at a place: a folder's path, or a URL."""
    return (PostgresQueue if "://" in str(place) else Spool)(place, **more)


def plain(item):
    """Return everything about an item that both backends must agree on."""
    fields = {n: v for n, v in item.__dict__.items() if n not in OWN}
    history = [
        {n: v for n, v in entry.items() if n not in ("host", "pid")} for entry in item.history
    ]
    return fields | {"history": history}


def snapshot(queue):
    """Return all that a queue holds, payloads included, in the order it lists it."""
    return [(plain(item), queue.payload(item)) for item in queue.items()]


def drain(queue):
    """Claim and end everything; return the ids as they were served."""
    served = []
    while (item := queue.claim()) is not None:
        served.append(item.id)
        queue.done(item)
    return served


def is_in_order(spool):
    """Nothing is left in `tmp/`, and of what was to come at most an empty folder."""
    found = Check(spool.path, 5.0, patience=0.0).run(repair=False)
    return not os.listdir(f"{spool.path}/tmp") and {each.kind for each in found} <= {"empty"}
