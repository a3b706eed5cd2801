"""Who works on a queue: the same in memory, on disk and in a database; and what is in the way."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import threading

import pytest
from queues import BACKENDS, START, make_queue, open_at
from support import HANG, wait_until

from pq_cli import Outcome, Verdict, drain, host
from pq_cli.core.insight.workers import Duty, Worker, duty_of, duty_values


@pytest.fixture(params=BACKENDS)
def q(request, tmp_path, clock):
    """A queue of one backend."""
    with make_queue(request.param, tmp_path, clock) as queue:
        yield queue


def on_terminal(pq, *words, **options):
    """Return what a terminal of 100 columns shows, without its colours."""
    return re.sub(r"\x1b\[[\d;]*m", "", pq.on_terminal(*words, size=(24, 100), **options))


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


def test_who_only_waits_or_looks_is_no_worker(place):
    """Neither who waits for ends, nor who listens whether something comes, holds anything."""
    with open_at(place) as q:
        assert q.claim(wait=0.3) is None
        q.ear()
        q.enqueue(b"x")
        assert not q.drained(wait=0.01) and not q.lost([q.get(1)])
        assert q.workers() == [] and kinds(q) == ["nobody"]


def test_who_has_died_with_nothing_is_not_shown(place):
    """There is nothing to be taken over: that it was there concerns nobody."""
    with open_at(place) as q:
        with subprocess.Popen(
            [sys.executable, "-c", WORKER, str(place)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        ) as process:  # fmt: skip
            assert process.stdout.readline() == b"ready\n"
            assert states(q) == ["idle"]
            process.kill()
        wait_until(lambda: q.workers() == [], "it is still shown")
        q.enqueue(b"x")
        assert kinds(q) == ["nobody"]


def test_who_looks_does_not_keep_a_worker_from_coming(tmp_path, monkeypatch):
    """A look takes each lock for an instant: a new one that is being looked at is waited for."""
    monkeypatch.setattr(os, "urandom", lambda count: b"\1" * count)
    with open_at(tmp_path / "spool") as q:
        folder = tmp_path / "spool" / "workers"
        folder.mkdir()
        with open(folder / f"{os.getpid()}-{'01' * 8}", "wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # shared it would be swept before, as a dead one's
            # That is said after a second of waiting.
            monkeypatch.setattr(host, "say", lambda _: fcntl.flock(lock, fcntl.LOCK_UN))
            attendance = q.attend()
        assert states(q) == ["idle"]
        attendance.close()


def test_a_lock_that_is_just_being_made_is_nobody_yet(tmp_path):
    """A worker is made known by what it writes once it holds its lock; damage is nobody either."""
    with open_at(tmp_path / "spool") as q:
        folder = tmp_path / "spool" / "workers"
        folder.mkdir()
        bad = (b"", b"{", b"[]\n", b"{}\n", b'{"pid": "x"}\n', b"\xff\n", b"[" * 4000)
        for n, content in enumerate(bad):
            (folder / f"{n}-00").write_bytes(content)
        (folder / "7-00").mkdir()
        (folder / "8-00").symlink_to("0-00")
        assert q.workers() == []


def test_a_record_of_a_worker_is_complete():
    """What nobody says is empty, never missing."""
    worker = Worker(lock=None, host="h", pid=1, since=START)
    assert (worker.command, worker.duty, worker.items, worker.alive) == ((), Duty(), (), True)


# -- the command -----------------------------------------------------------------


@pytest.fixture
def at_work(pq):
    """A worker of this very process: at one of its three slots, for as long as the test lasts."""
    pq.fill(b"x", b"y", name="report.xml")
    with pq.api() as spool:
        attendance = spool.attend()
        spool.describe(Duty(slots=3))
        spool.claim()
        yield spool
        attendance.close()


def test_workers_in_a_pipe_are_lines_of_columns(pq, at_work):
    """Who, since when, at what, how much of it, by which command; what does not apply is empty."""
    at_work.describe(Duty(slots=3, gate_closed=START))
    [line] = pq("workers").text.splitlines()
    host, pid, since, state, slots, gate, slow, claims, first, command = line.split("\t")
    assert (host, pid, state, slots) == (os.uname().nodename, str(os.getpid()), "working", "3")
    assert (gate, slow, claims) == ("2026-01-01T00:00:00.000000Z", "", "1.1")
    assert since <= first and command


def test_workers_as_json_have_everything(pq, at_work):
    """A record a worker; each item with for how many seconds it has been worked on."""
    at_work.describe(Duty(slots=3, slow=START, in_a_row=6))
    record = json.loads(pq("workers", "--json").text)
    assert (record["pid"], record["slots"], record["in_a_row"]) == (os.getpid(), 3, 6)
    assert (record["state"], record["gate_closed"]) == ("working", None)
    assert record["slow"] == "2026-01-01T00:00:00.000000Z"
    [item] = record["items"]
    assert (item["id"], item["claim"], item["name"]) == (1, "1.1", "report.xml")
    assert item["seconds"] >= 0 and item["since"] >= record["since"]
    assert isinstance(record["command"], list)


def test_people_see_what_each_runs_and_for_how_long(pq, at_work):
    """On a terminal: slots taken, gate and failures with since when, an item a line below."""
    at_work.describe(Duty(slots=3, gate_closed=at_work.now() - 120))
    shown = on_terminal(pq, "workers")
    assert re.search(rf"{os.getpid()} +\d+s +1/3 +working, gate closed for 2m", shown)
    assert re.search(r"for \d+s +1\.1 report\.xml", shown)
    at_work.done(1)
    at_work.describe(Duty(slots=3, slow=at_work.now() - 60, in_a_row=5))
    assert "slow for 1m after 5 failures" in on_terminal(pq, "workers")
    at_work.describe(Duty(slots=3))
    assert re.search(r"0/3 +idle", on_terminal(pq, "workers"))


def test_nobody_has_a_status_of_its_own(pq):
    """Exit 1, and on a terminal why that matters; a script needs no more than the status."""
    pq("init")
    assert pq("workers", expect=1) == (b"", "", 1)
    assert "nobody is working on /" in on_terminal(pq, "workers", expect=1)
    pq.fill(b"x")
    assert "no claim is in its log" in on_terminal(pq, "workers", expect=1)
    pq("next", "--claim")
    assert pq("workers").text.split("\t")[3] == "lease"


def test_a_queue_whose_worker_died_does_not_look_healthy(pq):
    """`ls`, `stats`, `explain` and `workers` say so, of the queue and of what it had."""
    pq.fill(b"x", b"y")
    argv = [sys.executable, "-c", WORKER, str(pq.spool)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"ready\n"
        for words in ("ls", "stats", "explain 1 2"):
            shown = on_terminal(pq, *words.split())
            assert "nobody is" not in shown and "died holding" not in shown
        process.kill()
    died = f"worker {os.uname().nodename}:{process.pid} died holding 1 item"
    for words in ("ls", "stats"):
        shown = on_terminal(pq, *words.split())
        assert "nobody is working on this spool; the last claim was at " in shown
        assert died in shown
    assert f"but {os.uname().nodename}:{process.pid} died" in on_terminal(pq, "ls")
    one, two = pq("explain", 1, 2).text.split("item 2")
    assert "its worker died" in one and "nobody" not in one
    assert "nobody is working on this spool" in two
    kinds = [r["kind"] for r in json.loads(pq("explain", "--json", 2).text)["reasons"]]
    assert kinds[:2] == ["next", "nobody"]
    stats = json.loads(pq("stats", "--json").text)
    assert [each["kind"] for each in stats["trouble"]] == ["nobody", "died"]
    assert [worker["state"] for worker in stats["workers"]] == ["died"]
    assert "pq_unattended{" in pq("stats", "--prometheus").text
    assert pq("workers", expect=1).text.split("\t")[3] == "died"
    assert died in on_terminal(pq, "workers", expect=1)
    assert pq("next", "--ack").out == b"x"
    assert pq("workers", expect=1).out == b""


def test_pipes_of_ls_are_not_told(pq):
    """What cron works off is not cried about: columns and stderr of a pipe stay as they were."""
    pq.fill(b"x")
    ran = pq("ls")
    assert ran.err == "" and len(ran.text.splitlines()) == 1


def test_pq_run_is_seen_with_its_slots_and_its_gate(pq):
    """A real pool: idle, then at a gate that says no, with all its slots and its command line."""
    pq("init")
    with pq.api() as spool, pq.start("run", "-j5", "--follow", "--when", "false", "--", "cat"):
        wait_until(lambda: states(spool) == ["idle"], "the worker is not seen")
        [worker] = spool.workers()
        assert worker.duty.slots in (5, None) and worker.command[-2:] == ("--", "cat")
        pq.fill(b"x")
        wait_until(lambda: states(spool) == ["gate closed"], "the gate is not seen")
        assert spool.workers()[0].duty.slots == 5
        assert "the gate (--when) was found closed at" in pq("explain", 1).text
