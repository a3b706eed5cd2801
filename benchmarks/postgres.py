"""A queue in PostgreSQL: what a claim, a whole cycle, a line and a command cost.

The server runs on the same machine: that of PQ_BENCH_URL, else one of the tests' own.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.harness import ROOT, Bench, Target
from pq_cli import PostgresQueue, Request, open_queue

NAME = "postgres"
_WORKER = """
import sys, time
from pq_cli import open_queue
queue = open_queue(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
count, until = 0, time.monotonic() + float(sys.argv[2])
while time.monotonic() < until:
    item = queue.claim(bound=False)
    queue.payload(item)
    queue.done(item)
    count += 1
print(count)
"""
_GROW = """
with last as (update pq.counter set last_id = last_id + %(more)s returning queue, last_id),
one as (select item.* from pq.item join last using (queue) order by id desc limit 1)
insert into pq.item (queue, id, state, priority, created_at, blob, fixed, moving)
select queue, number, state, priority, created_at, blob,
    replace(fixed, '"id":' || one.id || ',', '"id":' || number || ','),
    replace(moving, '"id":' || one.id || ',', '"id":' || number || ',')
from one, generate_series(one.id + 1, one.id + %(more)s) as number
"""


def run(bench: Bench) -> None:
    """Measure what the issue promises; nothing where there is no server."""
    with _server() as url:
        if url is not None:
            _claims(bench, url)
            _lines(bench, url)
            _cycles(bench, url)
            _commands(bench, url)


@contextmanager
def _server() -> Iterator[str | None]:
    """Yield the URL of a database with pq's tables and no queue in it, or None."""
    url = os.environ.get("PQ_BENCH_URL")
    if url is not None:
        yield url
        return
    sys.path.insert(0, f"{ROOT}/tests")
    try:
        import database

        database.SPEED = ("shared_buffers=256MB", "listen_addresses=")
        server = database.new_server()
    except BaseException as error:
        print(f"postgres: no server: {error}", file=sys.stderr)
        yield None
        return
    try:
        yield server.conninfo
    finally:
        server.remove()


def _fill(queue: Any, count: int) -> None:
    for start in range(0, count, 1000):
        many = min(1000, count - start)
        queue.enqueue_many([(b"x" * 100, Request(priority=1 + n % 10)) for n in range(many)])


def _claims(bench: Bench, url: str) -> None:
    many = bench.pick(small=2000, usual=100_000, full=1_000_000)
    times = {}
    for count in (1000, many):
        with PostgresQueue(f"{url}#claims{count}") as queue:
            _fill(queue, 1000)
            if count > 1000:
                import psycopg

                with psycopg.connect(url, autocommit=True) as connection:
                    grow = _GROW.replace("update pq.counter set last_id = last_id + %(more)s",
                                         "update pq.counter set last_id = last_id + %(more)s"
                                         " where queue = %(queue)s")  # fmt: skip
                    connection.execute(
                        grow,
                        {"more": count - 1000, "queue": queue._store.number},  # type: ignore[attr-defined]
                    )
                    connection.execute("vacuum analyze pq.item")
            times[count] = sorted(_timed(queue) for _ in range(200))[100]
    limit = Target("claim p50 at most 1.5 times", 1.5, full=True)
    bench.report(NAME, f"claim, {many:,} pending", [times[many] * 1e6], "us", to="1,000 pending",
                 reference=[times[1000] * 1e6], target=limit, size=many)  # fmt: skip


def _timed(queue: PostgresQueue) -> float:
    begun = time.perf_counter()
    queue.claim(bound=False)
    return time.perf_counter() - begun


def _lines(bench: Bench, url: str) -> None:
    count = bench.pick(small=1000, usual=20_000)
    line = b"x" * 100 + b"\n"
    argv = [sys.executable, "-m", "pq_cli", "enqueue", "--lines", "-s", f"{url}#lines"]
    begun = time.perf_counter()
    subprocess.run(argv, input=line * count, stdout=subprocess.DEVNULL, check=True)
    each = (time.perf_counter() - begun) / count * 1e6
    limit = Target("at least 5,000 lines a second", 200.0, of="median")
    bench.report(NAME, "enqueue --lines, a line", [each], "us", target=limit)


def _cycles(bench: Bench, url: str) -> None:
    import psycopg

    seconds = bench.pick(small=1, usual=8)
    with psycopg.connect(url, autocommit=True) as connection:
        begun = time.perf_counter()
        for _ in range(1000):
            connection.execute("select 1").fetchone()
        trip = (time.perf_counter() - begun) / 1000 * 1e6
    with open_queue(f"{url}#cycles") as queue:
        _fill(queue, 4000 * seconds)
    limit = Target("1,500 a second where 10,000 round trips are", 6.7)
    for count in (1, 8):
        argv = [sys.executable, "-c", _WORKER, f"{url}#cycles", str(seconds)]
        workers = [
            subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for _ in range(count)
        ]
        for worker in workers:
            assert worker.stdout is not None
            worker.stdout.readline()
        begun = time.perf_counter()
        done = sum(int(worker.communicate("\n")[0]) for worker in workers) if count == 1 else 0
        if count > 1:
            for worker in workers:
                assert worker.stdin is not None
                worker.stdin.write("\n")
                worker.stdin.flush()
            done = sum(int(worker.communicate()[0]) for worker in workers)
        each = (time.perf_counter() - begun) / done * 1e6
        bench.report(NAME, f"claim + payload + done, {count} at work", [each], "us", to="SELECT 1",
                     reference=[trip], target=limit if count == 8 else None)  # fmt: skip


def _commands(bench: Bench, url: str) -> None:
    with open_queue(f"{url}#commands") as queue:
        _fill(queue, 100)
    rounds = bench.pick(small=1, usual=15)
    own, bare = [], []
    for _ in range(rounds):
        own.append(_process("-m", "pq_cli", "next", "-s", f"{url}#commands"))
        bare.append(_process("-c", "import psycopg"))
    limit = Target("at most 1.15 times", 1.15)
    bench.report(NAME, "pq next, as a process", own, "ms", to="python -c 'import psycopg'",
                 reference=bare, target=limit)  # fmt: skip


def _process(*argv: str) -> float:
    begun = time.perf_counter()
    subprocess.run([sys.executable, *argv], stdout=subprocess.DEVNULL, check=True)
    return (time.perf_counter() - begun) * 1e3
