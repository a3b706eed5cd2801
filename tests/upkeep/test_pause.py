"""Pause and resume: nothing is claimed meanwhile, and everything else goes on."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from queues import Clock
from support import Pq, wait_until

from pq_cli import MemoryQueue, Spool


@pytest.fixture(params=["spool", "memory"])
def queue(request, tmp_path):
    """Each promise holds on disk and in memory."""
    clock = Clock(1_000_000.0)
    made = (
        MemoryQueue(clock=clock)
        if request.param == "memory"
        else Spool(tmp_path / "spool", clock=clock)
    )
    return made, clock


def test_nothing_is_claimed_while_paused(queue):
    """While paused claim gives nothing; enqueue goes on; after resume the order is as ever."""
    q, _ = queue
    q.enqueue(b"a", priority=5)
    q.pause("moving house")
    q.enqueue(b"b", priority=1)
    assert q.claim() is None
    assert q.paused is not None
    assert (q.paused.reason, q.paused.since) == ("moving house", 1_000_000.0)
    assert q.resume() is True
    assert q.paused is None
    assert q.resume() is False
    assert q.claim().priority == 1


def test_what_is_active_may_finish_while_paused(queue):
    """A pause takes no claim away; but a lease that runs out meanwhile is taken back."""
    q, clock = queue
    q.enqueue(b"a")
    q.enqueue(b"b")
    first, second = q.claim(), q.claim()
    q.pause()
    q.done(first)
    clock.now += 10_000
    assert q.claim() is None
    assert q.get(second.id).state == "pending"


def test_another_process_learns_of_a_pause_at_once(tmp_path):
    """A worker that has had the spool open for long sees the pause of another at its next claim."""
    mine, other = Spool(tmp_path / "s"), Spool(tmp_path / "s")
    for payload in (b"a", b"b", b"c"):
        mine.enqueue(payload)
    assert mine.claim() is not None
    other.pause("disk swap")
    assert mine.claim() is None
    other.resume()
    assert mine.claim() is not None


def pq(spool, *words):
    """Run pq in a process of its own."""
    command = [sys.executable, "-m", "pq_cli", *words, "-s", str(spool)]
    return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)


def test_next_says_why(tmp_path):
    """`pq next` on a paused queue exits 75 and gives the reason; on an empty one it exits 1."""
    spool = tmp_path / "s"
    assert pq(spool, "enqueue").returncode == 0
    assert pq(spool, "pause", "moving house").returncode == 0
    refused = pq(spool, "next")
    assert refused.returncode == 75
    assert "moving house" in refused.stderr
    assert pq(spool, "next", "--wait=0.3").returncode == 75
    assert pq(spool, "resume").returncode == 0
    assert pq(spool, "next", "--ack").returncode == 0
    assert pq(spool, "next").returncode == 1


def waits_for_the_lock(pid: int, lock: Path) -> bool:
    """Tell whether the process has the lock file open: it has read all that it reads before."""
    try:
        opened = [os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()]
    except OSError:
        return False
    return str(lock) in opened


@pytest.mark.parametrize("paused_first", [False, True])
def test_resume_ends_the_pause_that_there_is_when_it_has_the_lock(pq: Pq, paused_first) -> None:
    """While `resume` waits for the lock others pause and resume: what holds then is ended and told.

    Asked before, it would leave the end of a pause out of the log, or tell of one that was none.
    """
    with pq.api() as spool:
        spool.pause("moving house")
    with_pause = (pq.spool / "state.json").read_bytes()
    without = json.dumps({k: v for k, v in json.loads(with_pause).items() if k != "paused"})
    texts = [without.encode(), with_pause]
    (pq.spool / "state.json").write_bytes(texts[paused_first])
    with open(pq.spool / "lock", "rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pq.start("resume") as process:
            wait_until(lambda: waits_for_the_lock(process.pid, pq.spool / "lock"), "the lock")
            (pq.spool / "state.json").write_bytes(texts[not paused_first])
            fcntl.flock(lock, fcntl.LOCK_UN)
            err = process.communicate(timeout=60)[1].decode()
    assert process.returncode == 0
    with pq.api() as spool:
        assert spool.paused is None
        events = [record["event"] for record in spool.log()]
    assert ("was not paused" in err) is paused_first
    assert events.count("resumed") == (not paused_first)


def test_submit_tries_what_it_brings_also_in_a_pause(pq: Pq) -> None:
    """A pause holds back what is in the queue: submit runs its command, and queues a failure."""
    pq("pause", "moving house")
    assert pq("submit", "--", "cat", stdin=b"now").out == b"now"
    assert pq("submit", "--", "false", stdin=b"later").words == ["2"]
    assert pq.states() == {2: "pending"}
    pq("run", "--", "true", expect=75)
    pq("resume")
    pq("run", "--", "true")
    assert pq.states() == {}
