"""`--if-exists replace` on disk: what others see, do and leave between its transactions."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from unittest.mock import patch

import pytest
from queues import Clock, make_queue
from test_many_processes import at_once

from pq_cli import KeyTakenError, Spool
from pq_cli.core.item import State
from pq_cli.errors import LockTimeoutError
from pq_cli.queue.request import Request
from pq_cli.spool import replacing
from pq_cli.spool.check.check import Check
from pq_cli.spool.disk.durable import Disk
from pq_cli.spool.disk.keys import Keys
from pq_cli.spool.disk.reader import Reader


@pytest.fixture
def spools(tmp_path):
    """Two at one spool in "full", in which item 1 has the key "k"."""
    one = make_queue("spool-full", tmp_path, Clock())
    one.enqueue(b"old", key="k")
    return one, Spool(one.path, config=one.config, clock=Clock())


@pytest.fixture
def halfway(spools):
    """The same, and item 2 has come in its place; who did it died before he ended item 1."""
    one, two = spools
    with patch.object(replacing, "end_replaced"):
        one.enqueue(b"new", key="k", if_exists="replace")
    assert key_text(one) == "2.1" and ids(one) == [1, 2]
    return two, one


def ids(spool):
    return [item.id for item in spool.items()]


def key_text(spool):
    """Return what the link of the key "k" says."""
    return os.readlink(f"{spool.path}/keys/k")


def after_the_sync(monkeypatch, happen):
    """Let something happen once, when a new item is durable and the old one not ended yet."""
    real, waiting = replacing.end_replaced, [happen]

    def end(*args):
        if waiting:
            waiting.pop()()
        real(*args)

    monkeypatch.setattr(replacing, "end_replaced", end)


def test_one_is_left_and_the_key_names_it(spools):
    """When the id is told, the old item is gone, and nothing remembers it."""
    one, _ = spools
    assert one.enqueue(b"new", key="k", if_exists="replace").id == 2
    assert ids(one) == [2] and key_text(one) == "2"
    assert sorted(os.listdir(f"{one.path}/pending/05/0000000")) == [
        "0000000002", "0000000002.meta.json",
    ]  # fmt: skip


def test_what_was_replaced_is_not_served(halfway):
    """Whoever claims meanwhile gets the new one, and with it the old one ends."""
    spool, _ = halfway
    assert spool.claim().id == 2
    assert ids(spool) == [2] and key_text(spool) == "2"
    assert spool.claim() is None


def test_it_is_passed_over_and_what_is_behind_it_served(halfway):
    """One whose place is taken keeps nobody waiting; the new one stands where it stands."""
    spool, _ = halfway
    spool.change(2, priority=9)
    spool.enqueue(b"plain")
    assert [spool.claim().id, spool.claim().id] == [3, 2]


def test_it_is_served_when_the_new_one_was_not_durable_after_all(spools, monkeypatch):
    """What could not be made durable is taken back, and the old item counts again: also to others
    who have met both."""
    one, two = spools
    real = Disk.sync_dir

    def fails(self, path):
        if path.startswith("pending"):
            monkeypatch.setattr(Disk, "sync_dir", real)
            two.enqueue(b"plain", priority=9)
            assert two.enqueue(b"x", key="k").id == 2  # for the moment
            raise OSError(errno.EIO, "no", path)
        return real(self, path)

    monkeypatch.setattr(Disk, "sync_dir", fails)
    with pytest.raises(OSError, match="no"):
        one.enqueue(b"new", key="k", if_exists="replace")
    assert ids(two) == [1, 3] and key_text(one) == "1"
    assert [two.claim().id, two.claim().id] == [1, 3]


@pytest.mark.parametrize("end", ["done", "cancel", "remove"])
def test_who_ends_the_new_one_ends_the_old_one(halfway, end):
    """None comes back by the end of the one that took its place.

    Also where who claimed it could not have the lock a second time.
    """
    spool, _ = halfway
    if end == "done":
        with patch.object(replacing, "end_replaced"):
            spool.claim()
    getattr(spool, end)(2)
    assert [item.state for item in spool.items()] == [State.FAILED] * (end == "cancel")
    assert spool.claim() is None and spool.enqueue(b"x", key="k").id == 3


def test_one_replaces_the_other_before_it_is_durable(spools, monkeypatch):
    """Each has the place of all before it; whoever comes to his end first, ends what is before."""
    one, two = spools
    seen = []

    def replace():
        two.enqueue(b"third", key="k", if_exists="replace")
        seen.append((ids(two), key_text(two)))

    after_the_sync(monkeypatch, replace)
    assert one.enqueue(b"second", key="k", if_exists="replace").id == 2
    assert seen == [([3], "3")]
    assert ids(one) == [3] and key_text(one) == "3"


def test_the_second_of_two_that_died_counts(halfway):
    """Of three with one key the newest is served, and both others are gone."""
    spool, other = halfway
    with patch.object(replacing, "end_replaced"):
        other.enqueue(b"newest", key="k", if_exists="replace")
    assert key_text(spool) == "3.2.1"
    assert spool.claim().id == 3 and ids(spool) == [3]
    assert spool.claim() is None and key_text(spool) == "3"


def test_somebody_works_on_it_already(spools, monkeypatch):
    """Who claims it before the old one is ended, ends that himself; the id is told all the same."""
    one, two = spools
    claims = []
    after_the_sync(monkeypatch, lambda: claims.append(two.claim()))
    assert one.enqueue(b"new", key="k", if_exists="replace").id == 2
    assert [c.id for c in claims] == [2] and ids(one) == [2]
    with pytest.raises(KeyTakenError):
        two.enqueue(b"x", key="k", if_exists="replace")


def test_the_lock_is_not_to_be_had(spools, monkeypatch):
    """The new item is durable, so its id is told; the next claim does what is left."""
    one, two = spools
    real = replacing.Files.__enter__
    entered = []

    def enter(self):
        entered.append(1)
        if len(entered) == 2:
            raise LockTimeoutError("locked")
        real(self)

    monkeypatch.setattr(replacing.Files, "__enter__", enter)
    assert one.enqueue(b"new", key="k", if_exists="replace").id == 2
    assert ids(one) == [1, 2]
    assert two.claim().id == 2 and ids(two) == [2]


def test_the_disk_refuses_to_end_the_old_one(spools, monkeypatch):
    """The same: nothing is told to have failed that has not."""
    one, two = spools

    def refuses(self, path):
        monkeypatch.undo()
        raise OSError(errno.EIO, "no", path)

    monkeypatch.setattr(Disk, "unlink", refuses)
    assert one.enqueue(b"new", key="k", if_exists="replace").id == 2
    assert two.claim().id == 2 and ids(two) == [2]


def test_a_batch_that_replaces_its_own(spools, monkeypatch):
    """The last is left, for one sync of each folder; all ids are told."""
    one, _ = spools
    monkeypatch.setattr(Disk, "sync_file_system", lambda self: pytest.fail("all was synced"))
    replaces = Request(key="k", if_exists="replace")
    batch = one.enqueue_many([(b"a", replaces), (b"b", replaces), (b"c", replaces)])
    assert [item.id for item in batch.items] == [2, 3, 4]
    assert ids(one) == [4] and key_text(one) == "4"


def test_a_batch_that_replaces_its_own_hundreds_of_times(spools, monkeypatch):
    """None of them was told, so each goes at once, and the key never names more than three."""
    one, two = spools
    real, longest = Keys.give, []

    def give(self, key, *ids, sync=True):
        longest.append(len(ids))
        real(self, key, *ids, sync=sync)

    monkeypatch.setattr(Keys, "give", give)
    batch = one.enqueue_many([(b"x", Request(key="k", if_exists="replace"))] * 1200)
    assert batch.error is None and len(batch.items) == 1200
    assert ids(one) == [1201] and key_text(one) == "1201" and max(longest) == 3
    assert two.claim().id == 1201 and two.claim() is None


def test_hundreds_that_died_in_each_others_place(spools):
    """No key names more than there is room for in a link, which is 4,095 bytes."""
    one, two = spools
    with patch.object(replacing, "end_replaced"):
        for n in range(2, 160):
            assert one.enqueue(b"x", key="k", if_exists="replace").id == n
            assert len(key_text(one).split(".")) <= 52
    assert two.claim().id == 159 and ids(two) == [159] and two.claim() is None


def test_a_claim_that_is_not_made_ends_nothing(halfway, monkeypatch):
    """What it found, it leaves to the next."""
    spool, _ = halfway
    monkeypatch.setattr(Disk, "rename", lambda *_: (_ for _ in ()).throw(OSError(errno.EIO, "no")))
    with pytest.raises(OSError, match="no"):
        spool.claim()
    monkeypatch.undo()
    assert ids(spool) == [1, 2] and spool.claim().id == 2 and ids(spool) == [2]


def test_a_batch_of_a_new_key_is_taken_back_whole(spools, monkeypatch):
    """Nothing is left of what was not told."""
    one, _ = spools

    def fails(self, path):
        raise OSError(errno.EIO, "no", path)

    monkeypatch.setattr(Disk, "sync_dir", fails)
    with pytest.raises(OSError, match="no"):
        one.enqueue_many([(b"x", Request(key="new", if_exists="replace"))] * 3)
    monkeypatch.undo()
    assert ids(one) == [1]


def test_what_passed_a_batch_by_is_gone_before_the_last_is_worked_on(spools, monkeypatch):
    """Of a batch one takes the other's place: who claims the last waits until all that is durable.

    Else a power loss could bring one back that came and went before it was synced.
    """
    one, two = spools
    synced = []
    real, all_of_it = Disk.sync_dir, Disk.sync_file_system
    monkeypatch.setattr(
        Disk, "sync_file_system", lambda self: synced.append("all") or all_of_it(self)
    )

    def claims(self, path):
        if path == "keys" and not synced:
            synced.append(path)
            assert two.claim().id == 3 and "all" in synced
        real(self, path)

    monkeypatch.setattr(Disk, "sync_dir", claims)
    one.enqueue_many([(b"x", Request(key="new", if_exists="replace", priority=1))] * 2)
    assert ids(one) == [1, 3] or ids(one) == [3, 1]


def test_what_people_do_with_the_old_one_meanwhile(halfway):
    """Held, it goes all the same; removed, it is in the bin, and its key is another's."""
    spool, _ = halfway
    spool.hold(1)
    spool.remove(1)
    assert spool.claim().id == 2
    with pytest.raises(KeyTakenError):
        spool.restore(1)
    spool.done(2)
    assert spool.restore(1).state is State.HELD


def test_a_new_one_that_came_back_without_its_payload_counts_for_nothing(halfway):
    """A power loss may leave it so before its id was told: the old one has the key, and stays."""
    spool, other = halfway
    os.unlink(f"{spool.path}/pending/05/0000000/0000000002")
    assert spool.enqueue(b"x", key="k").id == 1
    spool.remove(2)
    assert other.claim().id == 1 and key_text(spool) == "1"


def test_a_new_one_whose_payload_a_move_has_left_behind_counts(halfway):
    """It is moved after its meta; who died in between has not lost it."""
    spool, _ = halfway
    os.makedirs(f"{spool.path}/held/0000000", exist_ok=True)
    home = f"{spool.path}/pending/05/0000000/0000000002"
    os.rename(home, f"{spool.path}/held/0000000/0000000002")
    item = spool.claim()
    assert (item.id, spool.payload(item)) == (2, b"new") and ids(spool) == [2]


def test_who_has_ended_is_named_until_that_is_durable(halfway):
    """Others take out what they have ended themselves, and no more."""
    spool, other = halfway
    with patch.object(replacing, "end_replaced"):
        other.enqueue(b"newest", key="k", if_exists="replace")
    reader = Reader(spool.path)
    oldest = reader.find(1)
    os.unlink(f"{spool.path}/pending/05/0000000/0000000002.meta.json")
    Keys(reader, Disk(spool.path, True, reader)).free(oldest)
    assert key_text(spool) == "3.2"


@pytest.mark.parametrize("text", ["2.3.1", "3.2.1", "2.1.3"])
def test_a_link_that_names_one_with_another_key(halfway, text):
    """Nobody ends what has not the key, whatever a link says."""
    spool, _ = halfway
    spool.enqueue(b"another", key="another")
    os.unlink(f"{spool.path}/keys/k")
    os.symlink(text, f"{spool.path}/keys/k")
    assert [spool.claim().id, spool.claim().id] == [2, 3] and ids(spool) == [2, 3]


@pytest.mark.parametrize("text", ["2.x", "", ".", "2..1", "-2.1", "9" * 300, "2.1.", "7.8.9"])
def test_a_link_that_says_nothing_of_use(halfway, text):
    """Whoever is met first has the key then; nothing is served twice, and no error is raised."""
    spool, _ = halfway
    os.unlink(f"{spool.path}/keys/k")
    if text:
        os.symlink(text, f"{spool.path}/keys/k")
    assert spool.claim().id == 1
    assert spool.claim() is None and ids(spool) == [1]


def test_check_tells_of_both_and_repair_leaves_one(halfway):
    """`check` finds the one that is replaced, not the key; with --repair it is set aside."""
    spool, _ = halfway
    found = list(Check(spool.path, 5.0, patience=0.0).run(repair=False))
    assert [(f.kind, f.id) for f in found] == [("superseded", 1)]
    list(Check(spool.path, 5.0).run(repair=True))
    assert ids(spool) == [2] and spool.claim().id == 2


def test_nobody_is_served_what_was_replaced_before(tmp_path: Path):
    """Four replace three keys, three work off: of each key the claims go up, and the last counts.

    In "full", so that others come between the transactions.
    """
    place = str(tmp_path / "spool")
    replaces = """
for n in range(40):
    try: out.append(q.enqueue(b'x', key=f'k{n % 3}', if_exists='replace').id)
    except KeyTakenError: pass
"""
    works = """
import time
empty = 0
while empty < 100:
    item = q.claim()
    if item is None:
        empty += 1
        time.sleep(0.005)
        continue
    q.done(item)
"""
    made = at_once(place, *[replaces] * 4, *[works] * 3, durability="full")
    with Spool(place) as spool:
        while (item := spool.claim()) is not None:
            spool.done(item)
        assert ids(spool) == []
    events = map(json.loads, Path(place, "log").read_text().splitlines())
    claimed = [event for event in events if event.get("event") == "claimed"]
    by_key: dict[str, list[int]] = {}
    for event in claimed:
        by_key.setdefault(event["name"], []).append(event["id"])
    assert set(by_key) == {"k0", "k1", "k2"}
    assert all(served == sorted(set(served)) for served in by_key.values())
    assert max(map(max, by_key.values())) == max(i for each in made for i in each)
    assert os.listdir(f"{place}/keys") == []


def test_a_batch_that_replaces_its_own_is_taken_back_whole(spools, monkeypatch):
    """What was there before it has its key again."""
    one, _ = spools

    def fails(self, path):
        raise OSError(errno.EIO, "no", path)

    request = Request(key="k", if_exists="replace")
    monkeypatch.setattr(Disk, "sync_dir", fails)
    with pytest.raises(OSError, match="no"):
        one.enqueue_many([(b"x", request)] * 3)
    monkeypatch.undo()
    assert ids(one) == [1] and one.claim().id == 1


@pytest.mark.parametrize("awaited", [False, True])
def test_what_is_left_alone_in_the_place_of_another_is_not_taken_back(spools, monkeypatch, awaited):
    """Else both were gone: the old one has ended, for who comes after it, or for a claim."""
    one, two = spools
    if awaited:
        one.enqueue(b"after", after=[1])
    real = Disk.sync_dir

    def fails(self, path):
        if path != "keys" or not key_text(one).endswith(".1"):
            return real(self, path)
        monkeypatch.setattr(Disk, "sync_dir", real)
        if not awaited:
            two.release(two.claim())
        raise OSError(errno.EIO, "no", path)

    monkeypatch.setattr(Disk, "sync_dir", fails)
    with pytest.raises(OSError, match="no"):
        one.enqueue(b"new", key="k", if_exists="replace")
    assert one.payload(two.claim()) == b"new"


def test_who_was_passed_over_is_served_by_the_same_process(spools, monkeypatch):
    """When the new one is taken back, also who had met both remembers the old one again."""
    one, _ = spools
    one.enqueue(b"plain", priority=9)
    real = Disk.sync_dir

    def fails(self, path):
        if path == "keys":
            monkeypatch.setattr(Disk, "sync_dir", real)
            assert one.claim().id == 2
            raise OSError(errno.EIO, "no", path)
        return real(self, path)

    monkeypatch.setattr(Disk, "sync_dir", fails)
    with pytest.raises(OSError, match="no"):
        one.enqueue(b"new", key="k", if_exists="replace", priority=10)
    assert one.claim().id == 1


def test_who_ends_the_new_one_waits_for_the_end_of_the_old_one(halfway, monkeypatch):
    """Whoever ended that died before it was durable; a power loss would leave the old one alone."""
    spool, _ = halfway
    for end in ("", ".meta.json"):
        os.unlink(f"{spool.path}/pending/05/0000000/0000000001{end}")
    real, synced = Disk.sync_file_system, []
    monkeypatch.setattr(Disk, "sync_file_system", lambda self: synced.append(1) or real(self))
    spool.cancel(2)
    assert synced
