"""The worker pool: `pq run` beside `xargs`, `drain` with a handler that does nothing, idleness."""

from __future__ import annotations

import asyncio
import functools
import os
import random
import resource
import subprocess
import time
from typing import IO, TYPE_CHECKING

from benchmarks.harness import Bench, Target, child_environment, pq_command, process, timed
from pq_cli import Item, Spool, drain
from pq_cli.queue.request import Request

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NAME = "pool"
_JOBS = 2
_XARGS = "xargs -P2 -n1 true"


def run(bench: Bench) -> None:
    """Measure what an item costs in each."""
    count = bench.pick(small=20, usual=2000, full=10_000)
    cases = {
        _XARGS: functools.partial(_xargs, count),
        "fast": functools.partial(_pq_run, "fast", count),
        "full": functools.partial(_pq_run, "full", count),
        "drain": functools.partial(_drain, count),
    }
    samples = bench.alternate(cases, bench.pick(small=1, usual=5))
    reference = samples.of(_XARGS, "item")
    bench.report(NAME, f"{_XARGS}, an item", reference, "us")
    bench.report(
        NAME, "pq run -j2 -- true, fast, an item", samples.of("fast", "item"), "us",
        to=_XARGS, reference=reference, target=Target("at most 1.4 times xargs, as it was", 1.4),
    )  # fmt: skip
    bench.report(
        NAME, "pq run -j2 -- true, full, an item", samples.of("full", "item"), "us",
        to=_XARGS, reference=reference, target=Target("at most 1.6 times xargs", 1.6),
    )  # fmt: skip
    for durability in ("fast", "full"):  # changed less by a busy machine than the time that passes
        bench.report(
            NAME, f"pq run -j2 -- true, {durability}, CPU time of an item",
            samples.of(durability, "cpu"), "us", to=_XARGS, reference=samples.of(_XARGS, "cpu"),
        )  # fmt: skip
    bench.report(
        NAME, "drain(), fast, an item", samples.of("drain", "item"), "us",
        target=Target("at least 2,000 items a second", 500.0, of="median"),
    )  # fmt: skip
    _report_idle(bench)


def _report_idle(bench: Bench) -> None:
    """Measure what `--follow` costs while nothing comes, and how soon it starts what comes."""
    seconds = bench.pick(small=1, usual=10, full=60)
    samples = bench.alternate({"follow": functools.partial(_follow, seconds)}, 1)
    bench.report(
        NAME, f"idle --follow, {seconds} s, of a core", samples.of("follow", "share"), "%",
        target=Target("under 0.5 % of a core", 0.5, of="median"),
    )  # fmt: skip
    bench.report(
        NAME, "from enqueue to the start of CMD, the slowest of 10", samples.of("follow", "wake"),
        "ms", target=Target("within 0.25 s", 250.0, of="median"),
    )  # fmt: skip


def _filled(durability: str, count: int, folder: str) -> Spool:
    spool = Spool(f"{folder}/spool")
    spool.write_config(f'durability = "{durability}"\n')
    spool = Spool(f"{folder}/spool")
    for start in range(0, count, 500):
        spool.enqueue_many([(b"%d" % n, Request()) for n in range(start, min(count, start + 500))])
    return spool


def _xargs(count: int, folder: str) -> Mapping[str, float]:
    with open(f"{folder}/words", "w", encoding="ascii") as file:
        file.writelines(f"{n}\n" for n in range(count))
    words = ["xargs", f"-P{_JOBS}", "-n1", "true"]
    return _measured(words, child_environment(), count, stdin=f"{folder}/words")


def _pq_run(durability: str, count: int, folder: str) -> Mapping[str, float]:
    _filled(durability, count, folder).close()
    environment = child_environment(PQ_SPOOL=f"{folder}/spool")
    return _measured([pq_command(), "run", f"-j{_JOBS}", "--", "true"], environment, count)


def _measured(
    words: Sequence[str], environment: Mapping[str, str], count: int, *, stdin: str = os.devnull
) -> Mapping[str, float]:
    """Return what an item costs a command that runs `count` of them: time and CPU time."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    took = process(words, environment, stdin=stdin)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"item": took * 1000 / count, "cpu": cpu * 1e6 / count}


def _drain(count: int, folder: str) -> Mapping[str, float]:
    spool = _filled("fast", count, folder)

    async def nothing(_: Item) -> None:
        pass

    return {"item": timed(lambda: asyncio.run(drain(spool, nothing, concurrency=_JOBS)), count)}


def _follow(seconds: int, folder: str) -> Mapping[str, float]:
    spool = _filled("fast", 0, folder)
    command = [pq_command(), "run", "--follow", "--json", "--", "true"]
    environment = child_environment(PQ_SPOOL=f"{folder}/spool")
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as worker:
        assert worker.stdout is not None
        try:
            delays = [_delay(spool, worker.stdout) for _ in range(11)][1:]  # it is up by the first
            before = _cpu_seconds(worker.pid)
            time.sleep(seconds)
            used = _cpu_seconds(worker.pid) - before
        finally:
            worker.terminate()
    return {"share": used / seconds * 100, "wake": max(delays) * 1000}


def _delay(spool: Spool, events: IO[bytes]) -> float:
    """Enqueue an item; return the seconds until its command was started."""
    time.sleep(random.uniform(0, 0.2))
    spool.enqueue(b"x")
    enqueued = time.monotonic()
    events.readline()
    delay = time.monotonic() - enqueued
    events.readline()  # it has ended, too
    return delay


def _cpu_seconds(pid: int) -> float:
    """Return the seconds that a process has been on a core."""
    with open(f"/proc/{pid}/schedstat", encoding="ascii") as file:
        return int(file.read().split()[0]) / 1e9
