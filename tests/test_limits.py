"""Limits: at most so many items of a name are at work at once, whatever holds the queue."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from threading import Thread

import pytest
from queues import open_at
from support import started_together, wait_until

from pq_cli import ConfigError, ConflictError, QueueConfig, Request, Spool, State, UsageError

LONG = bool(os.environ.get("PQ_LONG"))

BAD = ("", "none", ".api", "-api", "_api", "a/b", "a b", "a@b", "ä", "a\n", "a" * 65, "..", 5)


@pytest.fixture
def queue(make):
    """A queue of each kind with the defaults."""
    return make()


def test_an_item_keeps_its_limit_through_all_that_becomes_of_it(queue):
    """Claimed, failed, retried, held, removed and brought back: it is the one of its enqueue."""
    item = queue.enqueue(b"x", limit="api")
    assert item.limit == queue.get(item).limit == "api"
    claimed = queue.claim()
    assert claimed.limit == "api"
    assert queue.fail(claimed, dead=True).limit == "api"
    for verb in (queue.retry, queue.hold, queue.remove, queue.restore, queue.retry, queue.get):
        assert verb(item.id).limit == "api"
    assert [i.limit for i in queue.items()] == ["api"]


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_name_of_a_limit_is_refused_and_said(queue, name):
    """A name stands in names of folders, in TOML and in shell words; the error says which may."""
    with pytest.raises(UsageError, match="limit"):
        queue.enqueue(b"x", limit=name)
    item = queue.enqueue(b"x")
    if name != "none":
        with pytest.raises(UsageError, match="limit"):
            queue.change(item, limit=name)
    assert queue.get(item).limit is None


def test_an_item_can_be_given_another_limit_or_none(queue):
    """`change` sets it, "none" takes it away; not while somebody works on it."""
    item = queue.enqueue(b"x")
    for limit, is_now in (("api", "api"), ("db.example.com", "db.example.com"), ("none", None)):
        assert queue.change(item, limit=limit).limit == queue.get(item).limit == is_now
    claimed = queue.claim()
    with pytest.raises(ConflictError, match="limit"):
        queue.change(item, limit="api")
    queue.change(item, priority=2, limit="none")
    assert queue.get(claimed).limit is None


def put(queue, *limits, **fields):
    """Enqueue an item of each of these limits."""
    return [queue.enqueue(b"", limit=limit, **fields).id for limit in limits]


def claims(queue):
    """Claim until there is nothing; return the claims."""
    return [item.claim for item in iter(queue.claim, None)]


def test_at_most_so_many_of_a_limit_are_at_work(make):
    """One where the policy says nothing, or as many as it says; what has no limit goes on."""
    queue = make(limits={"db": 2})
    put(queue, "api", "api", "db", "db", "db", None, None)
    assert claims(queue) == ["1.1", "3.1", "4.1", "6.1", "7.1"]
    queue.done("3.1")
    assert claims(queue) == ["5.1"]


def test_what_is_passed_over_keeps_its_place(make):
    """When a slot is free, what waited for it is served before what came later."""
    queue = make()
    put(queue, "api", "api", None)
    assert claims(queue) == ["1.1", "3.1"]
    put(queue, None, "api")
    queue.done("1.1")
    assert claims(queue) == ["2.1", "4.1"]


@pytest.mark.parametrize(
    "end",
    [
        lambda q: q.done("1.1"),
        lambda q: q.fail("1.1"),
        lambda q: q.fail("1.1", dead=True),
        lambda q: q.defer("1.1"),
        lambda q: q.release("1.1") and q.hold(1),
        lambda q: q.cancel(1),
        lambda q: q.cancel(1, hold=True),
        lambda q: q.cancel(1, remove=True),
    ],
    ids=["done", "fail", "dead", "defer", "release", "cancel", "cancel-hold", "cancel-remove"],
)
@pytest.mark.parametrize("keep_done", [0.0, 60.0])
def test_only_what_runs_holds_a_slot(make, end, keep_done):
    """However a claim ends, the next of its limit is served: a retry that waits holds nothing."""
    queue = make(keep_done=keep_done)
    put(queue, "api", "api", "api")
    assert claims(queue) == ["1.1"]
    end(queue)
    assert claims(queue) == ["2.1"]


def test_a_retried_item_keeps_its_place_behind_a_full_limit(make, clock):
    """It is older than the others of its limit, so it is before them once it is due."""
    queue = make(backoff=5.0)
    put(queue, "api", "api", "api")
    queue.fail(queue.claim())
    assert claims(queue) == ["2.1"]
    clock.pass_(6)
    assert claims(queue) == []
    queue.done("2.1")
    assert claims(queue) == ["1.2"]


def test_a_lease_that_ends_frees_its_slot(make, clock):
    """The next who asks gets the item again, and then nothing else of its limit."""
    queue = make(lease=10.0)
    put(queue, "api", "api")
    assert claims(queue) == ["1.1"]
    clock.pass_(11)
    assert claims(queue) == ["1.2"]


def test_items_that_change_their_limit_wait_for_the_new_one(make):
    """In their place by id; without one they wait for nothing."""
    queue = make()
    put(queue, "api", "api", None, "api")
    assert claims(queue) == ["1.1", "3.1"]
    queue.change(2, limit="db")
    queue.change(4, limit="none")
    assert claims(queue) == ["2.1", "4.1"]


def test_with_priorities_off_a_full_limit_is_passed_over_too(make):
    """First in, first out, of what may be at work."""
    queue = make(enable_priority=False)
    put(queue, "api", "api", priority=9)
    put(queue, None, "api", priority=1)
    assert claims(queue) == ["1.1", "3.1"]
    queue.done("1.1")
    assert claims(queue) == ["2.1"]


def test_an_item_that_is_claimed_as_it_enters_needs_a_slot(make):
    """`commit_claimed`, of `submit`: with a full limit it is queued and nobody's."""
    queue = make()
    first = queue.commit_claimed(queue.stage(b"", Request(limit="api")))
    second = queue.commit_claimed(queue.stage(b"", Request(limit="api")))
    assert (first.claim, second.claim, second.state) == ("1.1", None, State.PENDING)
    queue.done(first)
    assert claims(queue) == ["2.1"]


def test_who_waits_is_served_when_a_slot_is_free(make):
    """A claim that waits behind a full limit comes back with the item once the other has ended."""
    queue = make()
    put(queue, "api", "api")
    first = queue.claim()
    got = []
    waiting = Thread(target=lambda: got.append(queue.claim(wait=60)))
    waiting.start()
    queue.done(first)
    waiting.join(60)
    assert [item.claim for item in got] == ["2.1"]


def test_the_backlog_says_what_waits_for_which_limit(make):
    """How many of each are at work, how many may be, and how many are pending."""
    queue = make(limits={"db": 2, "other": 5})
    put(queue, "api", "api", "api", "db", None)
    claims(queue)
    slots = {name: (s.active, s.most, s.waiting) for name, s in queue.backlog().slots.items()}
    assert slots == {"api": (1, 1, 2), "db": (1, 2, 0)}


def test_names_of_limits_are_suggested(make):
    """Those of the policy, of what is pending and of what is active: for completion."""
    queue = make(limits={"apx": 2, "b": 5})
    put(queue, "api", "apple", None)
    assert queue.claim().limit == "api"
    assert queue.suggest_limits("ap") == ["api", "apple", "apx"]
    assert queue.suggest_limits("") == ["api", "apple", "apx", "b"]


def test_a_slot_that_somebody_else_took_or_freed_is_seen(place):
    """Two who know the queue, taking turns: what the other did since counts."""
    with open_at(place) as one, open_at(place) as other:
        put(one, *["api"] * 5)
        one.done(one.claim())
        held = other.claim()
        assert (held.claim, one.claim()) == ("2.1", None)
        other.done(held)
        assert one.claim().claim == "3.1"
        assert other.claim() is None


def test_a_change_of_the_policy_takes_effect_at_once(place):
    """Who has the queue open serves by the new number: more, and then fewer again."""
    with open_at(place) as worker, open_at(place) as person:
        put(worker, *["api"] * 6)
        assert claims(worker) == ["1.1"]
        person.change_policy({"limits.api": "3"})
        assert claims(worker) == ["2.1", "3.1"]
        person.change_policy({"limits.api": "2"})
        worker.done("1.1")
        assert claims(worker) == []
        worker.done("2.1")
        assert claims(worker) == ["4.1"]


def test_a_policy_that_became_wrong_changes_nothing_for_who_works(tmp_path):
    """A half written queue.toml stops no worker: it goes on with the numbers it knew."""
    queue = Spool(tmp_path / "spool")
    (tmp_path / "spool/queue.toml").write_text("[limits]\napi = 2\n")
    put(queue, "api", "api", "api")
    assert claims(queue) == ["1.1", "2.1"]
    (tmp_path / "spool/queue.toml").write_text("[limits]\napi = ")
    assert claims(queue) == []
    queue.done("1.1")
    assert claims(queue) == ["3.1"]
    with pytest.raises(ConfigError):
        Spool(tmp_path / "spool")


WORK = """
import sys, time
from pq_cli import *
q = open_queue(sys.argv[1])
log = open(sys.argv[2], "a", buffering=1)
print("ready", flush=True)
sys.stdin.readline()
while True:
    item = q.claim()
    if item is None:
        if q.drained():
            break
        time.sleep(0.002)
        continue
    log.write(f"+ {item.limit}\\n")
    time.sleep(0.001)
    log.write(f"- {item.limit}\\n")
    q.done(item)
"""


def test_no_two_workers_take_the_last_slot(place, tmp_path):
    """Four processes at 120 items: what they write down shows never more at work than may be."""
    with open_at(place, config=QueueConfig(durability="fast")) as queue:
        queue.change_policy({"durability": "fast", "limits.db": "2"})
        kinds = ["api", "db", None, "api"] * 30
        queue.enqueue_many([(b"", Request(limit=limit)) for limit in kinds])
    log = tmp_path / "log"
    running = started_together([[sys.executable, "-c", WORK, place, log]] * 4)
    assert [process.wait(120) for process in running] == [0] * 4
    at_work, most = Counter(), Counter()
    for line in log.read_text().splitlines():
        sign, limit = line.split()
        at_work[limit] += 1 if sign == "+" else -1
        most[limit] = max(most[limit], at_work[limit])
    assert most["api"] == 1 and most["db"] <= 2
    assert len(log.read_text().splitlines()) == 2 * len(kinds)


def test_a_dead_holder_frees_its_slot_at_once(place):
    """SIGKILL: whoever asks next gets the item, no lease is waited for."""
    with open_at(place) as queue:
        put(queue, "api", "api")
        script = "import sys, time; from pq_cli import open_queue; q = open_queue(sys.argv[1])\n"
        script += "print(q.claim().claim, flush=True); time.sleep(600)"
        command = [sys.executable, "-c", script, place]
        worker = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert worker.stdout.readline() == "1.1\n"
        assert queue.claim() is None
        worker.kill()
        worker.wait()
        assert wait_until(queue.claim, "the slot to be free").claim == "1.2"
        assert queue.claim() is None


def _looked_at(spool, monkeypatch):
    """Return how often a claim by a process that knows nothing yet opens a file or lists."""
    looks = []
    for name in ("open", "listdir"):
        real = getattr(os, name)

        def counted(path, *more, real=real, name=name):
            found = real(path, *more)
            looks.append(len(found) if name == "listdir" else 1)
            return found

        monkeypatch.setattr(os, name, counted)
    with Spool(spool) as queue:
        looks.clear()
        item = queue.claim()
        count = sum(looks)
        queue.release(item)
    monkeypatch.undo()
    return count


def test_what_waits_behind_a_full_limit_is_not_looked_at(tmp_path, monkeypatch):
    """A claim opens and lists the same with 20,000 items behind a full limit as with ten."""
    spool = tmp_path / "spool"
    counts = []
    with Spool(spool, config=QueueConfig(durability="fast")) as queue:
        queue.enqueue_many([(b"", Request(limit="api"))] * 11)
        assert queue.claim().limit == "api"
        queue.enqueue(b"")
        counts.append(_looked_at(spool, monkeypatch))
        for _ in range(20 if LONG else 3):
            queue.enqueue_many([(b"", Request(limit="api"))] * 1000)
        counts.append(_looked_at(spool, monkeypatch))
    assert counts[0] == counts[1]
