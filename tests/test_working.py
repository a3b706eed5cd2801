"""Waiting for work, and work in a context: the same in memory and on disk."""

from __future__ import annotations

import asyncio
import errno
import math
import signal
import subprocess
import sys
import threading

import pytest
from queues import START, Clock, make_queue, plain
from support import HANG, wait_until

from pq_cli import GiveUp, MemoryQueue, RetryLater, Spool, StaleClaimError, State, UsageError


class CountingClock(Clock):
    """A standing clock that counts how often it is asked: once a look for work."""

    def __init__(self):
        super().__init__()
        self.asked = 0

    def __call__(self):
        """Return the time, and count."""
        self.asked += 1
        return self.now


@pytest.fixture
def clock():
    """Time as the test wants it."""
    return CountingClock()


def states(q):
    return [(i.id, str(i.state), i.attempts) for i in q.items()]


# -- claim(wait=) ----------------------------------------------------------------


def wake(q, clock, how):
    """Make item 1, which nobody can claim, pending in one of the ways there are."""
    if how == "due":
        clock.pass_(10)
    elif how == "lease over":
        clock.pass_(300)
    elif how == "released":
        q.release("1.1")
    elif how == "resumed":
        q.resume()
    elif how == "retried":
        q.retry(1)
    else:
        q.enqueue(b"x")


@pytest.mark.parametrize("how", ["enqueued", "due", "lease over", "released", "resumed", "retried"])
def test_waiting_ends_when_work_comes(make, clock, threads, how):
    """However an item becomes pending, whoever waits for one gets it."""
    q = make()
    if how != "enqueued":
        q.enqueue(b"x", delay=10 if how == "due" else None)
    if how in ("lease over", "released"):
        q.claim()
    elif how == "resumed":
        q.pause()
    elif how == "retried":
        q.hold(1)
    before = clock.asked
    waiting = threads.submit(q.claim, wait=math.inf)
    wait_until(lambda: clock.asked > before + 1, "it looks more than once")
    assert not waiting.done()
    wake(q, clock, how)
    item = waiting.result(HANG)
    assert item.id == 1 and item.state is State.ACTIVE


@pytest.mark.parametrize("how", ["enqueued", "released", "resumed", "retried"])
def test_in_memory_who_waits_is_woken(tmp_path, clock, threads, monkeypatch, how):
    """Another thread's verb ends the wait at once: nobody waits for the next look."""
    monkeypatch.setattr("pq_cli.queue.memory.store.POLL", 10.0 * HANG)
    q = make_queue("memory", tmp_path, clock)
    if how != "enqueued":
        q.enqueue(b"x")
    prepare = {"released": q.claim, "resumed": q.pause, "retried": lambda: q.hold(1)}
    prepare.get(how, int)()
    before = clock.asked
    waiting = threads.submit(q.claim, wait=2.0 * HANG)
    wait_until(lambda: clock.asked > before, "it looks")
    wake(q, clock, how)
    assert waiting.result(HANG).id == 1


@pytest.mark.parametrize("paused", [False, True])
def test_waiting_costs_next_to_nothing(make, clock, paused):
    """In half a second of waiting the queue is looked at a few times; then there is None."""
    q = make()
    if paused:
        q.enqueue(b"x")
        q.pause()
    before = clock.asked
    assert q.claim(wait=0.5) is None
    assert 1 <= clock.asked - before <= 8


def test_without_wait_nothing_is_waited_for(make, clock, monkeypatch):
    """The default looks once; `wait=0` is the same."""
    q = make()
    monkeypatch.setattr("time.sleep", lambda _: pytest.fail("it slept"))
    before = clock.asked
    assert q.claim() is None and q.claim(wait=0) is None
    assert clock.asked - before <= 2


def test_the_most_urgent_of_what_is_there_comes_first(make):
    """Waiting changes nothing about the order, and what is there is not waited for."""
    q = make()
    q.enqueue(b"", priority=7)
    q.enqueue(b"", priority=3)
    assert [q.claim(wait=math.inf).id for _ in range(2)] == [2, 1]


# -- claimed ---------------------------------------------------------------------


def test_work_that_ends_well_is_done(make):
    """The body gets the claimed item; at its end the item is gone."""
    q = make()
    q.enqueue(b"x")
    with q.claimed(lease=60) as item:
        assert q.payload(item) == b"x" and item.claim == "1.1"
        assert item.lease_until == START + 60
        assert plain(q.get(1)) == plain(item)
    assert states(q) == []


def test_without_work_the_body_gets_none(make):
    """And nothing happens at its end, well or badly."""
    q = make()
    with q.claimed() as item:
        assert item is None
    with pytest.raises(ValueError), q.claimed(wait=0.01) as item:
        assert item is None
        raise ValueError
    assert states(q) == []


def test_an_exception_fails_the_attempt_and_goes_on(make):
    """It is retried later; the words of the exception are kept."""
    q = make()
    q.enqueue(b"x")
    with pytest.raises(ValueError, match="no good"), q.claimed():
        raise ValueError("no good")
    assert states(q) == [(1, "delayed", 1)]
    assert q.get(1).last_error == "ValueError: no good"


@pytest.mark.parametrize(
    ("error", "left"), [(RetryLater("busy"), ("delayed", 0)), (GiveUp("bad"), ("failed", 1))]
)
def test_what_is_said_to_the_queue_goes_no_further(make, error, left):
    """RetryLater puts off, uncounted; GiveUp fails for good; the program goes on behind."""
    q = make()
    q.enqueue(b"x")
    with q.claimed():
        raise error
    assert states(q) == [(1, *left)] and q.get(1).last_error == str(error)


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt, SystemExit, GeneratorExit, asyncio.CancelledError]
)
def test_an_interrupted_body_gives_the_item_back(make, error):
    """What is no Exception is no fault of the item: pending in its place, uncounted."""
    q = make()
    q.enqueue(b"x")
    with pytest.raises(error), q.claimed():
        raise error
    assert states(q) == [(1, "pending", 0)] and q.get(1).last_error is None


def test_the_lease_is_renewed_while_the_body_runs(make, clock):
    """A body that takes longer than the lease keeps its claim; after it nothing is renewed."""
    q = make()
    q.enqueue(b"x")
    with q.claimed(lease=0.3) as item:
        for _ in range(3):
            clock.pass_(0.25)
            wait_until(lambda: q.get(1).lease_until > clock.now + 0.2, "it is renewed")
        assert q.claim() is None and q.get(1).claim == item.claim
    assert [t.name for t in threading.enumerate() if t.name.startswith("pq ")] == []


def test_a_lost_claim_is_told_at_the_end(make):
    """The end of the body raises StaleClaimError; the new holder's work is not touched."""
    q = make()
    q.enqueue(b"x")
    with pytest.raises(StaleClaimError, match=r"1\.1"), q.claimed() as item:
        q.release(item)
        assert q.claim().claim == "1.2"
    assert q.get(1).claim == "1.2"


def test_a_lost_claim_does_not_hide_what_went_wrong(make):
    """Where the body failed too, its exception is the one that is raised, with a note."""
    q = make()
    q.enqueue(b"x")
    with pytest.raises(ValueError) as raised, q.claimed() as item:
        q.release(item)
        raise ValueError
    assert "1.1 is not claimed" in raised.value.__notes__[0]
    assert states(q) == [(1, "pending", 0)]


def test_an_end_that_cannot_be_written_is_tried_again(make, monkeypatch):
    """A disk that refuses for a moment does not make work that was done be done again."""
    q = make()
    q.enqueue(b"x")
    real, tries = q.done, []

    def done(item, **fields):
        tries.append(1)
        if len(tries) < 3:
            raise OSError(28, "No space left on device")
        return real(item, **fields)

    monkeypatch.setattr(q, "done", done)
    monkeypatch.setattr("pq_cli.queue.outcome.END_AGAIN", 0.001)
    with q.claimed():
        pass
    assert len(tries) == 3 and states(q) == []


def test_an_end_that_can_never_be_written_is_told(make, monkeypatch):
    """After a lease the error is raised: nobody may think that the item is done."""
    q = make()
    q.enqueue(b"x")

    def done(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(q, "done", done)
    monkeypatch.setattr("pq_cli.queue.outcome.END_AGAIN", 0.001)
    with pytest.raises(OSError, match="No space"), q.claimed(lease=0.1):
        pass
    assert states(q) == [(1, "active", 1)]


def test_a_claim_is_entered_once(make):
    """The same context twice would end one item for another."""
    q = make()
    q.enqueue(b"x")
    claimed = q.claimed()
    with claimed:
        pass
    with pytest.raises(UsageError), claimed:
        pass


# -- each_claimed ----------------------------------------------------------------


def test_iteration_works_off_the_queue_in_order(make):
    """One after the other, the most urgent of that moment first, until nothing is pending."""
    q = make()
    for priority in (5, 1, 9):
        q.enqueue(b"", priority=priority)
    seen = []
    for claimed in q.each_claimed():
        with claimed as item:
            seen.append(item.id)
            if item.id == 2:
                q.enqueue(b"", priority=2)
    assert seen == [2, 4, 1, 3] and states(q) == []


def test_iteration_waits_for_more(make, clock, threads):
    """With `wait` it goes on when something comes, and ends when nothing has come for so long."""
    q = make()
    seen = []

    def worker(wait):
        for claimed in q.each_claimed(wait=wait, lease=60):
            with claimed as item:
                seen.append(item.lease_until)
                if len(seen) == 2:
                    break

    waiting = threads.submit(worker, math.inf)
    wait_until(lambda: clock.asked > 2, "it looks more than once")
    for number in (1, 2):
        q.enqueue(b"")
        wait_until(lambda number=number: len(seen) == number, "it took it")
    waiting.result(HANG)
    assert seen == [START + 60] * 2 and states(q) == []
    worker(0.01)
    assert len(seen) == 2


def test_a_failure_can_be_survived(make):
    """An exception leaves the loop, unless it is caught around the `with`; either way it counts."""
    q = make(max_attempts=1)
    for _ in range(3):
        q.enqueue(b"")
    for claimed in q.each_claimed():
        try:
            with claimed as item:
                if item.id != 2:
                    raise ValueError
        except ValueError:
            pass
    assert states(q) == [(1, "failed", 1), (3, "failed", 1)]
    q.enqueue(b"")
    q.enqueue(b"")
    with pytest.raises(ValueError):
        for claimed in q.each_claimed():
            with claimed:
                raise ValueError
    assert states(q) == [(5, "pending", 0), (1, "failed", 1), (3, "failed", 1), (4, "failed", 1)]


def test_a_claim_that_is_not_entered_is_given_back(make):
    """Who forgets the `with` is told, and who leaves before it leaves no claim behind."""
    q = make()
    q.enqueue(b"")
    with pytest.raises(UsageError, match="with claimed as item"):
        list(q.each_claimed())
    assert states(q) == [(1, "pending", 0)]
    for _ in q.each_claimed():
        break
    assert states(q) == [(1, "pending", 0)]


def test_threads_may_share_a_queue(make, threads):
    """Four threads work off one queue object: each item is worked on once."""
    q = make()
    for _ in range(40):
        q.enqueue(b"")
    seen = []

    def worker():
        for claimed in q.each_claimed():
            with claimed as item:
                seen.append(item.id)

    for waiting in [threads.submit(worker) for _ in range(4)]:
        waiting.result(HANG)
    assert sorted(seen) == list(range(1, 41)) and states(q) == []


# -- as a program ----------------------------------------------------------------


def test_ctrl_c_gives_the_item_back(tmp_path):
    """A real SIGINT in the body: the item is pending again, uncounted, before the program ends."""
    spool = Spool(tmp_path / "spool")
    spool.enqueue(b"x")
    script = (
        "import sys, time; from pq_cli import Spool\n"
        "with Spool(sys.argv[1]).claimed(wait=60) as item:\n"
        "    print(item.claim, flush=True)\n"
        "    time.sleep(600)\n"
    )
    argv = [sys.executable, "-c", script, str(tmp_path / "spool")]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"1.1\n"
        process.send_signal(signal.SIGINT)
        assert b"KeyboardInterrupt" in process.communicate(timeout=HANG)[1]
    assert states(spool) == [(1, "pending", 0)]


def test_python_that_only_claims_starts_no_thread(make):
    """A claim by hand costs no thread; those of contexts end with them."""
    q = make()
    q.enqueue(b"x")
    before = threading.active_count()
    q.claim(wait=1)
    assert threading.active_count() == before


# -- done_and_claim --------------------------------------------------------------


class StoppingClock:
    """Tells the time so many times, and fails then, as anything may that a claim needs."""

    def __init__(self):
        self.told, self.most = 0, math.inf

    def __call__(self):
        """Return the time, while there is some."""
        if self.told >= self.most:
            raise OSError(errno.EIO, "no time")
        self.told += 1
        return 1000.0


@pytest.mark.parametrize("kind", ["spool", "memory"])
def test_what_keeps_it_from_claiming_does_not_hide_that_it_is_done(kind, tmp_path):
    """Who is told of it would try the end again, and hear that the claim was lost."""
    asked = 0
    for number in range(2):
        clock, path = StoppingClock(), tmp_path / str(number)
        queue = MemoryQueue(clock=clock) if kind == "memory" else Spool(path, clock=clock)
        for _ in range(2):
            queue.enqueue(b"x")
        item = queue.claim()
        before = clock.told
        if number == 0:
            queue.done(item)
            asked = clock.told - before
            continue
        clock.most = before + asked
        assert queue.done_and_claim(item) is None
        with pytest.raises(OSError, match="no time"):
            queue.claim()
        clock.most = math.inf
        assert [(i.id, i.claims) for i in queue.items()] == [(2, 0)]
