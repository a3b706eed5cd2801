"""Who works on a queue: the same in memory, on disk and in a database; and what is in the way."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading

import pytest
from database import need_postgres, server
from queues import BACKENDS, START, Clock, make_queue, open_at
from support import HANG, wait_until

from pq_cli import Outcome, Verdict, drain
from pq_cli.core.insight.workers import Duty, Worker, duty_of, duty_values


@pytest.fixture
def clock():
    """Time as the test wants it."""
    return Clock()


@pytest.fixture(params=BACKENDS)
def q(request, tmp_path, clock):
    """A queue of one backend."""
    with make_queue(request.param, tmp_path, clock) as queue:
        yield queue


@pytest.fixture(params=["spool", "postgres"])
def place(request, tmp_path):
    """Where processes meet: a folder, or a queue in a database."""
    if request.param == "spool":
        return tmp_path / "spool"
    need_postgres()
    return server().url()


def kinds(queue):
    return [reason.kind for reason in queue.trouble()]


def states(queue):
    now = queue.now()
    return [worker.state(now) for worker in queue.workers()]


# -- the verbs -------------------------------------------------------------------


def test_a_worker_is_seen_from_when_it_comes_until_it_goes(q, clock):
    """Idle, working on what it has claimed, idle again; nobody once it has gone."""
    assert q.workers() == []
    attendance = q.attend()
    [worker] = q.workers()
    assert (worker.alive, worker.items, worker.lock) == (True, (), attendance.name)
    assert states(q) == ["idle"]
    q.enqueue(b"x", name="report")
    item = q.claim()
    clock.pass_(5)
    [worker] = q.workers()
    assert states(q) == ["working"]
    assert [(i.id, i.name, i.holder.since) for i in worker.items] == [(1, "report", START)]
    q.done(item)
    assert states(q) == ["idle"]
    attendance.close()
    assert q.workers() == []


def test_those_who_look_cannot_end_a_claim_with_what_they_see(q):
    """The items of a worker are as bystanders may have them."""
    q.enqueue(b"x")
    q.claim()
    [worker] = q.workers()
    assert worker.items[0].claims == 0


def test_what_a_pool_says_of_itself_is_seen(q):
    """Slots, a closed gate, that it is slow: what it said last, also before its first claim."""
    attendance = q.attend()
    q.describe(Duty(slots=3))
    assert q.workers()[0].duty == Duty(slots=3)
    q.describe(Duty(slots=3, gate_closed=START))
    assert q.workers()[0].duty.gate_closed == START and states(q) == ["gate closed"]
    q.describe(Duty(slots=10_000, slow=START + 1, in_a_row=123456))
    assert q.workers()[0].duty == Duty(slots=10_000, slow=START + 1, in_a_row=123456)
    assert states(q) == ["slow"]
    attendance.close()
    q.enqueue(b"x")
    q.claim()  # bound to the process itself, which was not seen before
    assert q.workers()[0].duty.slots == 10_000


def test_claims_that_end_by_their_lease_have_somebody_too(q, clock):
    """What `next --claim` has taken is seen under who took it, until its lease is over."""
    q.enqueue(b"x")
    q.enqueue(b"y")
    q.claim(bound=False, lease=10)
    clock.pass_(1)
    q.claim(bound=False, lease=20)
    [worker] = q.workers()
    assert (worker.lock, len(worker.items), worker.since) == (None, 2, START)
    assert states(q) == ["lease"] and kinds(q) == []
    clock.pass_(20)
    assert states(q) == ["lease over"] and kinds(q) == ["nobody"]


def test_a_queue_without_work_has_no_trouble(q, clock):
    """Nobody is missed where nothing waits; not by what is held, failed or not due either."""
    assert kinds(q) == []
    q.enqueue(b"x", delay=60)
    q.hold(q.enqueue(b"x"))
    q.fail(q.enqueue(b"x") and q.claim(bound=False), dead=True)
    assert kinds(q) == []
    clock.pass_(60)
    assert kinds(q) == ["nobody"]


def test_nobody_is_missed_with_the_time_of_the_last_claim(q, clock):
    """What cron works off has somebody now and then: since when nobody came is told."""
    q.enqueue(b"x")
    q.enqueue(b"x")
    assert [(r.kind, r.values) for r in q.trouble()] == [("nobody", {"last_claim": None})]
    q.done(q.claim(bound=False))
    clock.pass_(30)
    assert q.trouble()[0].values == {"last_claim": START}
    attendance = q.attend()
    assert kinds(q) == []
    attendance.close()
    assert kinds(q) == ["nobody"]


def test_workers_that_may_not_work_are_in_the_way(q):
    """All of them at a closed gate, or slow: told while something waits, with since when."""
    attendance = q.attend()
    q.describe(Duty(slots=1, gate_closed=START))
    assert kinds(q) == []
    q.enqueue(b"x")
    assert [(r.kind, r.values) for r in q.trouble()] == [("gate", {"since": START})]
    q.describe(Duty(slots=1, slow=START, in_a_row=7))
    assert [(r.kind, r.values) for r in q.trouble()] == [("slow", {"since": START, "count": 7})]
    q.describe(Duty(slots=1))
    assert kinds(q) == []
    attendance.close()


def test_a_duty_is_read_as_it_was_written():
    """And what makes no sense, as of another version, says nothing."""
    for duty in (Duty(), Duty(slots=4, gate_closed=START, slow=START + 0.5, in_a_row=9)):
        assert duty_of(json.loads(json.dumps(duty_values(duty)))) == duty
    nonsense = {"slots": "4", "gate_closed": "soon", "slow": 7, "in_a_row": None}
    assert [duty_of(each) for each in (None, [], {}, nonsense)] == [Duty()] * 4


# -- pools -----------------------------------------------------------------------


def test_a_pool_lets_others_see_its_gate_and_its_slots(q):
    """From when the gate is found closed until it opens; a pool that has ended has no slots."""
    q.enqueue(b"x")
    attendance = q.attend()
    seen = []

    def gate():
        seen.append(q.workers()[0].duty)
        return len(seen) > 1

    def handler(item):
        seen.append(q.workers()[0].duty)

    async def pool():
        from pq_cli.worker import gate as module

        module.HOLDS, before = 0.01, module.HOLDS
        try:
            await drain(q, handler, concurrency=7, follow=True, gate=gate, stop=stop)
        finally:
            module.HOLDS = before

    from pq_cli import Stop

    stop = Stop()
    threading.Thread(
        target=lambda: (wait_until(lambda: len(seen) > 2, "no work"), stop.request())
    ).start()
    asyncio.run(asyncio.wait_for(pool(), HANG))
    assert [duty.slots for duty in seen[:3]] == [7] * 3
    assert [duty.gate_closed is None for duty in seen[:3]] == [True, False, True]
    assert q.workers()[0].duty == Duty()
    attendance.close()


def test_a_pool_lets_others_see_that_it_is_slow(q):
    """After failures in a row it says how many, until one ends well."""
    for _ in range(7):
        q.enqueue(b"x")
    attendance = q.attend()
    seen = []

    async def handler(item):
        seen.append(q.workers()[0].duty)
        failed = Outcome(verdict=Verdict.RETRY, error="no")
        return Outcome(verdict=Verdict.DONE) if item.id > 5 else failed

    asyncio.run(asyncio.wait_for(drain(q, handler), HANG))
    assert [duty.in_a_row for duty in seen] == [0] * 5 + [5, 0]
    assert [duty.slow is None for duty in seen] == [True] * 5 + [False, True]
    attendance.close()


# -- processes -------------------------------------------------------------------

WORKER = (
    "import sys; from pq_cli import *;"
    "q = (PostgresQueue if '://' in sys.argv[1] else Spool)(sys.argv[1]);"
    "a = q.attend(); q.claim(); print('ready', flush=True); sys.stdin.read()"
)


def test_another_process_is_seen_with_all_that_is_asked(place):
    """Host, pid, since, command line; once it was killed: that it died, and on what it worked."""
    with open_at(place) as q:
        q.enqueue(b"x")
        q.enqueue(b"y")
        began = q.now()
        with subprocess.Popen(
            [sys.executable, "-c", WORKER, str(place)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        ) as process:  # fmt: skip
            assert process.stdout.readline() == b"ready\n"
            [worker] = q.workers()
            assert (worker.host, worker.pid) == (os.uname().nodename, process.pid)
            assert began <= worker.since <= q.now()
            assert worker.command == ("-c", str(place))
            assert states(q) == ["working"] and kinds(q) == []
            process.send_signal(signal.SIGKILL)
        wait_until(lambda: states(q) == ["died"], "it was not seen to have died")
        assert [item.id for item in q.workers()[0].items] == [1]
        assert kinds(q) == ["nobody", "died"]
        died = q.trouble()[1].values
        assert (died["pid"], died["count"]) == (process.pid, 1)
        if "://" not in str(place):
            assert q.claim().id == 1  # taken over: the dead one has nothing any more
            assert states(q) == ["working"] and kinds(q) == []


def test_who_waits_for_ends_is_no_worker(place):
    """Neither `pq wait` nor a look makes a queue look attended."""
    with open_at(place) as q:
        q.enqueue(b"x")
        assert not q.drained(wait=0.01)
        assert q.workers() == [] and kinds(q) == ["nobody"]


def test_a_lock_that_is_just_being_made_is_nobody_yet(tmp_path):
    """A worker is made known by what it writes once it holds its lock; damage is nobody either."""
    with open_at(tmp_path / "spool") as q:
        folder = tmp_path / "spool" / "workers"
        folder.mkdir()
        for n, content in enumerate((b"", b"{", b"[]\n", b"{}\n", b'{"pid": "x"}\n', b"\xff\n")):
            (folder / f"{n}-00").write_bytes(content)
        (folder / "6-00").mkdir()
        (folder / "7-00").symlink_to("0-00")
        assert q.workers() == []


def test_a_record_of_a_worker_is_complete():
    """What nobody says is empty, never missing."""
    worker = Worker(lock=None, host="h", pid=1, since=START)
    assert (worker.command, worker.duty, worker.items, worker.alive) == ((), Duty(), (), True)
