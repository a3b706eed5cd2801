"""How everything here is measured: in alternation, in fresh folders, as medians and ratios.

Absolute figures depend on the machine and on what else it does. Ratios of runs that took turns
on the same file system do not, or far less; so every target is a ratio within one round of
turns, and the median of the rounds is what counts.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
IMPORTS = "import typer, orjson, filelock"
"""What a command of this kind must import at least if it is written the usual way."""

Case = Callable[[str], Mapping[str, float]]
"""One turn: takes a fresh empty folder, returns its figures by name."""


@dataclass(frozen=True)
class Target:
    """A promise of the project: `ratio` (or `median`) is at most `limit`; `text` says it in words.

    full: it is about full size, so that a smaller run shows the figure but judges nothing.
    """

    text: str
    limit: float
    of: str = "ratio"
    full: bool = False


@dataclass(frozen=True)
class Row:
    """One figure: the median of `runs` turns, and the median ratio to `to` in the same turns.

    A ratio is of costs, so below 1 is cheaper. met: whether `target` was met; None where
    there is none, or where the run was too small to tell. size: the items in the queue.
    """

    group: str
    what: str
    median: float
    unit: str
    runs: int
    ratio: float | None = None
    to: str | None = None
    target: str | None = None
    met: bool | None = None
    size: int | None = None


class Samples:
    """The figures of all turns, by case and name of figure."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, str], list[float]] = defaultdict(list)

    def add(self, case: str, figures: Mapping[str, float]) -> None:
        """Add the figures of one turn."""
        for name, value in figures.items():
            self._values[case, name].append(value)

    def of(self, case: str, figure: str) -> list[float]:
        """Return the figures of a case in the order of the rounds; none when it did not run."""
        return self._values.get((case, figure), [])


class Bench:
    """One run of the benchmarks: where, how large, and what it found.

    folder: an existing folder; everything is made below a new one in it, and removed at the end.
    size: "small" (does it still work), "usual", or "full" (the sizes of the targets).
    """

    def __init__(self, folder: str, size: str) -> None:
        self.size = size
        self.rows: list[Row] = []
        self.folder = tempfile.mkdtemp(prefix="pq-bench-", dir=folder)
        self._count = 0

    def pick(self, *, small: int, usual: int, full: int | None = None) -> int:
        """Return the number for this run's size; full defaults to usual."""
        if self.size == "full":
            return usual if full is None else full
        return small if self.size == "small" else usual

    def fresh(self) -> str:
        """Return a new empty folder on the measured file system."""
        self._count += 1
        path = f"{self.folder}/{self._count}"
        os.mkdir(path)
        return path

    def close(self) -> None:
        """Remove everything that was made."""
        remove(self.folder)

    def alternate(self, cases: Mapping[str, Case], rounds: int) -> Samples:
        """Let the cases take turns, `rounds` times: A B A B. Each turn begins on quiet disks.

        Nothing is removed before the last turn: on some file systems (ext4 without a journal)
        making files is ten times slower for minutes after many were removed nearby.
        """
        samples = Samples()
        folders = []
        for _ in range(rounds):
            for name, case in cases.items():
                folders.append(self.fresh())
                self.settle()
                samples.add(name, case(folders[-1]))
        remove(*folders)
        return samples

    def settle(self) -> None:
        """Let what earlier turns left to be written get to the disk."""
        os.sync()
        if self.size != "small":
            time.sleep(0.05)

    def report(
        self,
        group: str,
        what: str,
        values: Sequence[float],
        unit: str,
        *,
        to: str | None = None,
        reference: Sequence[float] = (),
        target: Target | None = None,
        size: int | None = None,
    ) -> None:
        """Add a row; none where a side was not measured (a peer that is not installed).

        reference: the figures of what `to` names, from the same rounds, or one for all of them.
        """
        if not values or (to is not None and not reference):
            return
        many = list(reference) if len(reference) != 1 else [reference[0]] * len(values)
        ratios = [value / other for value, other in zip(values, many, strict=False) if other]
        ratio = statistics.median(ratios) if ratios else None
        median = statistics.median(values)
        judged = ratio if target is None or target.of == "ratio" else median
        met = None
        if target is not None and judged is not None and self._can_judge(target):
            met = judged <= target.limit
        row = Row(
            group=group, what=what, median=median, unit=unit, runs=len(values), ratio=ratio,
            to=to if ratio is not None else None,
            target=None if target is None else target.text, met=met, size=size,
        )  # fmt: skip
        self.rows.append(row)
        compared = "" if ratio is None else f", {ratio:.2f} times {to}"
        print(f"{group}: {what}: {median:,.1f} {unit}{compared}", file=sys.stderr, flush=True)

    def _can_judge(self, target: Target) -> bool:
        return self.size == "full" or (self.size == "usual" and not target.full)


def remove(*paths: str) -> None:
    """Remove folders. rm is faster than rmtree, and does not mind what vanishes meanwhile."""
    subprocess.run(["rm", "-rf", *paths], check=True)


def timed(action: Callable[[], object], count: int = 1) -> float:
    """Return the microseconds that each of `count` repetitions inside `action` took."""
    start = time.perf_counter()
    action()
    return (time.perf_counter() - start) / count * 1e6


# -- whole processes -------------------------------------------------------------


def child_environment(**changes: str) -> dict[str, str]:
    """Return the environment of measured processes: this checkout's pq, compiled, no surprises."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PQ_"))}
    return {**kept, "PYTHONPATH": ROOT, **changes}


def pq_command() -> str:
    """Return the `pq` that belongs to this interpreter."""
    path = f"{os.path.dirname(sys.executable)}/pq"
    if not os.path.exists(path):
        raise SystemExit(f"{path} is missing; in the checkout: pip install -e '.[bench]'")
    return path


def process(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    *,
    stdin: str = os.devnull,
    stdout: str = os.devnull,
    allowed: Iterable[int] = (0,),
) -> float:
    """Run a command from start to end; return its milliseconds.

    posix_spawn, because `subprocess` would add more than some of the commands take. Raises
    RuntimeError when it ends with a status that is not `allowed`.
    """
    writing = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, stdin, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, stdout, writing, 0o600),
        (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
    ]
    start = time.perf_counter()
    pid = os.posix_spawnp(arguments[0], list(arguments), environment, file_actions=actions)
    _, status = os.waitpid(pid, 0)
    took = (time.perf_counter() - start) * 1000
    code = os.waitstatus_to_exitcode(status)
    if code not in allowed:
        raise RuntimeError(f"{' '.join(arguments)} ended with status {code}")
    return took


def at_once(arguments: Sequence[str], count: int) -> list[bytes]:
    """Run so many processes of this checkout at once; return what each printed."""
    running = [
        subprocess.Popen(arguments, cwd=ROOT, env=child_environment(), stdout=subprocess.PIPE)
        for _ in range(count)
    ]
    printed = [process.communicate()[0] for process in running]
    if any(process.returncode for process in running):
        raise RuntimeError(f"one of {count} failed: {' '.join(arguments)}")
    return printed


def first_line(path: str) -> str:
    """Return the first line of a file that a process wrote."""
    with open(path, encoding="utf-8") as file:
        return file.readline().strip()
