"""What others do while an enqueue writes and syncs, before it takes the lock."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from queues import Clock, is_in_order, make_queue

from pq_cli import KeyTakenError, QueueFullError, Spool
from pq_cli.core.item import State
from pq_cli.queue.request import Request
from pq_cli.spool import store
from pq_cli.spool.check.check import Check
from pq_cli.spool.disk.durable import Disk


@pytest.fixture
def between(monkeypatch):
    """Return a function that lets something happen once, when all is written but the ids."""

    def let(happen):
        real, waiting = store.SpoolStore.prepare, [happen]

        def prepare(*args):
            real(*args)
            if waiting:
                waiting.pop()()

        monkeypatch.setattr(store.SpoolStore, "prepare", prepare)

    return let


def ids(spool):
    return [item.id for item in spool.items()]


def test_who_comes_first_has_the_key(spools, between):
    """The other has it by then: it is found, refused to, and nothing is left of the late one."""
    one, two = spools
    for if_exists in ("skip", "fail"):
        between(lambda: two.enqueue(b"two", key="k"))
        if if_exists == "skip":
            assert one.enqueue(b"one", key="k").id == 1 == two.get(1).id
        else:
            with pytest.raises(KeyTakenError, match="item 1"):
                one.enqueue(b"one", key="k", if_exists="fail")
        assert ids(one) == [1] and two.enqueue(b"x", key="k").id == 1


def test_a_key_that_comes_and_goes_meanwhile_is_had(spools, between):
    """The other has ended again: the late one enters, and has the key."""
    one, two = spools

    def come_and_go():
        two.enqueue(b"two", key="k")
        two.done(two.claim())

    between(come_and_go)
    item = one.enqueue(b"one", key="k")
    assert (item.id, one.payload(item)) == (2, b"one")
    assert two.enqueue(b"x", key="k").id == 2


def test_a_key_that_is_freed_meanwhile_is_had(spools, between):
    """What would have been skipped enters, with an id that is its own."""
    one, two = spools
    two.enqueue(b"first", key="k")
    between(lambda: two.done(two.claim()))
    item = one.enqueue(b"one", key="k")
    assert one.payload(item) == b"one" and two.enqueue(b"x", key="k").id == item.id > 1
    assert one.enqueue(b"next").id > item.id


def test_replacing_what_is_gone_or_claimed_meanwhile(spools, between):
    """It is an enqueue like any other then, or refused."""
    one, two = spools
    two.enqueue(b"old", key="k")
    between(lambda: two.claim())
    with pytest.raises(KeyTakenError):
        one.enqueue(b"new", key="k", if_exists="replace")
    between(lambda: two.done("1.1"))
    item = one.enqueue(b"new", key="k", if_exists="replace")
    assert ids(one) == [item.id] and two.enqueue(b"x", key="k").id == item.id


def test_room_is_asked_for_again(tmp_path, between):
    """`max_items` holds: the room that somebody else has taken is gone."""
    one = make_queue("spool-full", tmp_path, Clock(), max_items=2)
    two = Spool(one.path, config=one.config, clock=Clock())
    one.enqueue(b"x")
    between(lambda: two.enqueue(b"two"))
    with pytest.raises(QueueFullError):
        one.enqueue(b"one")
    assert ids(one) == [1, 2]


def test_what_is_refused_leaves_no_time_at_which_something_comes_due(spools, between):
    """The folder of its second was made, and goes: whoever waits would wait for nothing."""
    one, two = spools
    between(lambda: two.enqueue(b"two", key="k", delay=5000))
    one.enqueue(b"one", key="k", delay=50)
    assert one.next_event() == two.next_event() == Clock()() + 5000
    assert not list(Check(one.path, 5.0, patience=0.0).run(repair=False))


def test_ids_are_given_in_the_order_in_which_items_appear(spools, between):
    """A lane goes by id: nothing ever appears before what may be served already."""
    one, two = spools
    between(lambda: two.enqueue(b"two"))
    item = one.enqueue(b"one")
    assert item.id == 2 and json.loads(Path(f"{item.path}.meta.json").read_text())["id"] == 2
    assert [two.payload(two.claim()), two.payload(two.claim())] == [b"two", b"one"]


def test_a_repair_meanwhile_takes_nothing_away(spools, between):
    """What is being written is not stale, and its folder may be tidied away."""
    one, two = spools
    two.enqueue(b"x")
    two.remove(1)

    def repair():
        list(Check(one.path, 5.0).run(repair=True))

    between(repair)
    item = one.enqueue(b"one", priority=9)
    assert one.payload(item) == b"one" and not list(Check(one.path, 5.0).run(repair=False))


def meta_of(spool, item_id):
    return os.stat(f"{spool.get(item_id).path}.meta.json").st_ino


def in_tmp(spool):
    return {entry.inode() for entry in os.scandir(f"{spool.path}/tmp")}


def test_a_thread_leaves_alone_what_another_is_to_raise(spools, between):
    """Threads share a spool: the end of one's batch is not that of what another has written."""
    one, two = spools
    one.enqueue(b"x", key="k", priority=9)
    written = set()

    def meanwhile():
        one.unstage(one.stage(b"another thread", Request()))
        written.update(in_tmp(one))

    between(meanwhile)
    assert one.enqueue(b"x", key="k", priority=2, if_exists="raise").priority == 2
    assert meta_of(two, 1) in written and not in_tmp(one)


def test_a_thread_uses_nothing_that_another_has_yet_to_sync(spools, monkeypatch):
    """Two raise one item alike: each by what it has synced itself, for its id will be told."""
    one, two = spools
    one.enqueue(b"x", key="k", priority=9)
    real, waiting, unsynced = Disk.sync_files, [True], set()

    def sync_files(*args, **more):
        if waiting and waiting.pop():
            unsynced.update(in_tmp(one))
            assert one.enqueue(b"x", key="k", priority=2, if_exists="raise").id == 1
            assert meta_of(two, 1) not in unsynced
        return real(*args, **more)

    monkeypatch.setattr(Disk, "sync_files", sync_files)
    assert one.enqueue(b"x", key="k", priority=2, if_exists="raise").priority == 2
    assert unsynced and not in_tmp(one)


def test_threads_that_raise_leave_nothing_behind(tmp_path, threads, monkeypatch):
    """However they are interleaved: no error, no file, and each item has its own meta."""
    monkeypatch.setattr(Disk, "sync_file_system", lambda *_: None)
    one = make_queue("spool-full", tmp_path, Clock())
    keys = [f"k{n}" for n in range(20)]
    one.enqueue_many([(b"x", Request(key=key, priority=10)) for key in keys])
    before = sys.getswitchinterval()

    def raise_all(first):
        for priority in range(9, 1, -1):
            for key in keys[first:] + keys[:first]:
                one.enqueue(b"x", key=key, priority=priority, if_exists="raise")

    try:
        sys.setswitchinterval(1e-6)
        list(threads.map(raise_all, range(0, 20, 5)))
    finally:
        sys.setswitchinterval(before)
    assert [item.priority for item in one.items()] == [2] * 20 and not in_tmp(one)
    assert not list(Check(one.path, 5.0, patience=0.0).run(repair=False))


def test_what_was_done_later_is_done_for_everybody(spools):
    """Nobody gets it, and its key is free; `settle` removes the payload, and says of how many."""
    one, two = spools
    one.enqueue(b"one", key="k")
    one.done(one.claim(), later=True)
    assert two.claim() is None and ids(two) == []
    assert two.enqueue(b"two", key="k").id == 2
    assert one.settle() == 1 and one.settle() == 0
    assert two.enqueue(b"x", key="k").id == 2
    assert two.get(2).state is State.PENDING and not list(Check(one.path, 5.0).run(repair=False))


def test_the_next_worker_clears_what_was_not_settled(spools, tmp_path):
    """A worker that dies before it settles leaves no payload and no key for long."""
    one, two = spools
    one.enqueue(b"one", key="k")
    one.done(one.claim(), later=True)
    left = tmp_path.rglob("*.done")
    assert [path.name for path in left] == ["0000000001.1.done"]
    two.attend().close()
    assert not list(tmp_path.rglob("*.done")) and not list(tmp_path.rglob("keys/*"))
    assert one.settle() == 1


def test_a_batch_admits_what_was_ready(spools, between):
    """Of a batch each is asked again; the ids of those that entered rise in its order."""
    one, two = spools
    between(lambda: two.enqueue(b"two", key="3"))
    records = [(b"%d" % n, Request(key=str(n))) for n in range(9)]
    admitted = one.enqueue_many(records)
    assert admitted.error is None and [item.key for item in admitted.items] == list("012345678")
    numbers = [item.id for item in admitted.items if item.key != "3"]
    assert numbers == sorted(numbers) and [item.id for item in admitted.found] == [1]


def test_a_raise_takes_what_was_written_before_the_lock(spools, between):
    """The very file that was synced is the item's meta then, time after time."""
    one, two = spools
    one.enqueue(b"x", key="k", priority=9)
    for priority in (7, 5):
        ready = []
        between(lambda: ready.extend(e.inode() for e in os.scandir(f"{one.path}/tmp")))  # noqa: B023
        one.enqueue(b"y", key="k", priority=priority, if_exists="raise")
        item = two.get(1)
        assert item.priority == priority and os.stat(f"{item.path}.meta.json").st_ino in ready
        assert is_in_order(one)


def test_a_raise_counts_what_was_changed_meanwhile(spools, between):
    """The item is raised as it is by then, and one that has gone is not brought back."""
    one, two = spools
    one.enqueue(b"x", key="k", priority=9)
    between(lambda: two.hold(1))
    one.enqueue(b"y", key="k", priority=7, if_exists="raise")
    assert (two.get(1).state, two.get(1).priority) == (State.HELD, 7) and is_in_order(one)
    between(lambda: two.remove(1))
    assert one.enqueue(b"y", key="k", priority=5, if_exists="raise").id == 2
    assert (two.get(1).state, ids(two)) == (State.REMOVED, [2]) and is_in_order(one)
