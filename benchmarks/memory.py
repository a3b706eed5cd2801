"""The most memory that a command ever holds, as the kernel counted it."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from typing import TYPE_CHECKING

from benchmarks.harness import Bench, Target, child_environment, pq_command
from benchmarks.scale import fill
from pq_cli.commands.table import COMMANDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NAME = "memory"
_LARGE = Target("enqueue and next of 4 GiB within 40 MiB", 40, of="median", full=True)
_MANY = Target("ls, check, purge, migrate of 1,000,000 within 100 MiB", 100, of="median", full=True)
_LAUNCHER = """
import os, resource, sys
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(pid, 0)
print(usage.ru_maxrss, file=sys.stderr)
sys.exit(os.waitstatus_to_exitcode(status))
"""
"""A small process between us and the command: the kernel counts what the parent held, too."""


def run(bench: Bench) -> None:
    """Measure a large payload on its way in and out, then sweeps over many items."""
    size = bench.pick(small=8, usual=256, full=4096)
    samples = bench.alternate({"large": functools.partial(_large, size)}, 1)
    for what in ("enqueue < FILE", "enqueue FILE", "next"):
        values = samples.of("large", what)
        bench.report(NAME, f"pq {what}, {size:,} MiB", values, "MiB", target=_LARGE)
    count = bench.pick(small=100, usual=100_000, full=1_000_000)
    samples = bench.alternate({"many": functools.partial(_many, count)}, 1)
    for name in _sweeps(""):
        values = samples.of("many", name)
        bench.report(NAME, f"pq {name}, {count:,} items", values, "MiB", target=_MANY, size=count)
    _report_run(bench)


def _report_run(bench: Bench) -> None:
    """Measure a worker that runs ten times as many items."""
    few = bench.pick(small=10, usual=1000, full=10_000)
    cases = {f"{count:,}": functools.partial(_run, count) for count in (few, 10 * few)}
    samples = bench.alternate(cases, 1)
    less, more = (samples.of(case, "run") for case in cases)
    bench.report(NAME, f"pq run -j2, {few:,} items", less, "MiB", size=few)
    bench.report(
        NAME, f"pq run -j2, {10 * few:,} items", more, "MiB", size=10 * few,
        to=f"{few:,} items", reference=less, target=Target("flat memory", 1.1),
    )  # fmt: skip


def _large(size: int, folder: str) -> Mapping[str, float]:
    payload = f"{folder}/payload"
    block = os.urandom(1 << 20)
    with open(payload, "wb") as file:
        for _ in range(size):
            file.write(block)
    pq, environment = pq_command(), child_environment(PQ_SPOOL=f"{folder}/spool")
    return {
        "enqueue < FILE": _peak([pq, "enqueue"], environment, stdin=payload),
        "enqueue FILE": _peak([pq, "enqueue", payload], environment),
        "next": _peak([pq, "next"], environment),
    }


def _sweeps(folder: str) -> dict[str, list[str]]:
    """Return the commands that look at every item, the one that removes them last."""
    wanted = {
        "ls": ["ls"],
        "stats": ["stats"],
        "check": ["check"],
        "migrate": ["migrate", f"{folder}/spool", "--spool", f"{folder}/migrated"],
        "purge": ["purge", "--state", "pending"],
    }
    return {name: words for name, words in wanted.items() if name in COMMANDS}


def _many(count: int, folder: str) -> Mapping[str, float]:
    spool = f"{folder}/spool"
    fill(spool, count)
    with open(f"{spool}/queue.toml", "w", encoding="utf-8") as file:
        file.write('durability = "fast"\n')  # the memory is the same, the wait is not
    environment = child_environment(PQ_SPOOL=spool)
    return {
        name: _peak([pq_command(), *words], environment) for name, words in _sweeps(folder).items()
    }


def _run(count: int, folder: str) -> Mapping[str, float]:
    fill(f"{folder}/spool", count)
    with open(f"{folder}/spool/queue.toml", "w", encoding="utf-8") as file:
        file.write('durability = "fast"\n')
    environment = child_environment(PQ_SPOOL=f"{folder}/spool")
    return {"run": _peak([pq_command(), "run", "-j2", "--", "true"], environment)}


def _peak(command: Sequence[str], environment: Mapping[str, str], stdin: str = os.devnull) -> float:
    """Return the peak resident memory of a command in MiB."""
    launcher = [sys.executable, "-S", "-c", _LAUNCHER, *command]
    with open(stdin, "rb") as file:
        done = subprocess.run(
            launcher, env=environment, stdin=file, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    *said, peak = done.stderr.splitlines()
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {' '.join(said)}")
    return int(peak) / 1024
