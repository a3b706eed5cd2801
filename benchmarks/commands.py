"""Whole processes: what one `pq enqueue`, `next` or `done` costs from start to end."""

from __future__ import annotations

import functools
import os
import sys
import tempfile
from typing import TYPE_CHECKING

from benchmarks import peers
from benchmarks.harness import (
    IMPORTS,
    Bench,
    Samples,
    Target,
    child_environment,
    first_line,
    pq_command,
    process,
)
from pq_cli import QueueConfig, Spool

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME = "commands"
_BARE = "python -c pass"
_USUAL = f"python -c '{IMPORTS}'"
_VERBS = ("enqueue", "next --claim", "done")
_MEMORY = "/dev/shm"
PENDING = 10


def run(bench: Bench) -> None:
    """Measure the three commands on the disk, and in memory where syncs cost nothing."""
    _measure(bench, "on disk", None)
    if os.access(_MEMORY, os.W_OK):
        _measure(bench, "in memory", _MEMORY)


def _measure(bench: Bench, where: str, folder: str | None) -> None:
    cases = {
        _BARE: functools.partial(_python, "pass"),
        _USUAL: functools.partial(_python, IMPORTS),
        "pq": functools.partial(_pq, folder),
    }
    if folder is None:
        cases |= {name: functools.partial(_peer, name) for name in _shell_queues()}
    samples = bench.alternate(cases, bench.pick(small=1, usual=21))
    _report(bench, samples, where)


def _shell_queues() -> list[str]:
    return [name for name in peers.COMMANDS if peers.command_installed(name)]


def _report(bench: Bench, samples: Samples, where: str) -> None:
    bare, usual = samples.of(_BARE, "run"), samples.of(_USUAL, "run")
    bench.report(NAME, f"{_BARE} ({where})", bare, "ms")
    bench.report(NAME, f"{_USUAL} ({where})", usual, "ms", to=_BARE, reference=bare)
    for verb in _VERBS:
        what, values = f"pq {verb} ({where})", samples.of("pq", verb)
        bench.report(
            NAME, what, values, "ms", to=_USUAL, reference=usual,
            target=Target("at most 1.15 times the usual imports", 1.15),
        )  # fmt: skip
        bench.report(
            NAME, what, values, "ms", to=_BARE, reference=bare,
            target=Target("the prize: at most 3 times bare Python", 3.0),
        )  # fmt: skip
        for name in _shell_queues():
            bench.report(NAME, what, values, "ms", to=name, reference=samples.of(name, "run"))
    for name in _shell_queues():
        bench.report(NAME, f"{name} true ({where})", samples.of(name, "run"), "ms")


def _python(code: str, _: str) -> Mapping[str, float]:
    return {"run": process([sys.executable, "-c", code], child_environment())}


def _pq(elsewhere: str | None, folder: str) -> Mapping[str, float]:
    """Enqueue, claim and finish one item beside ten others; `elsewhere` replaces the folder."""
    with tempfile.TemporaryDirectory(dir=elsewhere or folder) as place:
        spool = f"{place}/spool"
        with Spool(spool, config=QueueConfig(durability="fast")) as queue:
            for number in range(PENDING):
                queue.enqueue(b"x", priority=1 + number % 10)
        payload, claim = f"{place}/payload", f"{place}/claim"
        with open(payload, "wb") as file:
            file.write(peers.TEXT.encode())
        environment, pq = child_environment(PQ_SPOOL=spool), pq_command()
        process([pq, "enqueue"], environment, stdin=payload)  # the spool turns from fast to full
        return {
            "enqueue": process([pq, "enqueue"], environment, stdin=payload),
            "next --claim": process([pq, "next", "--claim"], environment, stdout=claim),
            "done": process([pq, "done", first_line(claim)], environment),
        }


def _peer(name: str, folder: str) -> Mapping[str, float]:
    """Queue `true` once the queue is up, and wait until it has run."""
    environment = child_environment(**peers.command_environment(folder))
    wait = ["nq", "-w"] if name == "nq" else ["tsp", "-w"]
    try:
        process([name, "true"], environment)
        process(wait, environment)
        took = process([name, "true"], environment)
        process(wait, environment)
    finally:
        if name == "tsp":
            process(["tsp", "-K"], environment)
    return {"run": took}
