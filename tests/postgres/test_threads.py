"""Threads of one process on a database: they share the session that shows others that it lives."""

from __future__ import annotations

import os
import threading
from contextlib import suppress

import pytest
from database import need_postgres, server
from support import HANG

from pq_cli import PostgresQueue, TryAgainError

THREADS = 6


@pytest.fixture
def url() -> str:
    """The URL of a queue at which this process has not shown itself."""
    need_postgres()
    base, name = server().url().split("#")
    return f"{base}&application_name={name}#{name}"


def together(work) -> None:
    """Let as many threads do it, begun at once; raise what one of them raised."""
    errors: list[BaseException] = []
    ready = threading.Barrier(THREADS)

    def run(number: int) -> None:
        try:
            ready.wait(HANG)
            work(number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(n,), daemon=True) for n in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(2 * HANG)
    assert errors == [] and not any(thread.is_alive() for thread in threads)


@pytest.mark.parametrize("own", [False, True], ids=["one queue", "a queue each"])
def test_threads_work_look_and_wait_at_once(url, own):
    """Each item is worked on once, and nobody reads an answer that was another's."""
    queue = PostgresQueue(url)
    served: list[int] = []

    def work(_: int) -> None:
        mine = PostgresQueue(url) if own else queue
        for _ in range(30):
            mine.enqueue(b"x")
            item = mine.claim(wait=HANG)
            with suppress(TryAgainError):
                list(mine.ends([item], wait=0))
            mine.done(item)
            served.append(item.id)

    together(work)
    assert sorted(served) == list(range(1, 30 * THREADS + 1))


def test_threads_that_come_at_once_are_one_worker(url):
    """Had each a session of its own, all but one would end, and their claims be given to others."""
    queue = PostgresQueue(url)
    for _ in range(THREADS):
        queue.enqueue(b"x")
    claims = []
    together(lambda _: claims.append(PostgresQueue(url).claim()))
    assert len({claim.holder.lock for claim in claims}) == 1
    assert len(list(queue.workers())) == 1


def test_a_child_is_not_its_parent_at_work(url):
    """What it claims after a fork is held by itself, though its parent attends to the queue."""
    queue = PostgresQueue(url)
    queue.enqueue(b"x")
    queue.enqueue(b"y")
    attendance = queue.attend()
    mine = queue.claim()
    child = os.fork()
    if child == 0:
        try:
            item = queue.claim()
            os._exit(0 if item is not None and item.holder.lock != mine.holder.lock else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    attendance.close()
