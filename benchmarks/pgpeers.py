"""Queues in PostgreSQL that pq is measured beside, each with what it guarantees.

`python -m benchmarks.pgpeers NAME URL make|put|take [SECONDS]`: one process at work. It prints
`ready`, begins with the first line of its stdin, and prints how many it did and the seconds.
Each is used as its own workers use it: an item is put by a transaction, taken by another, ended
by a third. python-pq's `run_worker_once` starts a process for each item, and has no other form.
"""

from __future__ import annotations

import asyncio
import importlib.util
import sys
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

TEXT = "x" * 100
"""The payload of one item: a line of text."""


def nothing(text: str) -> None:
    """What python-pq runs for an item."""


class _Pq:
    def __init__(self, url: str) -> None:
        from pq_cli.postgres.queue import PostgresQueue
        from pq_cli.postgres.schema import set_up

        self._set_up = lambda: set_up(f"{url}#peers")
        self._queue: Any = None
        self._open = lambda: PostgresQueue(f"{url}#peers")

    async def make(self) -> None:
        self._set_up()

    async def open(self) -> None:
        self._queue = self._open()

    async def put(self, number: int) -> None:
        self._queue.enqueue(TEXT.encode(), priority=1 + number % 10)

    async def take(self) -> bool:
        item = self._queue.claim(bound=False)
        if item is None:
            return False
        self._queue.payload(item)
        self._queue.done(item)
        return True


class _Procrastinate:
    def __init__(self, url: str) -> None:
        from procrastinate import App, PsycopgConnector

        self._app = App(connector=PsycopgConnector(conninfo=url, min_size=1, max_size=2))
        self._worker = 0

    async def make(self) -> None:
        await self._app.open_async()
        await self._app.schema_manager.apply_schema_async()

    async def open(self) -> None:
        await self._app.open_async()
        self._worker = await self._app.job_manager.register_worker()

    async def put(self, number: int) -> None:
        from procrastinate.jobs import Job

        job = Job(queue="q", lock=None, queueing_lock=None, task_name="t", priority=number % 10,
                  task_kwargs={"text": TEXT})  # fmt: skip
        await self._app.job_manager.defer_job_async(job)

    async def take(self) -> bool:
        from procrastinate.jobs import Status

        job = await self._app.job_manager.fetch_job(None, self._worker)
        if job is None:
            return False
        await self._app.job_manager.finish_job(job, Status.SUCCEEDED, delete_job=True)
        return True


class _PgQueuer:
    def __init__(self, url: str) -> None:
        self._url = url
        self._queries: Any = None
        self._me = uuid.uuid4()

    async def make(self) -> None:
        await self.open()
        await self._queries.install()

    async def open(self) -> None:
        import asyncpg
        from pgqueuer.db import AsyncpgDriver
        from pgqueuer.queries import Queries

        self._queries = Queries(AsyncpgDriver(await asyncpg.connect(dsn=self._url)))

    async def put(self, number: int) -> None:
        await self._queries.enqueue("e", TEXT.encode(), priority=number % 10)

    async def take(self) -> bool:
        from datetime import timedelta

        from pgqueuer.ports.repository import EntrypointExecutionParameter

        jobs = await self._queries.dequeue(
            1, {"e": EntrypointExecutionParameter(0)}, self._me, None, timedelta(seconds=30)
        )
        if not jobs:
            return False
        await self._queries.log_jobs([(jobs[0], "successful", None)])
        return True


class _PythonPq:
    def __init__(self, url: str) -> None:
        from pq.client import PQ

        self._pq = PQ(url)

    async def make(self) -> None:
        self._pq.create_tables()

    async def open(self) -> None:
        import logging

        logging.disable()

    async def put(self, number: int) -> None:
        self._pq.enqueue(nothing, TEXT)

    async def take(self) -> bool:
        return bool(self._pq.run_worker_once())


@dataclass(frozen=True)
class Peer:
    """A queue, the module that it is, and what it promises."""

    name: str
    module: str
    guarantees: str
    make: Callable[[str], Any]


PEERS = (
    Peer("pq", "pq_cli", "synced, priority with aging, first in first out, ack, lease, fence",
         _Pq),
    Peer("procrastinate", "procrastinate",
         "synced, priority, ack, stalled ones found and retried by hand, no fence",
         _Procrastinate),
    Peer("pgqueuer", "pgqueuer", "synced, priority, ack, heartbeat, no fence", _PgQueuer),
    Peer("python-pq", "pq", "synced, 5 priorities, ack, a process an item, stale ones reaped",
         _PythonPq),
)  # fmt: skip


def installed(peer: Peer) -> bool:
    """Tell whether a queue can be measured here."""
    return importlib.util.find_spec(peer.module) is not None


async def _work(name: str, url: str, what: str, seconds: float) -> None:
    peer = next(peer for peer in PEERS if peer.name == name).make(url)
    if what == "make":
        await peer.make()
        return
    await peer.open()
    print("ready", flush=True)
    sys.stdin.readline()
    count, begun = 0, time.monotonic()
    while time.monotonic() < begun + seconds:
        if what == "put":
            await peer.put(count)
        elif not await peer.take():
            break
        count += 1
    print(count, time.monotonic() - begun)


if __name__ == "__main__":
    from benchmarks import pgpeers

    _, name_, url_, what_, *seconds_ = sys.argv
    asyncio.run(pgpeers._work(name_, url_, what_, float(seconds_[0]) if seconds_ else 0.0))
