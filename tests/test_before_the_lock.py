"""What others do while an enqueue, or an end, writes and syncs, before it takes the lock."""

from __future__ import annotations

import json
import os
import stat
import sys
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from unittest.mock import patch

import pytest
from queues import Clock, make_queue, plain

from pq_cli import KeyTakenError, QueueFullError, Spool, StaleClaimError
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


@pytest.fixture
def meanwhile(monkeypatch):
    """Return a function that lets something happen once, when what a claim ends as is written."""

    def let(happen):
        real, waiting = store.SpoolStore.foreseen, [happen]

        @contextmanager
        def foreseen(*args):
            with real(*args) as seen:
                if waiting:
                    waiting.pop()()
                yield seen

        monkeypatch.setattr(store.SpoolStore, "foreseen", foreseen)

    return let


@pytest.fixture
def spools(tmp_path):
    """Two processes' views of one spool."""
    with make_queue("spool-full", tmp_path, Clock()) as one, Spool(one.path, clock=Clock()) as two:
        yield one, two


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


ENDS = {
    "done": lambda queue: queue.done(1, status=0),
    "fail": lambda queue: queue.fail(1, "no", status=1),
    "dead": lambda queue: queue.fail(1, "no", dead=True),
    "defer": lambda queue: queue.defer(1, "later", status=75),
}


@pytest.fixture
def claimed(tmp_path):
    """Two processes' views of a spool with a claimed item, and a queue in memory that agrees."""
    clock = Clock()
    one, memory = (
        make_queue(kind, tmp_path, clock, keep_done=60.0) for kind in ("spool-full", "memory")
    )
    for queue in (one, memory):
        queue.enqueue(b"x", priority=7, metadata={"n": [1, 2.5, None]})
        queue.claim(lease=50)
    with one, Spool(one.path, config=one.config, clock=clock) as two:
        yield one, two, memory, clock


def is_in_order(spool):
    """Nothing is left in `tmp/`, and of what was to come at most an empty folder."""
    found = Check(spool.path, 5.0, patience=0.0).run(repair=False)
    return not os.listdir(f"{spool.path}/tmp") and {each.kind for each in found} <= {"empty"}


@pytest.mark.parametrize("end", ENDS)
def test_an_end_takes_what_was_written_before_the_lock(claimed, meanwhile, end):
    """The very file that was synced is the item's meta then; of what is done it stays the one."""
    one, two, memory, clock = claimed
    ready, was = [], os.stat(f"{two.get(1).path}.meta.json").st_ino
    meanwhile(lambda: ready.extend(entry.inode() for entry in os.scandir(f"{one.path}/tmp")))
    clock.now += 5.25
    item = ENDS[end](one)
    assert [os.stat(f"{item.path}.meta.json").st_ino] == (ready or [was])
    assert (ready == []) is (end == "done")
    assert plain(item) == plain(ENDS[end](memory)) == plain(two.get(1)) and is_in_order(one)


def test_a_claim_that_is_renewed_meanwhile_is_not_taken_back(claimed, meanwhile):
    """That its lease was over is forgotten: its holder goes on, and who came gets the next."""
    one, two, _, clock = claimed
    one.enqueue(b"y")
    clock.now += 60
    meanwhile(lambda: two.renew("1.1", 50))
    assert one.claim().claim == "2.1" and is_in_order(one)
    assert two.get(1).claim == "1.1" and not two.get(1).history


def test_what_is_done_after_many_attempts_is_kept_whole(claimed):
    """Its history has no room for one more: the meta is a new one, and says what it always said."""
    one, two, memory, clock = claimed
    for attempt in range(1, 25):
        one.defer(f"1.{attempt}"), memory.defer(f"1.{attempt}")
        clock.now += 9999
        one.claim(lease=50), memory.claim(lease=50)
    item = one.done("1.25")
    assert plain(item) == plain(memory.done("1.25")) == plain(two.get(1)) and is_in_order(one)
    assert b"ending" not in Path(f"{item.path}.meta.json").read_bytes()


def test_what_is_kept_done_later_is_done_for_everybody(claimed):
    """It is there at once, as it stays; `settle` says of how many."""
    one, two, memory, _ = claimed
    assert plain(one.done(1, later=True)) == plain(memory.done(1)) == plain(two.get(1))
    assert (one.settle(), one.settle()) == (1, 0) and is_in_order(one)


def test_what_others_have_moved_on_is_settled_all_the_same(claimed, monkeypatch):
    """Its last sector lies elsewhere then, and need not have been written by whoever moved it."""
    one, two, *_ = claimed
    one.done(1, later=True)
    two.remove(1)
    all_written = []
    monkeypatch.setattr(Disk, "sync_file_system", lambda disk: all_written.append(disk))
    assert (one.settle(), len(all_written)) == (1, 1)


CHANGES = {
    "renewed": lambda queue: queue.renew("1.1", 90),
    "changed": lambda queue: queue.change(1, priority=2),
    "claimed anew": lambda queue: (queue.release(1), queue.claim(lease=70)),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("end", ENDS)
def test_an_end_counts_what_was_changed_meanwhile(claimed, meanwhile, end, change):
    """What becomes of the item goes by how it stands under the lock, and when that was."""
    one, two, memory, clock = claimed

    def happen():
        clock.now += 2.5
        CHANGES[change](two)

    meanwhile(happen)
    item = ENDS[end](one)
    CHANGES[change](memory)
    assert plain(item) == plain(ENDS[end](memory)) == plain(two.get(1)) and is_in_order(one)


@pytest.mark.parametrize(
    ("loss", "state"),
    [
        (lambda queue: queue.cancel(1, hold=True), State.HELD),
        (lambda queue: queue.cancel(1, remove=True), State.REMOVED),
        (lambda queue: queue.done("1.1"), State.DONE),
        (lambda queue: (queue.release("1.1"), queue.claim()), State.ACTIVE),
    ],
)
def test_an_end_is_refused_if_the_claim_is_gone_meanwhile(claimed, meanwhile, loss, state):
    """What others have made of the item stays, and nothing is left of what was written."""
    one, two, *_ = claimed
    meanwhile(lambda: loss(two))
    with pytest.raises(StaleClaimError):
        one.done("1.1")
    assert two.get(1).state is state and is_in_order(one)
    assert two.payload(1) == b"x"


@pytest.mark.parametrize("end", ENDS)
def test_what_was_written_before_the_lock_may_be_swept_away(claimed, meanwhile, end):
    """Then it is written there and then."""
    one, two, memory, _ = claimed
    meanwhile(lambda: [os.unlink(entry.path) for entry in os.scandir(f"{one.path}/tmp")])
    assert plain(ENDS[end](one)) == plain(ENDS[end](memory)) == plain(two.get(1))
    assert is_in_order(one)


@pytest.fixture
def due(spools):
    """Two views of a spool in which item 2 is due, before what waits, to a lane without folder."""
    spools[0].enqueue(b"waits")
    spools[0].enqueue(b"due", priority=1, delay=5)
    late = Clock(Clock()() + 10)
    with Spool(spools[0].path, clock=late) as one, Spool(one.path, clock=late) as two:
        yield one, two, late


@pytest.mark.parametrize("left", ["nothing", "a folder that may not last"])
def test_a_folder_that_is_tidied_away_meanwhile_is_made_again(due, meanwhile, left):
    """Under the lock, durably, and once: what is due is served before what waits."""
    one, _, _ = due
    lane = Path(one.path, "pending", "01")

    def tidy():
        assert [stat.S_IMODE(folder.stat().st_mode) for folder in lane.glob("**/")] == [0o700] * 2
        os.removedirs(lane / "0000000")
        for folder in (lane, lane / "0000000") if left != "nothing" else ():
            folder.mkdir()
            folder.chmod(0o1700)

    meanwhile(tidy)
    assert one.claim().id == 2
    assert stat.S_IMODE((lane / "0000000").stat().st_mode) == 0o700
    assert one.claim().id == 1 and is_in_order(one)


def test_what_is_due_may_be_had_by_others_meanwhile(due, meanwhile):
    """They bring it in, and work at it: the one that came first has what is next."""
    one, two, _ = due
    meanwhile(lambda: two.done(two.claim()))
    assert one.claim().id == 1 and is_in_order(one)


def test_what_comes_due_meanwhile_is_brought_in_as_well(due, meanwhile):
    """To another lane that has no folder: it would come before the others."""
    one, two, late = due
    two.change(2, priority=3)
    two.enqueue(b"more urgent", priority=2, delay=5)
    meanwhile(lambda: late.pass_(6))
    assert [one.claim().id for _ in range(3)] == [3, 2, 1]


def test_what_an_import_that_died_has_left_comes_due_with_the_claim_that_lets_it_in(due):
    """So it is let in first: nothing is claimed before it."""
    one, _, _ = due
    handover = Path(one.path, "imports", "handover")
    handover.mkdir(mode=0o700, parents=True)
    for path in Path(one.path, "delayed").glob("*/*/*"):
        path.rename(handover / path.name)
    assert [one.claim().id, one.claim().id] == [2, 1]


def test_what_is_due_and_cannot_be_read_is_told_of_once(due):
    """Also by a claim that looks at it twice, since what is due beside it has no folder."""
    one, _, late = due
    one.enqueue(b"damaged", delay=5)
    late.pass_(10)
    for path in Path(one.path, "delayed").glob("*/*/*3.meta.json"):
        path.write_bytes(b"rubbish")
    told = []
    with Spool(one.path, clock=late, report=told.append) as teller:
        assert teller.claim().id == 2 and len(told) == 1
        assert teller.claim().id == 1 and len(told) == 2


def test_a_folder_that_was_made_for_nothing_is_tidied_away(due, meanwhile):
    """What was due is gone meanwhile: the next claim that comes by finds its folder empty."""
    one, two, _ = due
    two.enqueue_many([(b"x", Request(priority=10))] * 1000)  # the newest block stays
    meanwhile(lambda: two.remove(2))
    assert one.claim().id == 1
    assert not Path(one.path, "pending", "01", "0000000").exists() and is_in_order(one)


@pytest.fixture
def followed(spools):
    """Two views of a spool in which item 1 is claimed, and 2 comes after it; its marks' folder."""
    one, two = spools
    one.enqueue(b"x", priority=1)
    one.enqueue(b"y", after=[1])
    one.claim(lease=50)
    untold = Path(one.path, "after", "untold")
    untold.mkdir(mode=0o700)
    return one, two, untold


def marks(untold):
    """Return the marks in a folder: how each says that its item stands."""
    return {path.name: os.readlink(path).partition(".")[0] for path in untold.iterdir()}


def test_a_mark_that_is_made_ahead_is_left_alone(followed, meanwhile):
    """Others come by before the end: it tells them nothing yet, and the end goes on from it."""
    one, two, untold = followed
    made = []

    def look():
        two.enqueue(b"z", priority=9)
        assert two.claim().id == 3 and two.get(2).state is State.HELD
        assert marks(untold) == {"0000000001.soon": "done"}
        made.extend(os.lstat(path).st_ino for path in untold.iterdir())

    meanwhile(look)
    one.done(1, later=True)
    assert [os.lstat(path).st_ino for path in untold.iterdir()] == made
    assert two.get(2).state is State.PENDING
    one.settle()
    assert marks(untold) == {} and is_in_order(one)


@pytest.mark.parametrize("text", ["done.x", "failed.x", None])
def test_a_mark_that_others_have_made_ahead_is_made_anew(followed, meanwhile, monkeypatch, text):
    """Theirs may not last, or say something else; or it is gone."""
    one, two, untold = followed
    synced, sync_dir = [], Disk.sync_dir

    def change():
        (untold / "0000000001.soon").unlink()
        if text is not None:
            (untold / "0000000001.soon").symlink_to(text)
        monkeypatch.setattr(
            Disk, "sync_dir", lambda disk, path: (synced.append(path), sync_dir(disk, path))
        )

    meanwhile(change)
    one.done(1)
    assert "after/untold" in synced and two.get(2).state is State.PENDING
    assert marks(untold) == {} and is_in_order(one)


def test_a_mark_says_how_the_item_has_ended(followed, meanwhile):
    """Not how another thread was about to end it, which has made its own meanwhile."""
    one, two, untold = followed
    item = one.get(1)
    fails = [(item, item.replace(state=State.FAILED, holder=None, lease_until=None))]
    with ExitStack() as another:
        meanwhile(lambda: another.enter_context(one._store.foreseen(lambda: fails)))
        one.done(1, later=True)
        assert marks(untold) == {"0000000001": "done"} and two.get(2).state is State.PENDING
    one.settle()
    assert marks(untold) == {} and is_in_order(one)


@pytest.mark.parametrize("loss", ["released", "claimed anew", "failed"])
def test_a_mark_of_an_end_that_does_not_come_goes(followed, meanwhile, loss):
    """The claim is gone meanwhile: whoever has the item says how it stands."""
    one, two, untold = followed

    def lose():
        if loss == "failed":
            two.fail("1.1", dead=True)
        else:
            two.release("1.1")
        if loss == "claimed anew":
            two.claim()

    meanwhile(lose)
    with pytest.raises(StaleClaimError):
        one.done("1.1")
    assert two.get(2).state is (State.FAILED if loss == "failed" else State.HELD)
    assert marks(untold) == {} and is_in_order(one)


@pytest.mark.parametrize("theirs", [None, "removed.x"])
def test_a_mark_that_comes_too_late_tells_nobody(followed, theirs):
    """The item was removed when it was made: that is what counts, be it told already or not."""
    one, two, untold = followed
    with patch("pq_cli.queue.followers.tell") if theirs else nullcontext():
        two.cancel(1, hold=True)
        two.remove(1)
        list(two.expire())
    (untold / "0000000001.soon").symlink_to("done.y")
    assert marks(untold).get("0000000001") == (theirs and "removed")
    assert one.claim() is None and one.get(2).last_error == "item 1 was removed"
    two.claim()
    assert one.get(2).state is State.FAILED and marks(untold) == {}


def test_what_others_have_told_is_durable_before_their_mark_goes(spools, monkeypatch):
    """They sync it when the lock is free: who takes it in between finds their mark, and may not
    remove it before that is so."""
    one, two = spools
    parent = one.enqueue(b"x")
    follower = one.enqueue(b"x", after=[parent.id])
    one.claim()
    one.done(parent.id, later=True)  # it is synced at the next `settle`
    seen = []
    for name in ("sync_dir", "discard"):
        real = getattr(Disk, name)
        monkeypatch.setattr(
            Disk, name, lambda disk, path, real=real: (seen.append(path), real(disk, path))
        )
    assert two.claim(lease=9).id == follower.id
    mark = seen.index(f"after/untold/{parent.id:010d}")
    assert os.path.dirname(os.path.relpath(two.get(follower.id).path, two.path)) in seen[:mark]


def test_a_link_that_a_power_loss_took_is_made_again_and_no_end_is_forgotten(spools):
    """That the item before it was done says the mark alone: the log was lost as well."""
    one = spools[0]
    parent, follower = one.enqueue(b"x"), one.enqueue(b"y", after=[1])
    root = Path(one.path)
    for path in (*root.glob("pending/*/*/*"), root / "after/0000000001/0000000002", root / "log"):
        path.unlink()
    (root / "after/untold").mkdir()
    (root / "after/untold/0000000001").symlink_to("done.x")
    state = json.loads((root / "state.json").read_bytes())
    (root / "state.json").write_text(json.dumps(state | {"boot": "another"}))
    with Spool(root) as after_the_boot:
        assert after_the_boot.claim().id == follower.id != parent.id
