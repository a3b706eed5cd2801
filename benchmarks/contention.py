"""Eight processes on one spool against one: what the lock costs, and who waits how long.

`python -m benchmarks.contention SPOOL START SECONDS` is one worker: enqueue, claim and done
from the Unix time START on for SECONDS; it prints the milliseconds of every verb as JSON.
"""

from __future__ import annotations

import functools
import json
import sys
import time
from typing import TYPE_CHECKING

from benchmarks.harness import Bench, Target, at_once
from pq_cli import QueueConfig, Spool

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME = "contention"
_MANY = 8
_BACKLOG = 100


def run(bench: Bench) -> None:
    """Measure total cost an item and the longest waits, for one process and for eight."""
    seconds = 0.3 if bench.size == "small" else 3.0
    for durability in ("fast", "full"):
        cases = {
            str(workers): functools.partial(_hammer, durability, workers, seconds)
            for workers in (1, _MANY)
        }
        samples = bench.alternate(cases, bench.pick(small=1, usual=5))
        one, many = samples.of("1", "item"), samples.of(str(_MANY), "item")
        what = f"enqueue + claim + done, {durability}"
        bench.report(NAME, f"{what}: 1 process", one, "us an item")
        bench.report(
            NAME, f"{what}: {_MANY} processes together", many, "us an item",
            to="1 process", reference=one, target=Target("at most half the throughput lost", 2.0),
        )  # fmt: skip
        for figure in ("p99.9", "longest"):
            values, alone = samples.of(str(_MANY), figure), samples.of("1", figure)
            bench.report(
                NAME, f"wait for one verb, {durability}, {_MANY} processes: {figure}", values, "ms",
                to="1 process", reference=alone,
            )  # fmt: skip
        fair = samples.of(str(_MANY), "share")
        bench.report(NAME, f"{what}: smallest share of {_MANY}", fair, "of the fair share")


def _hammer(durability: str, workers: int, seconds: float, folder: str) -> Mapping[str, float]:
    spool = f"{folder}/spool"
    with Spool(spool, config=QueueConfig(durability="fast")) as queue:
        queue.write_config(f'durability = "{durability}"\n')
        for number in range(_BACKLOG):
            queue.enqueue(b"x", priority=1 + number % 10)
    start = time.time() + (0.3 if workers == 1 else 1.0)
    command = [sys.executable, "-m", "benchmarks.contention", spool, repr(start), repr(seconds)]
    waits = [json.loads(printed) for printed in at_once(command, workers)]
    every = sorted(wait for own in waits for wait in own)
    items = len(every) / 3
    return {
        "item": seconds * 1e6 / items,
        "p99.9": every[int(len(every) * 0.999)],
        "longest": every[-1],
        "share": min(len(own) for own in waits) * workers / len(every),
    }


def _work(path: str, start: float, seconds: float) -> list[float]:
    spool = Spool(path)
    time.sleep(max(0.0, start - time.time()))
    waits: list[float] = []
    begun = time.perf_counter()
    while (before := time.perf_counter()) - begun < seconds:
        spool.enqueue(b"x", priority=1 + len(waits) % 10)
        queued = time.perf_counter()
        item = spool.claim()
        claimed = time.perf_counter()
        assert item is not None  # each puts one before it takes one
        spool.done(item)
        ended = time.perf_counter()
        waits += [1000 * (queued - before), 1000 * (claimed - queued), 1000 * (ended - claimed)]
    return waits


if __name__ == "__main__":
    print(json.dumps(_work(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]))))
