"""What "full" costs where syncs are shared: producers and workers at once, FILEs, many claims.

`python -m benchmarks.durable SPOOL START SECONDS VERB` is one process: it does VERB (`produce` or
`work`) from the Unix time START on for SECONDS and prints how often. With the VERB `hold` it makes
SECONDS claims and lives with them.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.harness import ROOT, Bench, Target, at_once, child_environment
from pq_cli import Spool
from pq_cli.queue.request import Request

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME = "durable"
_MANY = 8
_TARGETS = {
    "produce": Target("at least 2.2 times the rate of one", 1 / 2.2),
    "work": Target("at least 2 times the rate of one", 1 / 2),
}
_NEVER = Target("never slower than one, in no round", 1.0)
_FILES = Target("within 3 times the cost of the same as lines", 3.0)
_CLAIMS = Target("within 1.2 times the cost with none", 1.2)


def run(bench: Bench) -> None:
    """Measure one and eight processes, FILEs against lines, and `next` with many claims."""
    seconds = 0.3 if bench.size == "small" else 2.0
    for verb, target in _TARGETS.items():
        cases = {
            str(count): functools.partial(_together, verb, count, seconds) for count in (1, _MANY)
        }
        samples = bench.alternate(cases, bench.pick(small=1, usual=5))
        one, many = samples.of("1", "item"), samples.of(str(_MANY), "item")
        bench.report(NAME, f"{verb}, full: 1 process", one, "us an item")
        bench.report(
            NAME, f"{verb}, full: {_MANY} processes together", many, "us an item",
            to="1 process", reference=one, target=target,
        )  # fmt: skip
        slowest, beside = max(zip(many, one, strict=True), key=lambda pair: pair[0] / pair[1])
        bench.report(
            NAME, f"{verb}, full: {_MANY} processes together, the slowest round", [slowest],
            "us an item", to="1 process", reference=[beside],
            target=_NEVER if verb == "produce" else None,
        )  # fmt: skip
    _files(bench, bench.pick(small=20, usual=2000))
    _claims(bench, bench.pick(small=20, usual=10_000))


def _together(verb: str, count: int, seconds: float, folder: str) -> Mapping[str, float]:
    spool = f"{folder}/spool"
    with Spool(spool) as queue:
        if verb == "work":
            queue.enqueue_many([(b"x", Request())] * 4000)
    start = time.time() + (0.5 if count == 1 else 1.5)
    command = [sys.executable, "-m", "benchmarks.durable", spool, repr(start), repr(seconds), verb]
    rate = sum(map(float, at_once(command, count)))
    return {"item": 1e6 / rate}


def _files(bench: Bench, count: int) -> None:
    """`enqueue FILE...` of small FILEs against the same as `--lines`."""

    def enqueue(lines: bool, folder: str) -> Mapping[str, float]:
        outside = Path(folder) / "outside"
        outside.mkdir()
        names = [str(outside / str(number)) for number in range(count)]
        for name in names:
            Path(name).write_text("one small payload")
        options = ["--lines"] if lines else names
        text = b"one small payload\n" * count
        return {"all": _pq(f"{folder}/spool", "enqueue", *options, stdin=text) * 1e3}

    cases = {"lines": functools.partial(enqueue, True), "FILEs": functools.partial(enqueue, False)}
    samples = bench.alternate(cases, bench.pick(small=1, usual=5))
    lines = samples.of("lines", "all")
    bench.report(NAME, f"enqueue --lines, full: {count:,}", lines, "ms", size=count)
    bench.report(
        NAME, f"enqueue FILE..., full: {count:,}", samples.of("FILEs", "all"), "ms",
        to="--lines", reference=lines, target=_FILES, size=count,
    )  # fmt: skip


def _claims(bench: Bench, count: int) -> None:
    """`pq next` as a process, with many claims at work and with none.

    Claims of nobody (`next --claim`), of one worker that lives, of a hundred of them.
    """

    def following(workers: int, claims: int, folder: str) -> Mapping[str, float]:
        spool = f"{folder}/spool"
        with Spool(spool) as queue:
            queue.enqueue_many([(b"x", Request())] * (claims + 4))
            for _ in range(0 if workers else claims):
                queue.claim(lease=86400, bound=False)
        command = [sys.executable, "-m", "benchmarks.durable", spool]
        pipe = subprocess.PIPE
        holding = [
            subprocess.Popen(
                [*command, "0", str(claims // workers), "hold"],
                cwd=ROOT, env=child_environment(), stdin=pipe, stdout=pipe,
            )
            for _ in range(workers)
        ]  # fmt: skip
        for worker in holding:
            assert worker.stdout is not None
            worker.stdout.read(1)
        _pq(spool, "next")
        took = min(_pq(spool, "next") for _ in range(3)) * 1e3
        for worker in holding:
            worker.communicate()
        return {"next": took}

    crowd = bench.pick(small=2, usual=100)
    whose = {"`next --claim`": 0, "one worker": 1, f"{crowd} workers": crowd}
    cases = {name: functools.partial(following, many, count) for name, many in whose.items()}
    cases["none"] = functools.partial(following, 0, 0)
    samples = bench.alternate(cases, bench.pick(small=1, usual=3))
    none = samples.of("none", "next")
    bench.report(NAME, "next, full: nothing claimed", none, "ms")
    for name in whose:
        bench.report(
            NAME, f"next, full: {count:,} claimed, {name}", samples.of(name, "next"), "ms",
            to="nothing claimed", reference=none, target=_CLAIMS, size=count,
        )  # fmt: skip


def _pq(spool: str, *arguments: str, stdin: bytes = b"") -> float:
    """Run a command; return the seconds that it took."""
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "pq_cli", *arguments], input=stdin, check=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**child_environment(), "PQ_SPOOL": spool},
    )  # fmt: skip
    return time.perf_counter() - began


def _work(path: str, start: float, seconds: float, verb: str) -> float:
    """Do the verb until the time is over or nothing is left; return how often a second."""
    done = 0
    with Spool(path) as queue:
        if verb == "hold":
            return _hold(queue, int(seconds))
        time.sleep(max(0.0, start - time.time()))
        while time.time() < start + seconds:
            if verb == "produce":
                queue.enqueue(b"x")
            elif (item := queue.claim()) is not None:
                queue.done(item)
            else:
                break
            done += 1
        return max(1, done) / (time.time() - start)


def _hold(queue: Spool, claims: int) -> int:
    """Claim so many items, say so, and live until standard input ends."""
    for _ in range(claims):
        queue.claim(lease=86400)
    os.write(1, b"\n")
    sys.stdin.read()
    return claims


if __name__ == "__main__":
    os.write(1, str(_work(sys.argv[1], *map(float, sys.argv[2:4]), sys.argv[4])).encode())
