"""A pool slows down as a whole while everything fails, and only then."""

from __future__ import annotations

import asyncio
import json

import pytest
from queues import Clock, make_queue

from pq_cli import GiveUp, HaltError, Limits, MemoryQueue, RetryLater, State, drain
from pq_cli.commands.run import RunOptions
from pq_cli.worker import limits as pace
from pq_cli.worker.contract import Verdict
from pq_cli.worker.limits import AFTER, FIRST, LONGEST, Slowdown


def fail(pace, now, verdict=Verdict.RETRY):
    """Make one attempt at `now` that ends so at once."""
    pace.ended(verdict, pace.claimed(), now)


def slowed(now=0.0):
    """Return a slowdown whose first pause begins at `now`."""
    pace = Slowdown()
    for _ in range(AFTER):
        assert pace.wait(now) == 0
        fail(pace, now)
    assert pace.wait(now) == FIRST
    return pace


@pytest.mark.parametrize("verdict", [Verdict.RETRY, Verdict.DEFER])
def test_pauses_double_up_to_the_longest(verdict):
    """After AFTER failures in a row, counted or put off: 1 s, 2 s, 4 s ... 300 s, 300 s."""
    pace, now, pauses = Slowdown(), 0.0, []
    for _ in range(AFTER + 11):
        now += pace.wait(now)
        fail(pace, now, verdict)
        pauses.append(pace.wait(now))
    assert pauses[: AFTER - 1] == [0.0] * (AFTER - 1)
    assert pauses[AFTER - 1 :] == [1, 2, 4, 8, 16, 32, 64, 128, 256, LONGEST, LONGEST, LONGEST]


def test_the_first_success_restores_full_speed():
    """One attempt that ends well, and the next failure is the first of a new row."""
    pace = slowed()
    fail(pace, FIRST, Verdict.DONE)
    assert (pace.slow, pace.wait(FIRST), pace.in_a_row) == (False, 0, 0)
    for _ in range(AFTER - 1):
        fail(pace, FIRST)
        assert not pace.slow
    fail(pace, FIRST)
    assert pace.pause == FIRST


def test_an_attempt_of_an_earlier_slow_time_is_not_waited_for():
    """One from before ends well, and as many fail again, while a slow one is still at work."""
    pace = slowed()
    first, slow = 0, pace.claimed()
    pace.ended(Verdict.DONE, first, FIRST)
    for _ in range(AFTER):
        pace.ended(Verdict.RETRY, first, FIRST)
    assert pace.wait(FIRST) == FIRST
    pace.ended(Verdict.RETRY, slow, FIRST)
    assert pace.wait(FIRST) == FIRST


@pytest.mark.parametrize("verdict", [Verdict.DEAD, Verdict.RELEASE])
def test_what_says_nothing_about_the_world(verdict):
    """An item that can never succeed, or was given back, neither counts nor ends the row."""
    pace = Slowdown()
    for _ in range(3 * AFTER):
        fail(pace, 0.0, verdict)
    assert not pace.slow
    for _ in range(AFTER - 1):
        fail(pace, 0.0)
        fail(pace, 0.0, verdict)
    assert not pace.slow
    fail(pace, 0.0)
    assert pace.slow
    fail(pace, FIRST, verdict)
    assert pace.slow
    assert (pace.pause, pace.wait(FIRST)) == (FIRST, 0)


def test_slow_means_one_at_a_time():
    """While a slow attempt is at work the next is not due, however long that takes."""
    pace = slowed()
    round_ = pace.claimed()
    assert pace.wait(1e9) == float("inf")
    pace.ended(Verdict.RETRY, round_, 1e9)
    assert pace.wait(1e9) == 2 * FIRST


def test_attempts_under_way_lengthen_no_pause():
    """Of 50 begun together that all fail, the first AFTER make the pause and the rest nothing."""
    pace = Slowdown()
    rounds = [pace.claimed() for _ in range(50)]
    for round_ in rounds:
        pace.ended(Verdict.RETRY, round_, 7.0)
    assert (pace.pause, pace.wait(7.0), pace.in_a_row) == (FIRST, FIRST, 50)


def test_a_success_of_an_old_attempt_counts():
    """What was begun before the outage and ends well in it is a sign of life, too."""
    pace = Slowdown()
    old = pace.claimed()
    for _ in range(AFTER):
        fail(pace, 0.0)
    pace.ended(Verdict.DONE, old, 0.5)
    assert pace.wait(0.5) == 0


@pytest.mark.parametrize("backend", ["memory", "spool-fast"])
def test_a_short_outage_makes_no_dead_letters(tmp_path, backend):
    """417 items, the default policy, an upstream that is away for 95 s: a few attempts of a few."""
    clock = Clock()
    queue = make_queue(backend, tmp_path, clock)
    for _ in range(417):
        queue.enqueue(b"x")
    pace, began, attempts = Slowdown(), clock.now, 0
    while clock.now - began < 95:
        clock.pass_(pace.wait(clock.now))
        item = queue.claim()
        attempts += 1
        if clock.now - began < 95:
            queue.fail(item, "exit 22")
            fail(pace, clock.now)
    assert attempts <= 15
    assert not list(queue.items([State.FAILED]))
    assert sum(1 for _ in queue.items()) == 417
    assert sum(1 for item in queue.items() if item.claims) <= 12


# -- in the pool ---------------------------------------------------------------


def run(queue, handler, **options):
    return asyncio.run(asyncio.wait_for(drain(queue, handler, **options), 30))


class World:
    """A handler that fails until so many attempts were made, and the most that were at once."""

    def __init__(self, failures, error=ValueError):
        self.failures, self.error = failures, error
        self.made = self.now = self.most = 0
        self.events = []

    async def __call__(self, _):
        """Make one attempt."""
        self.made += 1
        number = self.made
        self.now += 1
        if number > AFTER:
            self.most = max(self.most, self.now)
        await asyncio.sleep(0)
        self.now -= 1
        if number <= self.failures:
            raise self.error("away")

    def watch(self, event):
        """Keep what the pool tells of its pace."""
        if event.kind == "pace":
            self.events.append((event.slow, event.in_a_row))


@pytest.mark.parametrize("error", [ValueError, RetryLater])
def test_the_pool_obeys(monkeypatch, error):
    """Slow after AFTER failures, one at a time until one ends well, told once; then it goes on."""
    monkeypatch.setattr(pace, "FIRST", 0.001)
    queue = MemoryQueue()
    for _ in range(30):
        queue.enqueue(b"")
    world = World(AFTER + 3, error)
    summary = run(queue, world, concurrency=AFTER, watch=world.watch)
    assert (summary.done, summary.failed) == (30 - world.failures, world.failures)
    assert world.events == [(True, AFTER), (False, 0)]


def test_slow_pool_runs_one_at_a_time(monkeypatch):
    """No second attempt is begun beside a slow one, however many slots there are."""
    monkeypatch.setattr(pace, "FIRST", 0.001)
    queue = MemoryQueue()
    for _ in range(AFTER + 4):
        queue.enqueue(b"")
    world = World(AFTER + 4)
    run(queue, world, concurrency=AFTER)
    assert (world.made, world.most) == (AFTER + 4, 1)


def test_nothing_left_is_not_waited_for(monkeypatch):
    """When the failures were all there was, the run ends without the pause."""
    monkeypatch.setattr(pace, "FIRST", 50.0)
    queue = MemoryQueue()
    for _ in range(AFTER):
        queue.enqueue(b"")
    assert run(queue, World(AFTER)).retried == AFTER


def test_patience_ends(monkeypatch):
    """Where a pause would be longer than `patience`, it ends with an error and leaves the rest."""
    monkeypatch.setattr(pace, "FIRST", 0.001)
    queue = MemoryQueue()
    for _ in range(100):
        queue.enqueue(b"")
    world = World(100)
    with pytest.raises(HaltError, match=f"{AFTER + 2} failures in a row: the rest is left"):
        run(queue, world, limits=Limits(patience=0.003))
    assert world.made == AFTER + 2


def test_only_a_run_that_ends_by_itself_has_patience():
    """`pq run` leaves the rest after a minute, so cron's do not pile up; --follow goes on."""
    assert RunOptions(cmd=("x",)).limits.patience == 60
    assert RunOptions(cmd=("x",), follow=True).limits.patience is None


def test_given_up_items_do_not_slow(monkeypatch):
    """Items that fail for good go to the dead letters at full speed."""
    monkeypatch.setattr(pace, "FIRST", 50.0)
    queue = MemoryQueue()
    for _ in range(5 * AFTER):
        queue.enqueue(b"")
    assert run(queue, World(5 * AFTER, GiveUp)).dead == 5 * AFTER


def test_it_can_be_left_out(monkeypatch):
    """`Limits(slow_down=False)`: every failure at full speed."""
    monkeypatch.setattr(pace, "FIRST", 50.0)
    queue = MemoryQueue()
    for _ in range(5 * AFTER):
        queue.enqueue(b"")
    limits = Limits(slow_down=False)
    assert run(queue, World(5 * AFTER), limits=limits).retried == 5 * AFTER


# -- as a command --------------------------------------------------------------

AWAY = '[ "$PQ_ID" -gt 6 ] || exit 22'


def test_run_says_it_once(bench):
    """`pq run` tells on stderr, once, that it slows down, and once that this is over."""
    bench.fill(9)
    done = bench.pq("run", "--", "sh", "-c", AWAY)
    assert done.returncode == 6
    lines = done.stderr.decode().splitlines()
    told = [n for n, line in enumerate(lines) if "in a row" in line]
    over = [n for n, line in enumerate(lines) if "full speed" in line]
    assert (told, over) == ([AFTER], [AFTER + 2])
    assert lines[AFTER].startswith(f"pq: {AFTER} failures in a row: slower")
    assert lines[-1].startswith("pq: 3 done, 6 failed in ")


def test_run_tells_it_as_events(bench):
    """With --json both are records."""
    bench.fill(9)
    done = bench.pq("run", "--json", "--defer-on", "22", "--", "sh", "-c", AWAY)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event for event in events if event["event"] == "pace"] == [
        {"event": "pace", "slow": True, "in_a_row": AFTER},
        {"event": "pace", "slow": False, "in_a_row": 0},
    ]
    assert events[-1]["deferred"] == 6
