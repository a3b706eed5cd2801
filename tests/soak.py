"""The soak: producers, workers and a killer on one queue, for PQ_SOAK_SECONDS. Prints its figures.

Run it by itself with `python tests/soak.py DIR`, or with `URL DIR` for a queue in a database. Every
event is one line in a file that is opened O_APPEND, so lines of processes that are killed are whole
or not there.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

from pq_cli import Item, PostgresQueue, Spool
from pq_cli.core.policy import QueueConfig
from pq_cli.errors import NoSuchItemError, StaleClaimError
from pq_cli.queue.verbs import Queue
from pq_cli.spool.check.check import Check
from pq_cli.spool.check.findings import DAMAGE

PRODUCERS = WORKERS = 8
CONFIG = QueueConfig(lease=1.0, max_attempts=1_000_000, backoff=0.0)
WAITING_AT_MOST = 500
LEASE_NS = 900_000_000
"""A run that lasted longer, in nanoseconds, may rightly have lost its lease of a second."""


def _now() -> int:
    """Return a time that all processes of this machine share, in nanoseconds."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)


def _open(place: str) -> Queue:
    return (PostgresQueue if "://" in place else Spool)(place, config=CONFIG)


def _produce(place: str, seed: int, tell: Callable[..., None]) -> None:
    dice = random.Random(seed)
    with _open(place) as spool:
        after: list[int] = []
        while True:
            item = spool.enqueue(
                dice.randbytes(dice.randrange(2000)), priority=dice.randrange(1, 11), after=after
            )
            tell("in", item.id)
            after = [item.id] if dice.random() < 0.03 else []
            if item.id % 50 == 0 and len(spool) > WAITING_AT_MOST:
                time.sleep(0.2)


def _work(place: str, seed: int, tell: Callable[..., None]) -> None:
    dice = random.Random(seed)
    with _open(place) as spool:
        following: Item | None = None
        while True:
            if following is None:
                asked = _now()
                following = spool.claim()
            if following is None:
                time.sleep(0.02)
                continue
            item, following = following, None
            tell("begin", item.id, item.claims, os.getpid(), _now(), asked)
            try:
                spool.payload(item)  # gone if it was stopped here for longer than its lease
                time.sleep(dice.random() * 0.004)
                tell("end", item.id, item.claims, os.getpid(), _now())
                if dice.random() < 0.05:
                    spool.fail(item, "dice")
                    tell("failed", item.id, item.claims)
                elif dice.random() < 0.5:
                    asked = _now()
                    following = spool.done_and_claim(item)
                    tell("done", item.id, item.claims)
                else:
                    spool.done(item)
                    tell("done", item.id, item.claims)
            except (NoSuchItemError, StaleClaimError) as error:
                tell("refused", item.id, item.claims, type(error).__name__)


class Soak:
    """One soak at a place, a spool's path or a URL; `run` returns what happened.

    log: the file of the events, default beside the spool.
    """

    def __init__(self, place: str, seconds: float, seed: int, log: Path | None = None) -> None:
        self.place, self.seconds = place, seconds
        self.dice = random.Random(seed)
        self.log = log or Path(f"{place}.events")
        self.pids: dict[int, Callable[[str, int, Callable[..., None]], None]] = {}
        self.kills = self.stops = 0
        self.hurt: set[int] = set()

    def run(self) -> dict[str, object]:
        """Soak, end everything, drain what is left, and count."""
        _open(self.place).close()
        for work in [_produce] * PRODUCERS + [_work] * WORKERS:
            self._start(work)
        until = time.monotonic() + self.seconds
        stopped: list[tuple[float, int]] = []
        try:
            while time.monotonic() < until or not self._seen_enough():
                time.sleep(self.dice.uniform(0.02, 0.15))
                self._wake(stopped)
                asleep = {pid for _, pid in stopped}
                pid = self.dice.choice([p for p in self.pids if p not in asleep])
                self.hurt.add(pid)
                if self.dice.random() < 0.5 and len(stopped) < 4:
                    os.kill(pid, signal.SIGSTOP)
                    self.stops += 1
                    stopped.append((time.monotonic() + self.dice.uniform(0.1, 2.5), pid))
                else:
                    self.kills += 1
                    self._start(self._kill(pid))
        finally:
            for pid in self.pids:
                os.kill(pid, signal.SIGKILL)  # all of them, even if one has failed by itself
            for pid in list(self.pids):
                self._kill(pid)
                self.hurt.add(pid)
        return self._count()

    def _seen_enough(self) -> bool:
        """Tell whether it says something: on a slow machine that takes longer."""
        return self.kills > 5 and self.stops > 2 and self.log.read_bytes().count(b"\nin ") > 100

    def _wake(self, stopped: list[tuple[float, int]]) -> None:
        for entry in [e for e in stopped if e[0] <= time.monotonic()]:
            stopped.remove(entry)
            os.kill(entry[1], signal.SIGCONT)

    def _start(self, work: Callable[[str, int, Callable[..., None]], None]) -> None:
        seed = self.dice.randrange(2**32)
        pid = os.fork()
        if pid == 0:
            status = 99
            try:
                out = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
                work(
                    self.place,
                    seed,
                    lambda *w: os.write(out, (" ".join(map(str, w)) + "\n").encode()),
                )
            except BaseException as error:
                os.write(2, f"soak: {error!r}\n".encode())
            finally:
                os._exit(status)
        self.pids[pid] = work

    def _kill(self, pid: int) -> Callable[[str, int, Callable[..., None]], None]:
        work = self.pids.pop(pid)
        os.kill(pid, signal.SIGKILL)
        status = os.waitpid(pid, 0)[1]
        assert os.WIFSIGNALED(status), "a process of the soak failed by itself"
        return work

    def _count(self) -> dict[str, object]:
        events = [line.split() for line in self.log.read_text().splitlines()]
        told = [int(e[1]) for e in events if e[0] == "in"]
        ended = {int(e[1]) for e in events if e[0] == "done"}
        begun = [int(e[1]) for e in events if e[0] == "begin"]
        kinds = self._findings()
        time.sleep(1.1)  # the leases of those that were killed
        drained: list[int] = []
        with _open(self.place) as spool:
            while (item := spool.claim()) is not None or spool.next_event() is not None:
                if item is None:
                    time.sleep(0.05)
                    continue
                spool.payload(item)
                spool.done(item)
                drained.append(item.id)
        # A worker tells "end" before it acknowledges: what is gone without an "end" is lost.
        worked = ended | set(drained) | {int(e[1]) for e in events if e[0] == "end"}
        return {
            "seconds": self.seconds,
            "ids told": len(told),
            "ids told twice": len(told) - len(set(told)),
            "runs": len(begun) + len(drained),
            "done": len(worked),
            "lost": len(set(told) - worked),
            "run again after done": after_done(events) + len(ended & set(drained)),
            "kills": self.kills,
            "stops": self.stops,
            "claims refused to late workers": sum(e[0] == "refused" for e in events),
            "two live workers on one item": overlaps(events, self.hurt),
            "runs again without a reason": needless(events, self.hurt),
            "damage": sum(kind in DAMAGE for kind in kinds),
            "leftovers": sum(kind not in DAMAGE for kind in kinds),
        }

    def _findings(self) -> list[str]:
        """Return the kinds of what `check` finds."""
        if "://" not in self.place:
            return [each.kind for each in Check(self.place, 30.0).run(repair=False)]
        with PostgresQueue(self.place, config=CONFIG) as queue:
            return [each[0] for each in queue.findings() if each is not None]


def _spans(events: list[list[str]]) -> dict[tuple[str, str], tuple[int, int, bool]]:
    """Return (begin, end, within its lease) of each run that came to its end, by (id, claim).

    In nanoseconds. The lease counts from the moment the claim was asked for: a worker may have to
    wait for the processor between the claim and its first word.
    """
    begins = {(e[1], e[2]): (int(e[4]), int(e[-1])) for e in events if e[0] == "begin"}
    ends = {(e[1], e[2]): int(e[4]) for e in events if e[0] == "end"}
    return {
        run: (begin, ends[run], ends[run] - asked < LEASE_NS)
        for run, (begin, asked) in begins.items()
        if run in ends
    }


def overlaps(events: list[list[str]], hurt: set[int]) -> int:
    """Count overlapping runs of one item, both by processes in peace and within their lease."""
    peaceful = {(e[1], e[2]) for e in events if e[0] == "begin" and int(e[3]) not in hurt}
    of_item: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for run, (begin, end, within) in _spans(events).items():
        if run in peaceful and within:
            of_item[run[0]].append((begin, end))
    return sum(a[1] > b[0] for runs in of_item.values() for a, b in pairwise(sorted(runs)))


def needless(events: list[list[str]], hurt: set[int]) -> int:
    """Count items run again though no run failed, was killed, stopped or outlived its lease."""
    runs = Counter(e[1] for e in events if e[0] == "begin")
    excused = {e[1] for e in events if e[0] in ("failed", "refused")}
    excused |= {e[1] for e in events if e[0] == "begin" and int(e[3]) in hurt}
    excused |= {run[0] for run, (_, _, within) in _spans(events).items() if not within}
    return sum(count > 1 and item not in excused for item, count in runs.items())


def after_done(events: list[list[str]]) -> int:
    """Count runs that began after their item was done.

    Not those of a claim before that one, whose worker was stopped before it could say a word.
    """
    done: dict[str, int] = {}
    count = 0
    for event in events:
        if event[0] == "done":
            done[event[1]] = int(event[2])
        count += event[0] == "begin" and int(event[2]) > done.get(event[1], int(event[2]))
    return count


def main(*where: str) -> int:
    """Soak in a new spool below a folder, or at a URL with its events there; print the figures.

    Returns 0 if every promise was kept.
    """
    seconds = float(os.environ.get("PQ_SOAK_SECONDS", "60"))
    seed = int(os.environ.get("PQ_SEED", "1"))
    folder = Path(where[-1])
    place = where[0] if len(where) > 1 else str(folder / "soak-spool")
    (folder / "soak.events").unlink(missing_ok=True)  # of an earlier one, whose ids were others
    figures = Soak(place, seconds, seed, folder / "soak.events").run()
    for name, value in figures.items():
        print(f"{name}: {value}")
    return int(any(figures[name] for name in MUST_BE_ZERO))


MUST_BE_ZERO = (
    "ids told twice",
    "lost",
    "run again after done",
    "two live workers on one item",
    "runs again without a reason",
    "damage",
)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
