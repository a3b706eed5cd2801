"""Cost against the size of the queue: a command about one item must not notice the others."""

from __future__ import annotations

import functools
import sys
import time
from typing import TYPE_CHECKING

from benchmarks.harness import (
    IMPORTS,
    Bench,
    Case,
    Target,
    child_environment,
    first_line,
    pq_command,
    process,
    remove,
    timed,
)
from pq_cli import QueueConfig, Spool
from pq_cli.queue.request import Request

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME = "scale"
_REFERENCE = 1000
_FAST = QueueConfig(durability="fast", keep_done=30 * 86400.0)
_RUN = 100
"""Items claimed and done in one turn in process."""
_BATCH = 500
_REFILLS = 10

_AS_PROCESSES = Target("at 1,000,000 at most 1.2 times the cost at 1,000", 1.2, full=True)
_IN_PROCESS = Target("at 1,000,000 at most 2 times the cost at 1,000", 2.0, full=True)
_LS = Target("ls -n 20 at 1,000,000 within 1.5 times its cost at 1,000", 1.5, full=True)
_STATS = Target("stats of 1,000,000 in seconds: under a minute", 60_000, of="median", full=True)
_TAB = Target("completion at 1,000,000 within 0.15 s", 150, of="median", full=True)
_STARTED = Target("at most 1.15 times the usual imports", 1.15)


def run(bench: Bench) -> None:
    """Measure a spool of 1,000 in ten lanes against larger and differently shaped ones."""
    most = bench.pick(small=200, usual=100_000, full=1_000_000)
    reference = f"{bench.fresh()}/spool"
    fill(reference, 100 if bench.size == "small" else _REFERENCE)
    _growing(bench, reference, most)
    part = most // 10
    for shape, make in (
        (f"in one lane, {most:,}", functools.partial(fill, count=most, lanes=1)),
        (f"in one second's burst, {most:,}", functools.partial(fill, count=most, burst=True)),
        (f"{_REFERENCE:,} after {_REFILLS} times {part:,} were filled in and drained",
         functools.partial(_refilled, count=part)),
        (f"{_REFERENCE:,} beside {part:,} each of delayed, failed, done",
         functools.partial(_ended, count=part)),
    ):  # fmt: skip
        other = f"{bench.fresh()}/spool"
        make(other)
        _compare(bench, reference, other, shape, None)
        remove(other)


# -- shapes ----------------------------------------------------------------------


def fill(path: str, count: int, *, lanes: int = 10, burst: bool = False) -> None:
    """Add `count` small items to the spool, in turn to each of the lanes.

    burst: all within one second of the clock.
    """
    now = time.time()
    clock = (lambda: now) if burst else time.time
    with Spool(path, config=_FAST, clock=clock) as spool:
        enqueue(spool, [Request(priority=1 + n) for n in range(lanes)], count)


def enqueue(spool: Spool, requests: list[Request], count: int) -> None:
    """Add `count` items, with the requests in turn."""
    for start in range(0, count, _BATCH):
        numbers = range(start, min(count, start + _BATCH))
        records = [(b"x" * 100, requests[n % len(requests)]) for n in numbers]
        error = spool.enqueue_many(records).error
        if error is not None:
            raise error


def _refilled(path: str, count: int) -> None:
    with Spool(path, config=_FAST.replace(keep_done=0.0)) as spool:
        for _ in range(_REFILLS):
            enqueue(spool, [Request(priority=1 + n) for n in range(10)], count)
            while (item := spool.claim()) is not None:
                spool.done(item)
    fill(path, _REFERENCE)


def _ended(path: str, count: int) -> None:
    with Spool(path, config=_FAST) as spool:
        enqueue(spool, [Request(delay=86400.0 + n) for n in range(count)], count)
        enqueue(spool, [Request()], 2 * count)
        for number in range(2 * count):
            item = spool.claim()
            assert item is not None
            if number % 2:
                spool.done(item)
            else:
                spool.fail(item, "benchmark", dead=True)
    fill(path, _REFERENCE)


# -- figures ---------------------------------------------------------------------


def _growing(bench: Bench, reference: str, most: int) -> None:
    grown = f"{bench.fresh()}/spool"
    size = 0
    for step in (10, 100, 1000, 10_000, 100_000, 1_000_000):
        if step > most:
            break
        fill(grown, step - size)
        size = step
        _compare(bench, reference, grown, f"in ten lanes, {size:,}", size)
    _look(bench, reference, grown, size)
    remove(grown)


def _compare(bench: Bench, reference: str, other: str, what: str, size: int | None) -> None:
    """Compare next + done on two spools, in process and as processes."""
    judged = size is None or size >= 1_000_000
    rounds = bench.pick(small=1, usual=9)
    cases = {name: functools.partial(_in_process, path)
             for name, path in (("reference", reference), ("other", other))}  # fmt: skip
    samples = bench.alternate(cases, rounds)
    # The first one alone is what a process pays, and is judged there.
    for figure, label, target in (
        ("first", "the first claim + done after opening", None),
        ("each", f"claim + done, {_RUN} in a row with opening", _IN_PROCESS if judged else None),
    ):
        bench.report(
            NAME, f"{label}: {what}", samples.of("other", figure), "us",
            to=f"{_REFERENCE:,} in ten lanes", reference=samples.of("reference", figure),
            target=target, size=size,
        )  # fmt: skip
    processes: dict[str, Case] = {name: functools.partial(_as_processes, path)
                 for name, path in (("reference", reference), ("other", other))}  # fmt: skip
    usual = [sys.executable, "-c", IMPORTS]
    processes["usual"] = lambda _: {"run": process(usual, child_environment())}
    samples = bench.alternate(processes, rounds)
    bench.report(
        NAME, f"pq next + pq done: {what}", samples.of("other", "both"), "ms",
        to=f"{_REFERENCE:,} in ten lanes", reference=samples.of("reference", "both"),
        target=_AS_PROCESSES if judged else None, size=size,
    )  # fmt: skip
    for verb in ("next", "done", "enqueue"):
        bench.report(
            NAME, f"pq {verb}: {what}", samples.of("other", verb), "ms",
            to=f"python -c '{IMPORTS}'", reference=samples.of("usual", "run"), target=_STARTED,
            size=size,
        )  # fmt: skip


def _in_process(path: str, _: str) -> Mapping[str, float]:
    with Spool(path, config=_FAST.replace(keep_done=0.0)) as spool:
        taken = []

        def take(count: int) -> None:
            for _ in range(count):
                item = spool.claim()
                if item is None:
                    return
                taken.append(item.priority)
                spool.done(item)

        first = timed(lambda: take(1))
        rest = timed(lambda: take(_RUN - 1))
        enqueue(spool, [Request(priority=priority) for priority in taken], len(taken))
    return {"first": first, "each": (first + rest) / len(taken)}


def _as_processes(path: str, folder: str) -> Mapping[str, float]:
    environment, pq, claim = child_environment(PQ_SPOOL=path), pq_command(), f"{folder}/claim"
    took_next = process([pq, "next", "--claim"], environment, stdout=claim)
    took_done = process([pq, "done", first_line(claim)], environment)
    took_enqueue = process([pq, "enqueue"], environment)
    return {
        "next": took_next, "done": took_done, "both": took_next + took_done,
        "enqueue": took_enqueue,
    }  # fmt: skip


def _look(bench: Bench, reference: str, other: str, size: int) -> None:
    def command(path: str, *arguments: str) -> Mapping[str, float]:
        return {"run": process([pq_command(), *arguments], child_environment(PQ_SPOOL=path))}

    for arguments, rounds, target in (
        (("ls", "-n", "20"), 7, _LS),
        (("stats",), 2, _STATS),
        (("__complete", "show", "1"), 7, _TAB),
        (("__complete", "done", ""), 7, _TAB),
        (("__complete", "ls", "--key", ""), 7, _TAB),
    ):
        cases = {
            "reference": lambda _, a=arguments: command(reference, *a),
            "other": lambda _, a=arguments: command(other, *a),
        }
        samples = bench.alternate(cases, bench.pick(small=1, usual=rounds))
        bench.report(
            NAME, f"pq {' '.join(arguments)}: in ten lanes, {size:,}", samples.of("other", "run"),
            "ms", to=f"{_REFERENCE:,} in ten lanes", reference=samples.of("reference", "run"),
            target=target, size=size,
        )  # fmt: skip
