"""rm, purge and undo: what a person removed comes back as it was, for a day."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager

import pytest
from support import die_at

from pq_cli import ConflictError, KeyTakenError, NoSuchItemError, QueueConfig, Spool, State
from pq_cli.spool.disk import durable, layout


@pytest.fixture
def spool(tmp_path, clock):
    """A spool with a fake clock."""
    return Spool(tmp_path / "s", clock=clock, config=QueueConfig(keep_done=60.0, max_items=50))


def in_state(spool, clock, state):
    """Return an item that has come into this state by the verbs."""
    item = spool.enqueue(b"payload", key="k", delay=600 if state == "delayed" else None)
    if state == "held":
        return spool.hold(item)
    if state in ("failed", "done"):
        claim = spool.claim()
        return spool.done(claim) if state == "done" else spool.fail(claim, "no", dead=True)
    return spool.get(item)


@pytest.mark.parametrize("state", ["pending", "delayed", "held", "failed", "done"])
def test_a_removed_item_comes_back_as_it_was(spool, clock, state):
    """State, place, payload, key and count of live items are after undo what they were before."""
    item = in_state(spool, clock, state)
    live = len(spool)
    spool.remove(item)
    assert spool.get(item.id).state is State.REMOVED and spool.payload(item.id) == b"payload"
    assert not os.listdir(f"{spool.path}/{layout.KEYS}")
    assert spool.restore(item.id) == item
    assert spool.get(item.id) == item
    assert spool.payload(item) == b"payload"
    assert len(spool) == live
    again = spool.enqueue(b"other", key="k")
    assert (again.id == item.id) == (state not in ("failed", "done"))


def test_the_order_is_as_before_the_removal(spool):
    """An item that was away takes its old place in its lane, not the end of it."""
    first, second = spool.enqueue(b"1"), spool.enqueue(b"2")
    spool.remove(first)
    spool.restore(first.id)
    assert [spool.claim().id, spool.claim().id] == [first.id, second.id]


def test_a_delayed_item_whose_time_passed_meanwhile_is_pending(spool, clock):
    """Time goes on for what was removed."""
    item = spool.enqueue(b"x", delay=600)
    spool.remove(item)
    clock.now += 700
    assert spool.restore(item.id).state is State.PENDING
    assert spool.claim().id == item.id


def test_what_came_due_before_it_was_removed_is_pending(spool, clock):
    """A due item's meta still says delayed; its place said pending, and that counts."""
    other, item = spool.enqueue(b"y"), spool.enqueue(b"x", delay=600)
    clock.now += 700
    assert spool.claim().id == other.id
    spool.remove(item.id)
    clock.now -= 700
    assert spool.restore(item.id).state is State.PENDING
    clock.now += 700
    assert spool.claim().id == item.id


def test_a_key_taken_meanwhile_stops_the_undo(spool):
    """Two live items never share a key; the removed one stays removed."""
    item = spool.enqueue(b"x", key="k")
    spool.remove(item)
    spool.enqueue(b"y", key="k")
    with pytest.raises(KeyTakenError):
        spool.restore(item.id)
    assert [ids for _, ids in spool.removed()] == [[item.id]]


def test_removals_of_one_batch_come_back_together(spool, clock):
    """Each batch is remembered apart, the newest first."""
    a, b, c = (spool.enqueue(b"x") for _ in range(3))
    until = spool.removal()
    spool.remove(a, kept_until=until)
    spool.remove(b, kept_until=until)
    spool.remove(c)
    assert until == clock.now + 86400
    assert list(spool.removed()) == [(until + 1, [c.id]), (until, [a.id, b.id])]


def test_what_was_removed_goes_after_a_day(spool, clock):
    """A day later the next removal deletes the old one, payloads too; a younger one stays."""
    old, young, last = (spool.enqueue(b"x") for _ in range(3))
    spool.remove(old)
    clock.now += 86400 - 10
    spool.remove(young)
    clock.now += 20
    spool.remove(last)
    assert [ids for _, ids in spool.removed()] == [[last.id], [young.id]]
    with pytest.raises(NoSuchItemError):
        spool.restore(old.id)
    assert sum(spool.expire()) == 2
    assert os.listdir(f"{spool.path}/removed") == []


@pytest.mark.parametrize("step", range(1, 8))
def test_what_a_killed_removal_has_left_goes_with_the_next(spool, clock, step):
    """Of two that go for good: no payload stays in a folder in which no item is left."""
    until = spool.removal()
    for item in (spool.enqueue(b"x"), spool.enqueue(b"x")):
        spool.remove(item, kept_until=until)
    spool.close()
    writes = (durable.Disk, ("rename", "unlink", "discard", "sync_dir"))
    clock.now += 86400
    assert die_at(step, False, lambda: list(spool.expire()), writes)
    clock.now += 10
    spool.remove(spool.enqueue(b"next"))
    assert sum(spool.expire()) == 1 and os.listdir(f"{spool.path}/removed") == []


def test_an_active_item_is_refused(spool):
    """Nobody's work is pulled from under them."""
    spool.enqueue(b"x")
    claim = spool.claim()
    with pytest.raises(ConflictError):
        spool.remove(claim.id)
    assert spool.get(claim.id).state is State.ACTIVE


@contextmanager
def renames_end_at(step):
    """Let the step-th rename, and with it the verb, fail."""
    real, done = durable.Disk.rename, []

    def rename(disk, source, target):
        done.append(target)
        if len(done) == step:
            raise OSError(errno.EIO, "pulled the plug")
        real(disk, source, target)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(OSError, match="plug"):
        patch.setattr(durable.Disk, "rename", rename)
        yield


@pytest.mark.parametrize("step", range(1, 3))
def test_a_removal_cut_short_leaves_nothing_half_done(spool, step):
    """Whichever rename of a removal is the last: the item is there, or can be restored whole."""
    item = spool.enqueue(b"payload")
    with renames_end_at(step):
        spool.remove(item)
    after = Spool(spool.path, config=spool.config)
    if step == 1:
        assert after.payload(item.id) == b"payload"
    else:
        assert after.get(item.id).state is State.REMOVED
        assert after.payload(after.restore(item.id)) == b"payload"


@pytest.mark.parametrize("step", range(1, 3))
def test_an_undo_cut_short_can_be_made_again(spool, step):
    """Whichever rename of an undo is the last, the item is removed still, or there, whole."""
    item = spool.enqueue(b"payload")
    spool.remove(item)
    with renames_end_at(step):
        spool.restore(item.id)
    after = Spool(spool.path, config=spool.config)
    if step == 1:
        after.restore(item.id)
    assert after.payload(item.id) == b"payload"
    assert after.claim().id == item.id


def test_a_power_loss_that_kept_only_the_payloads_way(spool):
    """The meta is back where it was, the payload went on: the item is served whole."""
    item = spool.enqueue(b"payload")
    home = f"{item.path}{layout.META}"
    spool.remove(item)
    os.rename(f"{spool.get(item.id).path}{layout.META}", home)
    after = Spool(spool.path, config=spool.config)
    assert after.payload(after.claim()) == b"payload"
