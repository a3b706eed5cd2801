"""Many at once on one spool or queue: nothing twice, nothing lost, nothing out of order."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from queues import Clock, drain, make_queue, open_at
from support import HANG, started_together

from pq_cli import MemoryQueue, PostgresQueue, QueueConfig, Spool
from pq_cli.spool.disk import state as store

FAST = QueueConfig(durability="fast")

PRELUDE = """
import json, sys
from pq_cli import *
config = QueueConfig(**json.loads(sys.argv[2]))
q = (PostgresQueue if "://" in sys.argv[1] else Spool)(sys.argv[1], config=config)
print("ready", flush=True)
sys.stdin.readline()
out = []
"""
PRODUCE = "for n in range(60): out.append([q.enqueue(b'x', priority=(5, 5, 2)[n % 3]).id])"
CONSUME = """
import time
empty = 0
while empty < 200:
    before = time.time()
    item = q.claim()
    if item is None:
        empty += 1
        time.sleep(0.005)
        continue
    out.append([item.id, item.priority, item.holder.since, before, time.time()])
    q.done(item)
"""


def at_once(place, *scripts, **config):
    """Run the scripts in as many processes, started together; return what each put in `out`."""
    config = {"durability": "fast", **config}
    open_at(place, config=QueueConfig(**config)).close()
    end = "\nprint(json.dumps(out))"
    running = started_together(
        [sys.executable, "-c", PRELUDE + script + end, place, json.dumps(config)]
        for script in scripts
    )
    results = [process.communicate(timeout=120)[0] for process in running]
    assert [process.returncode for process in running] == [0] * len(running)
    return [json.loads(result) for result in results]


@pytest.mark.parametrize("durability", ["fast", "full"])
def test_each_item_is_served_once_and_in_its_lanes_order(place, durability):
    """Three that enqueue, five that work off: every id once; in each lane by id, always."""
    results = at_once(place, *[PRODUCE] * 3, *[CONSUME] * 5, durability=durability)
    made = [entry[0] for result in results[:3] for entry in result]
    served = sorted((entry for result in results[3:] for entry in result), key=lambda e: e[2])
    assert sorted(made) == list(range(1, 181)) == sorted(entry[0] for entry in served)
    for lane in (2, 5):
        assert in_order([entry for entry in served if entry[1] == lane])
    assert sum(len(result) > 0 for result in results[3:]) > 1
    assert list(open_at(place).items()) == []


@pytest.mark.parametrize("durability", ["fast", "full"])
def test_each_that_comes_after_others_is_told_once(place, durability):
    """Eight end at once what others come after, some after two: none is lost, or told twice."""
    with open_at(place, config=QueueConfig(durability=durability)) as q:
        first = [q.enqueue(b"x", priority=1).id for _ in range(48)]
        for n, parent in enumerate(first):
            pair = [parent] if n % 3 else [parent, first[n - 1]]
            child = q.enqueue(b"y", priority=5, after=pair)
            q.enqueue(b"z", priority=9, after=[child])
    results = at_once(place, *[CONSUME] * 8, durability=durability)
    served = [entry[0] for result in results for entry in result]
    assert sorted(served) == list(range(1, 145))
    with open_at(place) as q:
        assert list(q.items()) == []
        told = sorted(event["id"] for event in q.log() if event["event"] == "released")
    assert told == list(range(49, 145))
    if "://" not in place:
        after = {path.name for path in Path(place, "after").rglob("*")}
        assert after == {"untold"} and not os.listdir(f"{place}/tmp")


@pytest.mark.parametrize("durability", ["fast", "full"])
def test_ids_are_reserved_by_many_at_once(tmp_path, durability):
    """Each is given once, and none is left out, whoever reserves while the others take them."""
    few = "from pq_cli.spool.disk import state; state.RESERVE_STEP = 4\n"
    batches = """
from pq_cli.queue.request import Request
for n in range(6): out.extend([i.id] for i in q.enqueue_many([(b'x', Request())] * 10).items)
"""
    results = at_once(
        str(tmp_path / "spool"), *[few + PRODUCE] * 4, few + batches, durability=durability
    )
    assert sorted(entry[0] for result in results for entry in result) == list(range(1, 301))


def in_order(served):
    """Tell whether of two claims in a lane the one that was over first has the lower id.

    In a database two may be under way at once; then either may be the first.
    """
    latest = sorted(served, key=lambda entry: entry[4])
    for number, _, _, before, _ in served:
        if any(other > number for other, *_, over in latest if over < before):
            return False
    return True


def test_one_of_many_gets_a_key(place):
    """With `fail` exactly one wins each key; with `skip` all are told the winner's id."""
    wants = """
for n in range(20):
    try: out.append(q.enqueue(b'x', key=f'f{n}', if_exists='fail').id)
    except KeyTakenError: out.append(None)
for n in range(20): out.append(q.enqueue(b'x', key=f's{n}').id)
"""
    results = at_once(place, *[wants] * 6)
    for n in range(20):
        assert len([r[n] for r in results if r[n] is not None]) == 1
        assert len({r[20 + n] for r in results}) == 1
    with open_at(place) as spool:
        keys = [item.key for item in spool.items()]
    assert len(keys) == len(set(keys)) == 40


def test_replacing_leaves_one(place):
    """However many replace a key at once, one item has it in the end, and none is lost half way."""
    wants = "for n in range(20): out.append(q.enqueue(b'x', key='k', if_exists='replace').id)"
    results = at_once(place, *[wants] * 5)
    assert sorted(n for r in results for n in r) == list(range(1, 101))
    with open_at(place) as spool:
        assert [item.id for item in spool.items()] == [100]
        assert spool.claim().id == 100


def test_max_items_is_not_overrun(place):
    """Exactly as many as there is room for get in, while others work off and make room."""
    fill = """
for n in range(30):
    try: out.append(q.enqueue(b'x').id)
    except QueueFullError: pass
"""
    results = at_once(place, *[fill] * 5, max_items=70)
    assert sum(map(len, results)) == 70
    take = "for n in range(9): out.append(q.done(q.claim()).id)"
    results = at_once(place, *[take] * 2, *[fill] * 3, max_items=70)
    left = 70 - 18 + sum(map(len, results[2:]))
    with open_at(place, config=FAST) as spool:
        assert len(spool) == left <= 70


def test_a_dead_workers_item_is_free_at_once(place):
    """A claim bound to a killed process comes back without waiting; an unbound one does not.

    In a database once the server has noticed, which a busy machine may keep from it.
    """
    open_at(place).enqueue(b"x")
    open_at(place).enqueue(b"y")
    code = (
        "import os, sys; from pq_cli import *;"
        "q = (PostgresQueue if '://' in sys.argv[1] else Spool)(sys.argv[1]);"
        "q.claim(); q.claim(bound=False); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(place)]).returncode == -9
    with open_at(place) as spool:
        item = spool.claim()
        if isinstance(spool, PostgresQueue):
            item = item or spool.claim(wait=HANG)
        assert item.claim == "1.2" and "died" in item.last_error
        assert spool.claim() is None and spool.get(2).claim == "2.1"


# -- fork ----------------------------------------------------------------------


def in_children(count, work):
    """Run `work(n)` in forked children; each must end well."""
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=work, args=(n,)) for n in range(count)]
    for child in children:
        child.start()
    return children


def end_well(children):
    for child in children:
        child.join(60)
        assert child.exitcode == 0


def test_forked_children_do_not_share_the_lock_or_the_counter(tmp_path):
    """A Spool that was open before the fork excludes and counts in parent and children alike."""
    spool = Spool(tmp_path / "spool", config=FAST)
    spool.enqueue(b"")
    spool.done(spool.claim())  # lock, counter and lanes are open and remembered

    def work(number):
        for n in range(25):
            spool.enqueue(b"%d.%d" % (number, n))

    children = in_children(4, work)
    work(9)
    end_well(children)
    found = {item.id: spool.payload(item) for item in spool.items()}
    assert sorted(found) == list(range(2, 127)) and len(set(found.values())) == 125

    def serve(number):
        (tmp_path / f"served{number}").write_text(json.dumps(drain(spool)))

    children = in_children(4, serve)
    serve(9)
    end_well(children)
    served = [n for p in tmp_path.glob("served*") for n in json.loads(p.read_text())]
    assert sorted(served) == sorted(found)


def test_a_fork_while_another_thread_holds_the_lock(tmp_path):
    """The child waits for the parent's thread, not for a copy of it that will never move on."""
    held, release = threading.Event(), threading.Event()

    def clock():
        if threading.current_thread() is thread:
            held.set()
            release.wait(30)
        return time.time()

    spool = Spool(tmp_path / "spool", config=FAST, lock_timeout=30, clock=clock)
    thread = threading.Thread(target=spool.claim)
    thread.start()
    held.wait(30)
    children = in_children(1, lambda _: spool.enqueue(b"from the child"))
    children[0].join(0.3)
    assert children[0].is_alive() and len(spool) == 0
    release.set()
    thread.join()
    end_well(children)
    assert [item.id for item in spool.items()] == [1]


# -- threads -------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["memory", "spool"])
def test_threads_share_one_queue(tmp_path, kind):
    """Eight threads enqueue, claim, look and end on one object: each item once, lanes in order."""
    q = MemoryQueue() if kind == "memory" else Spool(tmp_path / "spool", config=FAST)
    served, errors, started = [], [], threading.Barrier(8)

    def work():
        try:
            started.wait()
            for n in range(30):
                q.enqueue(b"x", priority=(5, 5, 2)[n % 3])
                item = q.claim()
                served.append((item.holder.since, item.id, item.priority))
                list(q.items())
                q.done(item)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == [] and sorted(n for _, n, _ in served) == list(range(1, 241))
    for lane in (2, 5):
        ids = [n for _, n, priority in sorted(served) if priority == lane]
        assert ids == sorted(ids)
    assert len(q) == 0


def test_looking_does_not_undo_a_pause(tmp_path, monkeypatch):
    """A thread that read the state before a pause, and goes on after it, changes nothing by it."""
    spool = Spool(tmp_path / "spool", config=FAST.replace(aging_clock="manual"))
    spool.enqueue(b"x")
    has_read, paused = threading.Event(), threading.Event()
    looker = threading.Thread(target=lambda: list(spool.items()))
    real = store.read_state

    def slow(root):
        state = real(root)
        if threading.current_thread() is looker:
            has_read.set()
            paused.wait(30)
        return state

    monkeypatch.setattr(store, "read_state", slow)
    looker.start()
    assert has_read.wait(30)
    spool.pause()
    paused.set()
    looker.join()
    assert spool.claim() is None


def test_nothing_is_left_in_tmp(tmp_path):
    """After all of it the folder for half-written files is empty."""
    path = tmp_path / "spool"
    at_once(path, *[PRODUCE] * 2, *[CONSUME] * 2)
    assert os.listdir(path / "tmp") == []


@pytest.mark.parametrize("durability", ["full", "fast"])
def test_a_claim_seen_before_is_looked_at_again_before_it_is_judged(tmp_path, durability):
    """A claim that was renewed since another process saw it is left alone; once over, it is not.

    What else was changed of it is not undone by who ends it.
    """
    clock = Clock()
    one, other = (make_queue(f"spool-{durability}", tmp_path, clock) for _ in range(2))
    one.enqueue(b"x")
    item = one.claim(lease=10)
    for _ in range(3):  # each writes, so that the other has to look anew
        assert other.claim() is None
        one.age()
        other.enqueue(b"y", delay=1e6)
    one.renew(item, 100)
    clock.pass_(50)
    assert other.claim() is None and one.get(item).claim == item.claim
    one.change(item.id, priority=1)
    assert other.claim() is None
    assert other.fail(item.claim).priority == 1
    clock.pass_(3600)
    again = one.claim(lease=10)
    assert other.claim() is None
    one.enqueue(b"z", delay=1e6)
    clock.pass_(11)
    assert other.claim().claim == f"{again.id}.3"
