"""What others do while an end, or a claim, writes and syncs what comes of it, before the lock."""

from __future__ import annotations

import json
import os
import stat
import threading
from contextlib import contextmanager, nullcontext
from pathlib import Path
from unittest.mock import patch

import pytest
from queues import Clock, is_in_order, make_queue, plain

from pq_cli import NoSuchItemError, Spool, StaleClaimError
from pq_cli.core.item import State
from pq_cli.queue.request import Request
from pq_cli.spool import store
from pq_cli.spool.check.check import Check
from pq_cli.spool.disk.durable import Disk
from pq_cli.spool.disk.lock import SpoolLock


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


def test_a_mark_says_how_the_item_has_ended(followed, monkeypatch):
    """Not how another thread was about to end it, which has made its own meanwhile."""
    one, two, untold = followed
    real, marked, go = store.SpoolStore.foreseen, threading.Event(), threading.Event()

    def fails():
        with pytest.raises(NoSuchItemError):
            one.fail(1, dead=True)

    another = threading.Thread(target=fails)

    @contextmanager
    def foreseen(*args):
        with real(*args) as seen:
            if threading.current_thread() is another:
                marked.set()
                go.wait()
            else:
                another.start()
                marked.wait()
            yield seen

    monkeypatch.setattr(store.SpoolStore, "foreseen", foreseen)
    one.done(1, later=True)
    assert marks(untold) == {"0000000001": "done"} and two.get(2).state is State.PENDING
    go.set()
    another.join()
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


def test_a_mark_of_what_is_set_aside_says_nothing(followed):
    """Its maker died, and nobody has done the item: those that come after it do not go on."""
    one, two, untold = followed
    pid = os.fork()
    if pid == 0:
        with patch.object(SpoolLock, "__enter__", lambda _: os._exit(9)):
            Spool(one.path, clock=Clock()).done("1.1")
        os._exit(1)
    assert os.waitpid(pid, 0)[1] == 9 << 8
    assert marks(untold) == {"0000000001.soon": "done"}
    os.unlink(one.release(1).path)
    list(Check(one.path, 5.0).run(repair=True))
    assert two.claim() is None and two.get(2).state is State.HELD and marks(untold) == {}
