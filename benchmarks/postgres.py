"""A queue in PostgreSQL: what a claim, a whole cycle, a line and a command cost.

The server runs on the same machine: that of PQ_BENCH_URL, else one of the tests' own.
"""

from __future__ import annotations

import atexit
import json
import os
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from typing import Any

from benchmarks import pgpeers
from benchmarks.harness import ROOT, Bench, Target, child_environment, pq_command, process
from pq_cli import PostgresQueue, Request, State, open_queue

POSTGRES = "postgres"

_WORKER = """
import sys, time
from pq_cli import open_queue
queue, share, apart = open_queue(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "apart"
print("ready", flush=True)
sys.stdin.readline()
begun, item = time.monotonic(), None
for left in range(share - 1, -1, -1):
    item = item or queue.claim(bound=False)
    queue.payload(item)
    if apart or not left:
        item = queue.done(item) and None
    else:
        item = queue.done_and_claim(item, bound=False)
print(time.monotonic() - begun)
"""
_GROWER = """
import json, sys, time
from pq_cli import open_queue
queue, took = open_queue(sys.argv[1]), []
for _ in range(int(sys.argv[2])):
    while True:
        begun = time.perf_counter()
        item = queue.claim(bound=False)
        if item is not None:
            break
        time.sleep(0.01)
    took.append(time.perf_counter() - begun)
    queue.payload(item)
    queue.done(item)
print(json.dumps(took))
"""
_GROW = """
with last as (update pq.counter set last_id = last_id + %(more)s where queue = %(queue)s
              returning queue, last_id),
one as (select item.* from pq.item join last using (queue) order by id desc limit 1)
insert into pq.item (queue, id, state, priority, created_at, blob, fixed, moving, called)
select queue, number, state, priority, created_at, blob, fixed, moving, called
from one, generate_series(one.id + 1, one.id + %(more)s) as number
"""


@cache
def _server() -> str | None:
    """Return the URL of a database with pq's tables and no queue in it, or None; one for all."""
    url = os.environ.get("PQ_BENCH_URL")
    if url is not None:
        return url
    sys.path.insert(0, f"{ROOT}/tests")
    try:
        import database

        database.SPEED = ("shared_buffers=256MB", "listen_addresses=")
        server = database.new_server()
    except BaseException as error:
        print(f"postgres: no server: {error}", file=sys.stderr)
        return None
    atexit.register(server.remove)
    return server.conninfo


def _fill(queue: Any, count: int) -> None:
    for start in range(0, count, 1000):
        many = min(1000, count - start)
        queue.enqueue_many([(b"x" * 100, Request(priority=1 + n % 10)) for n in range(many)])


def _claims(bench: Bench, url: str) -> None:
    many = bench.pick(small=2000, usual=1_000_000)
    times: dict[int, list[float]] = {1000: [], many: []}
    queues = {count: PostgresQueue(f"{url}#claims{count}") for count in times}
    for count, queue in queues.items():
        _fill(queue, 1000)
        if count > 1000:
            _grow(url, f"claims{count}", count - 1000)
    for _ in range(bench.pick(small=2, usual=6)):
        for count, queue in queues.items():
            times[count] += [_timed(queue) for _ in range(50)]
    for queue in queues.values():
        queue.close()
    limit = Target("claim p50 at most 1.5 times", 1.5)
    bench.report(POSTGRES, f"claim, {many:,} pending", [statistics.median(times[many]) * 1e6], "us",
                 to="1,000 pending", reference=[statistics.median(times[1000]) * 1e6],
                 target=limit, size=many)  # fmt: skip


def _grow(url: str, name: str, more: int) -> None:
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute("select number from pq.queue where name = %s", (name,)).fetchone()
        assert row is not None
        connection.execute(_GROW, {"more": more, "queue": row[0]})
        connection.execute("vacuum analyze pq.item")


def _timed(queue: PostgresQueue) -> float:
    begun = time.perf_counter()
    queue.claim(bound=False)
    return time.perf_counter() - begun


def _lines(bench: Bench, url: str) -> None:
    count = bench.pick(small=1000, usual=50_000)
    line = b"x" * 100 + b"\n"
    argv = [sys.executable, "-m", "pq_cli", "enqueue", "--lines", "-s", f"{url}#lines"]
    begun = time.perf_counter()
    subprocess.run(argv, input=line * count, stdout=subprocess.DEVNULL, check=True)
    each = (time.perf_counter() - begun) / count * 1e6
    limit = Target("at least 5,000 lines a second", 200.0, of="median")
    bench.report(POSTGRES, "enqueue --lines, a line", [each], "us", target=limit)
    with open_queue(f"{url}#many") as queue:
        begun = time.perf_counter()
        _fill(queue, count)
        each = (time.perf_counter() - begun) / count * 1e6
    bench.report(POSTGRES, "enqueue_many, an item", [each], "us")


def _cycles(bench: Bench, url: str) -> None:
    """Whole cycles of some workers, and before each a bare round trip, in turns."""
    share, many = bench.pick(small=50, usual=1500), bench.pick(small=2, usual=8)
    took: dict[tuple[str, int], list[float]] = defaultdict(list)
    trips: dict[tuple[str, int], list[float]] = defaultdict(list)
    for number in range(bench.pick(small=1, usual=7)):
        for form in product(("apart", "together"), (1, many)):
            how, count = form
            name = f"{url}#cycles-{how}-{count}-{number}"
            with open_queue(name) as queue:
                _fill(queue, count * share)
            trips[form].append(_trip(url))
            argv = [sys.executable, "-c", _WORKER, name, str(share), how]
            longest = max(map(float, together(argv, count)))
            took[form].append(longest / (count * share) * 1e6)
    limit = Target("1,500 a second where 10,000 round trips are", 6.7)
    for form, each in took.items():
        how, count = form
        what = f"claim + payload + done, {count} at work"
        if how == "together":
            what += ", an end with the next claim, as `run` does"
        bench.report(POSTGRES, what, each, "us", to="SELECT 1", reference=trips[form],
                     target=limit if form == ("together", many) else None)  # fmt: skip


def _trip(url: str) -> float:
    """Return the microseconds of a bare round trip, of one connection that does nothing else."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        begun = time.perf_counter()
        for _ in range(1000):
            connection.execute("select 1").fetchone()
        return (time.perf_counter() - begun) / 1000 * 1e6


def together(argv: list[str], count: int) -> list[str]:
    """Run so many processes at once, from when all of them are ready; return what each printed."""
    workers = [
        subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(count)
    ]
    for worker in workers:
        assert worker.stdout is not None
        worker.stdout.readline()
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("\n")
        worker.stdin.flush()
    return [worker.communicate()[0] for worker in workers]


def _growth(bench: Bench, url: str) -> None:
    cycles, workers = bench.pick(small=100, usual=100_000), bench.pick(small=2, usual=4)
    share = min(250, cycles // workers // 4)
    with open_queue(f"{url}#growth") as queue:
        _fill(queue, 2000)
        argv = [sys.executable, "-c", _GROWER, f"{url}#growth", str(cycles // workers)]
        growers = [
            subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) for _ in range(workers)
        ]
        added = 2000
        while added < cycles + 2000 and any(grower.poll() is None for grower in growers):
            if queue.count([State.PENDING]) < 2000:
                _fill(queue, 1000)
                added += 1000
            time.sleep(0.05)
        took = [json.loads(grower.communicate()[0]) for grower in growers]
    first = statistics.median(t for times in took for t in times[:share])
    last = statistics.median(t for times in took for t in times[-share:])
    limit = Target("claim p50 at most twice that of the first", 2.0)
    bench.report(POSTGRES, f"claim, after {cycles:,} cycles of {workers} workers", [last * 1e6],
                 "us", to="the first 1,000", reference=[first * 1e6], target=limit)  # fmt: skip


def _commands(bench: Bench, url: str) -> None:
    with open_queue(f"{url}#commands") as queue:
        _fill(queue, 100)
    rounds = bench.pick(small=1, usual=15)
    own, bare = [], []
    for _ in range(rounds):
        own.append(process([pq_command(), "next", "-s", f"{url}#commands"], child_environment()))
        bare.append(process([sys.executable, "-c", "import psycopg"], child_environment()))
    limit = Target("at most 1.15 times", 1.15)
    bench.report(POSTGRES, "pq next, as a process", own, "ms", to="python -c 'import psycopg'",
                 reference=bare, target=limit)  # fmt: skip


def _peers(bench: Bench, url: str) -> None:
    """Whole cycles, all queues taking turns: who comes first would else pay for a new server."""
    seconds = bench.pick(small=2, usual=20, full=40) / 10
    peers = [peer for peer in pgpeers.PEERS if pgpeers.installed(peer)]
    counts = (1,) if bench.size == "small" else (1, 8)
    each: dict[tuple[str, str, int], list[float]] = defaultdict(list)
    for peer in peers:
        subprocess.run([*_peer(peer.name, url), "make"], check=True)
    for _ in range(bench.pick(small=1, usual=3, full=5)):
        for peer, count in product(peers, counts):
            argv = _peer(peer.name, url)
            put = _each(together([*argv, "put", str(seconds / 2)], count))
            take = _each(together([*argv, "take", str(seconds)], count))
            for what, took in (("put", put), ("take and ack", take), ("whole cycle", put + take)):
                each[peer.name, what, count].append(took)
    for peer in peers:
        name = f"{peer.name} ({peer.guarantees})"
        for count, what in product(counts, ("put", "take and ack")):
            took = each[peer.name, what, count]
            bench.report(POSTGRES, f"{name}: {what}, {count} at work", took, "us")
    for count, peer in product(counts, peers[1:]):
        ahead = Target(f"ahead of {peer.name}", 1.0)
        own, other = (each[name, "whole cycle", count] for name in (peers[0].name, peer.name))
        bench.report(POSTGRES, f"{peers[0].name}: whole cycle, {count} at work", own, "us",
                     to=peer.name, reference=other, target=ahead)  # fmt: skip


def _peer(name: str, url: str) -> list[str]:
    return [sys.executable, "-m", "benchmarks.pgpeers", name, url]


def _each(lines: list[str]) -> float:
    """Return the microseconds of one, of what processes tell that worked side by side."""
    done = [line.split() for line in lines]
    return 1e6 / max(1e-9, sum(int(many) / float(took) for many, took in done))


@dataclass(frozen=True)
class Part:
    """One group of rows."""

    NAME: str
    part: Callable[[Bench, str], None]

    def run(self, bench: Bench) -> None:
        """Measure; nothing where there is no server."""
        url = _server()
        if url is not None:
            before = len(bench.rows)
            self.part(bench, url)
            bench.rows[before:] = [replace(row, group=self.NAME) for row in bench.rows[before:]]


PARTS = (
    Part("postgres-claims", _claims), Part("postgres-lines", _lines),
    Part("postgres-cycles", _cycles), Part("postgres-commands", _commands),
    Part("postgres-growth", _growth), Part("postgres-peers", _peers),
)  # fmt: skip
