"""An id is never given twice, whatever a power loss or a hand did to the counter."""

from __future__ import annotations

import errno
import json
import os
import shutil
import threading

import pytest
from queues import Clock, drain, make_queue

from pq_cli import QueueConfig, Spool, host
from pq_cli.core.jsonio import to_json
from pq_cli.queue.request import Request
from pq_cli.spool.check.check import Check
from pq_cli.spool.disk import durable, state
from pq_cli.spool.disk.durable import Disk
from pq_cli.spool.disk.lock import is_locked
from pq_cli.spool.doors.staging import SpoolAdmits


def boot(monkeypatch, name):
    """Let this process believe that the machine has booted anew; None: it does not know."""
    monkeypatch.setattr(host, "boot_id", lambda: name and f"{name}/pid:[1]")
    for module in (state, host):
        monkeypatch.setattr(module, "this_boot", lambda: name or host.NO_BOOT)


def use(folder, durability, count=3):
    """Open the spool, enqueue, close; return the ids that were given."""
    with make_queue(f"spool-{durability}", folder, Clock()) as spool:
        return [spool.enqueue(b"x").id for _ in range(count)]


def end_all(folder, durability="full"):
    """Work everything off: no file that is left guards the old ids."""
    with make_queue(f"spool-{durability}", folder, Clock()) as spool:
        drain(spool)


def reserved(folder):
    return json.loads((folder / "spool/state.json").read_text())["reserved_id"]


DAMAGE = {
    "missing": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "torn": lambda path: path.write_bytes(path.read_bytes()[:20]),
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:-5]),
    "zero-filled": lambda path: path.write_bytes(bytes(81)),
    "rubbish": lambda path: path.write_bytes(b"\xff" * 81),
    "negative": lambda path: path.write_bytes(b"-1".rjust(20) + path.read_bytes()[20:]),
    "of before the limit": lambda path: path.write_bytes(
        b"%016d %20d %s %s\n" % (1, -1, b"0" * 12, b"0" * 12)
    ),
    "huge": lambda path: path.write_bytes(b"9" * 20 + path.read_bytes()[20:]),
}


@pytest.mark.parametrize("durability", ["full", "fast"])
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_counter_that_cannot_be_read_is_not_missed(tmp_path, durability, damage):
    """Then ids go on above all that were ever reserved."""
    given = use(tmp_path, durability)
    end_all(tmp_path, durability)
    DAMAGE[damage](tmp_path / "spool/counter")
    limit = reserved(tmp_path)
    again = use(tmp_path, durability)
    assert min(again) > limit >= max(given) and len(set(again)) == 3


def test_ids_follow_each_other_while_all_is_well(tmp_path):
    """From process to process and mode to mode in one boot there is no gap."""
    given = []
    for durability in ("full", "full", "fast", "fast", "full", "fast"):
        given += use(tmp_path, durability)
    assert given == list(range(1, 19))


@pytest.mark.parametrize("then", ["full", "fast"])
@pytest.mark.parametrize("name", ["after", None])
def test_a_boot_may_roll_the_fast_counter_back(tmp_path, monkeypatch, then, name):
    """What an unsynced counter says is not believed in another boot, in either mode."""
    boot(monkeypatch, "before")
    given = use(tmp_path, "fast", 1)
    old = (tmp_path / "spool/counter").read_bytes()
    given += use(tmp_path, "fast", 5)
    end_all(tmp_path, "fast")
    (tmp_path / "spool/counter").write_bytes(old)
    boot(monkeypatch, name)
    again = use(tmp_path, then) + use(tmp_path, then)
    assert min(again) > max(given) and len(set(again)) == 6


@pytest.mark.parametrize("then", ["full", "fast"])
@pytest.mark.parametrize("name", ["after", None])
def test_without_a_boot_id_nothing_unsynced_is_believed(tmp_path, monkeypatch, then, name):
    """Where the system does not tell boots apart, each fast id is reserved by itself."""
    boot(monkeypatch, None)
    given = use(tmp_path, "fast", 1)
    old = (tmp_path / "spool/counter").read_bytes()
    given += use(tmp_path, "fast", 5)
    assert reserved(tmp_path) == max(given)
    end_all(tmp_path, "fast")
    (tmp_path / "spool/counter").write_bytes(old)
    boot(monkeypatch, name)
    again = use(tmp_path, then) + use(tmp_path, then)
    assert min(again) > max(given) and len(set(again)) == 6


def test_a_rollback_after_fast_is_not_undone_by_full(tmp_path, monkeypatch):
    """fast, power loss, full, power loss, fast: every step stays above all before."""
    given = []
    for number, durability in enumerate(["fast", "full", "fast", "fast", "full", "full"]):
        boot(monkeypatch, f"boot{number}")
        given += use(tmp_path, durability)
        (tmp_path / "spool/counter").write_bytes(
            b"%016d %016d %20d %s %s\n" % (1, 10**9, -1, b"0" * 12, b"0" * 12)
        )
    assert len(set(given)) == len(given) and given == sorted(given)


@pytest.mark.parametrize("last", [1500, 10**14])
def test_a_counter_beyond_the_reserved_limit_is_not_gone_below(tmp_path, last):
    """A counter of another spool, or edited: ids go on above the limit, and stay sane."""
    use(tmp_path, "full")
    path = tmp_path / "spool/counter"
    path.write_bytes(b"%016d" % last + path.read_bytes()[16:])
    again = use(tmp_path, "full")
    assert min(again) > last and len(set(again)) == 3 and reserved(tmp_path) >= max(again)


def test_a_limit_that_nobody_has_reserved_is_not_believed(tmp_path):
    """A counter beside an older state.json, or edited: no id is given that this does not cover."""
    use(tmp_path, "full")
    path = tmp_path / "spool/counter"
    path.write_bytes(b"%016d %016d" % (1000, 10**9) + path.read_bytes()[33:])
    assert use(tmp_path, "full", 1) == [1001] and reserved(tmp_path) == 2000


def test_what_is_reserved_stays_so_whatever_the_counter_says(tmp_path, monkeypatch):
    """One that was edited has others reserve nothing below it: these ids were given long since."""
    with Spool(tmp_path / "spool") as spool:
        given = [item.id for item in spool.enqueue_many([(b"x", Request())] * 1400).items]
    path = tmp_path / "spool/counter"
    path.write_bytes(b"%016d %016d" % (0, 0) + path.read_bytes()[33:])
    monkeypatch.setattr(SpoolAdmits, "prepare", lambda *_: None)
    with Spool(tmp_path / "spool") as spool:
        spool.enqueue(b"x", priority=1)  # where no older item is in the way
    assert reserved(tmp_path) == 2000 >= max(given)


def test_a_door_that_reserves_nothing_ahead_has_its_ids(tmp_path, few, monkeypatch):
    """It reserves them under the lock, a step at a time."""
    monkeypatch.setattr(SpoolAdmits, "prepare", lambda *_: None)
    with Spool(tmp_path / "spool") as spool:
        for count in range(1, 20):
            assert spool.enqueue(b"x").id == count
            reserves = -(-count // 4) * 4
            assert reserved(tmp_path) == reserves
            assert state.last_given(str(tmp_path / "spool")) == (count, reserves)


def test_a_limit_only_goes_up(tmp_path):
    """Who has reserved fewer ids than others did meanwhile, takes nothing from them."""
    counter = state.Counter(Disk(str(tmp_path), sync=True))
    counter.write(5)
    for limit in (10, 30, 20):
        counter.let_give(limit)
    assert state.last_given(str(tmp_path)) == (5, 30)


def test_the_first_enqueue_of_a_boot_writes_the_state_once(tmp_path, monkeypatch):
    """It begins the boot and reserves the first ids of it, in a new spool as in an old one."""
    written = []
    rename = Disk.rename

    def spy(disk, source, target):
        written.append(target)
        rename(disk, source, target)

    monkeypatch.setattr(Disk, "rename", spy)
    for name in ("before", "after"):
        Spool(tmp_path / "spool").close()
        boot(monkeypatch, name)
        written.clear()
        use(tmp_path, "full", 3)
        assert written.count("state.json") == 1


@pytest.fixture
def few(monkeypatch):
    """Let ids be reserved by fours."""
    monkeypatch.setattr(state, "RESERVE_STEP", 4)


@pytest.fixture
def meanwhile(monkeypatch):
    """Return a function that lets something happen once, before a new state takes its place."""

    def let(happen):
        real, waiting = Disk.write_new, [happen]

        def write_new(disk, path, *args, **options):
            real(disk, path, *args, **options)
            if waiting and path.startswith("tmp/state-"):
                waiting.pop()()

        monkeypatch.setattr(Disk, "write_new", write_new)

    return let


@pytest.mark.parametrize("durability", ["full", "fast"])
def test_whoever_enqueues_in_turn_reserves_in_turn(tmp_path, few, monkeypatch, durability):
    """Across many reservations there is no gap, and nobody syncs under the lock."""
    config = QueueConfig(durability=durability)
    spools = [Spool(tmp_path / "spool", config=config) for _ in range(3)]
    spools[0].enqueue(b"x")
    syncs = []
    for name in ("fsync", "fdatasync"):
        real = getattr(os, name)

        def spy(fd, real=real):
            syncs.append(is_locked(str(tmp_path / "spool/lock")))
            real(fd)

        monkeypatch.setattr(durable.os, name, spy)
    assert [spools[n % 3].enqueue(b"x").id for n in range(40)] == list(range(2, 42))
    assert syncs and not any(syncs)
    assert reserved(tmp_path) == 44


def test_many_at_the_beginning_of_a_boot_wait_for_its_beginning_only(tmp_path, few, monkeypatch):
    """Under the lock the state is written once, with the boot; then ids for all are reserved."""
    spool, locked = Spool(tmp_path / "spool"), []
    real = Disk.sync_dir

    def spy(disk, path):
        locked.append(path == "" and is_locked(str(tmp_path / "spool/lock")))
        real(disk, path)

    monkeypatch.setattr(Disk, "sync_dir", spy)
    spool.enqueue_many([(b"x", Request())] * 9)
    assert sum(locked) == 1 and reserved(tmp_path) == 12


def test_after_a_repair_ids_are_reserved(tmp_path):
    """The counter says so: who comes next need not look whether they are."""
    given = use(tmp_path, "full", 5)
    path = tmp_path / "spool/counter"
    path.write_bytes(b"%016d" % 2 + path.read_bytes()[16:])
    found = list(Check(str(tmp_path / "spool"), 5.0, patience=0.0).run(repair=True))
    assert [finding.kind for finding in found if finding.mended] == ["counter"]
    last, limit = state.last_given(str(tmp_path / "spool"))
    assert max(given) < last < limit == reserved(tmp_path)


def test_a_repair_says_that_items_come_after_others_before_it_links_them(tmp_path, monkeypatch):
    """Once the folder of the links is durable, so is this: whoever enqueues goes by that."""
    with Spool(tmp_path / "spool") as spool:
        spool.enqueue(b"x", after=[spool.enqueue(b"x").id])
    path = tmp_path / "spool/state.json"
    values = json.loads(path.read_text())
    path.write_bytes(to_json({name: values[name] for name in values if name != "after"}))
    shutil.rmtree(tmp_path / "spool/after")
    real, said = Disk.link_text, []

    def link_text(*args, **options):
        said.append(json.loads(path.read_text()).get("after"))
        real(*args, **options)

    monkeypatch.setattr(Disk, "link_text", link_text)
    list(Check(str(tmp_path / "spool"), 5.0, patience=0.0).run(repair=True))
    assert said and all(said)


def test_what_others_change_meanwhile_is_kept(tmp_path, few, meanwhile):
    """The state is looked at again if it is not what it was, so no change of others is lost."""
    one, two = Spool(tmp_path / "spool"), Spool(tmp_path / "spool")
    given = [one.enqueue(b"x").id for _ in range(2)]
    meanwhile(lambda: two.pause("lunch"))
    given.append(one.enqueue(b"x").id)
    assert one.paused is not None and reserved(tmp_path) == 8
    meanwhile(lambda: given.extend(two.enqueue(b"x").id for _ in range(9)))
    given.append(one.enqueue(b"x", after=[1]).id)
    assert given == list(range(1, 14)) and reserved(tmp_path) == 16
    assert one.paused is not None and not os.listdir(tmp_path / "spool/tmp")


def test_what_is_there_before_it_is_durable_is_kept(tmp_path, few, monkeypatch):
    """Who has looked before, and changes the state at that instant, changes the new one."""
    one, two = Spool(tmp_path / "spool"), Spool(tmp_path / "spool")
    one.enqueue_many([(b"x", Request())] * 2)
    two.claim()
    real, waiting = Disk.sync_dir, [two.pause]

    def sync_dir(disk, path):
        if waiting and not path:
            waiting.pop()()
        real(disk, path)

    monkeypatch.setattr(Disk, "sync_dir", sync_dir)
    one.enqueue(b"x", after=[1])
    values = json.loads((tmp_path / "spool/state.json").read_text())
    assert values["after"] and values["reserved_id"] == 8 and values["paused"]


def test_a_full_disk_keeps_nobody_out_for_whom_there_are_ids(tmp_path, few, monkeypatch):
    """What cannot be reserved ahead is missed only when it is needed."""
    spool = Spool(tmp_path / "spool")
    assert spool.enqueue(b"x").id == 1
    real = Disk.write_new

    def full(disk, path, *args, **options):
        if path.startswith("tmp/state-"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        real(disk, path, *args, **options)

    monkeypatch.setattr(Disk, "write_new", full)
    assert [spool.enqueue(b"x").id for _ in range(3)] == [2, 3, 4]
    with pytest.raises(OSError, match="No space left"):
        spool.enqueue(b"x")
    monkeypatch.undo()
    assert spool.enqueue(b"x").id == 5


def test_threads_that_share_a_spool_share_its_ids(tmp_path, few):
    """They reserve at the same time, and each id is given once."""
    spool = Spool(tmp_path / "spool")
    given = []

    def work():
        given.extend(spool.enqueue(b"x", after=given[:1]).id for _ in range(30))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(given) == list(range(1, 121)) and reserved(tmp_path) <= 128


def test_many_ids_cross_reservations_and_blocks(tmp_path):
    """Each reservation comes before its ids; 2500 items in one go keep their order."""
    with Spool(tmp_path / "spool", config=QueueConfig(durability="fast")) as spool:
        admitted = spool.enqueue_many([(b"%d" % n, Request()) for n in range(2500)])
        items, error = admitted.items, admitted.error
        assert error is None and [i.id for i in items] == list(range(1, 2501))
        assert reserved(tmp_path) == 3000
        assert [spool.claim().id for _ in range(2500)] == list(range(1, 2501))
        assert sorted(os.listdir(tmp_path / "spool/pending/05")) == ["0000002"]


def test_nothing_is_written_over_what_lies_there(tmp_path):
    """If all else fails and an id is taken, the new item takes the next that is free."""
    use(tmp_path, "full", 3)
    path = tmp_path / "spool/counter"
    path.write_bytes(b"%016d" % 0 + path.read_bytes()[16:])
    assert use(tmp_path, "full", 2) == [4, 5]


def test_ids_are_safe_before_anybody_can_see_them(tmp_path, monkeypatch):
    """Per enqueue in full: the limit is synced, then the counter says it, then files appear."""
    spool = make_queue("spool-full", tmp_path, Clock())
    steps = []
    for name in ("rename", "overwrite", "sync_dir"):
        method = getattr(Disk, name)

        def spy(self, *args, _name=name, _method=method, **kwargs):
            steps.append((_name, *map(str, args[:2])))
            return _method(self, *args, **kwargs)

        monkeypatch.setattr(Disk, name, spy)
    fsyncs = []
    for name in ("fsync", "fdatasync"):
        real = getattr(os, name)
        monkeypatch.setattr(durable.os, name, lambda fd, real=real: (fsyncs.append(fd), real(fd)))
    spool.enqueue(b"x")

    def place(test):
        return next(n for n, step in enumerate(steps) if test(step))

    limit = place(lambda s: s[0] == "rename" and s[2] == "state.json")
    limit_synced = place(lambda s: s[:2] == ("sync_dir", ""))
    counter = place(lambda s: s[0] == "overwrite" and s[2].split()[0].endswith("1"))
    payload = place(lambda s: s[0] == "rename" and s[2].endswith("0000000001"))
    meta = place(lambda s: s[0] == "rename" and s[2].endswith("0000000001.meta.json"))
    folder = place(lambda s: s[:2] == ("sync_dir", "pending/05/0000000"))
    later = [n for n, s in enumerate(steps) if s[:2] == ("sync_dir", "pending/05/0000000")]
    assert limit < limit_synced < counter < payload < meta < max(later) and folder
    assert fsyncs


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"[]", b"null", b"\xff", b"{}", to_json({"format": 1}),
     to_json({"format": 1, "reserved_id": -1, "boot": None, "aged_at": None}),
     to_json({"format": 1, "reserved_id": True, "boot": None, "aged_at": None}),
     to_json({"format": 1, "reserved_id": 10**16, "boot": None, "aged_at": None}),
     to_json({"format": 1, "reserved_id": 5, "boot": 7, "aged_at": None}),
     to_json({"format": 1, "reserved_id": 5, "boot": None, "aged_at": "yesterday"}),
     to_json({"format": 1, "reserved_id": 5, "boot": None, "aged_at": 5}),
     to_json({"format": 1, "reserved_id": 5, "boot": None, "aged_at": None, "paused": 1})],
)  # fmt: skip
def test_a_damaged_state_is_told_and_nothing_is_changed(tmp_path, text):
    """A wrong state.json is a DamagedStateError naming the file; no id is given on a guess."""
    use(tmp_path, "full")
    path = tmp_path / "spool/state.json"
    path.write_bytes(text)
    with pytest.raises(state.DamagedStateError, match=r"state\.json"):
        use(tmp_path, "full")
    assert path.read_bytes() == text


def test_a_state_that_is_gone_is_not_made_anew(tmp_path):
    """Ids would begin at 1 again, those of what has ended among them: so only a repair makes it."""
    given = use(tmp_path, "full")
    end_all(tmp_path)
    (tmp_path / "spool/state.json").unlink()
    for _ in range(2):
        with pytest.raises(state.DamagedStateError, match=r"state\.json is gone: `pq check --rep"):
            use(tmp_path, "full")
    list(Check(str(tmp_path / "spool"), 5.0).run(repair=True))
    assert min(use(tmp_path, "full")) > max(given)


def test_what_a_newer_pq_wrote_into_the_state_is_kept(tmp_path):
    """Unknown fields of state.json survive every rewrite."""
    use(tmp_path, "full")
    path = tmp_path / "spool/state.json"
    values = json.loads(path.read_text()) | {"from_the_future": {"x": [1]}}
    path.write_bytes(to_json(values))
    with Spool(tmp_path / "spool") as spool:
        spool.pause("x")
        spool.resume()
    use(tmp_path, "fast")
    assert json.loads(path.read_text())["from_the_future"] == {"x": [1]}


def test_the_first_enqueue_of_a_boot_makes_the_folder_that_its_id_is_for(tmp_path, monkeypatch):
    """Ids go on above what was reserved, so no other is made ahead, which nobody needs."""
    use(tmp_path, "full", 1)
    drain(Spool(tmp_path / "spool"))
    boot(monkeypatch, "next")
    with Spool(tmp_path / "spool") as spool:
        assert spool.enqueue_many([(b"x", Request(priority=1))] * 600).items[0].id == 1001
    assert os.listdir(tmp_path / "spool/pending/01") == ["0000001"]
