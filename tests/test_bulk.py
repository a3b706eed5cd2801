"""Many records at once: the same items as one by one, and nothing left where it is cut short."""

from __future__ import annotations

import errno
import os
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from queues import START, Clock, make_queue, plain, snapshot

from pq_cli import Spool, host
from pq_cli.errors import UsageError
from pq_cli.queue.request import Request
from pq_cli.spool.check.check import Check
from pq_cli.spool.disk import ahead, durable, layout

requests = st.builds(
    Request,
    priority=st.none() | st.sampled_from([2, 7]),
    delay=st.none() | st.sampled_from([0.0, 5.0, 7.5]),
    name=st.none() | st.sampled_from(["a", '"id":0,"size":0,"checksum":null,', "\udcff"]),
    metadata=st.none() | st.just({"size": 0, "checksum": None}),
)
records = st.lists(st.tuples(st.binary(max_size=5), requests), min_size=8, max_size=40)


def damage(root):
    """Return what `check` finds in a spool, stale files in `tmp/` included."""
    return list(Check(str(root), 5.0, stale_after=-1.0, patience=0.0).run(repair=False))


def read(queue, name):
    """Return what a file of the spool holds."""
    with open(f"{queue.path}/{name}", "rb") as file:
        return file.read()


@pytest.fixture
def small_blocks(monkeypatch):
    """Make blocks so small that a batch fills several."""
    monkeypatch.setattr(layout, "BLOCK_SIZE", 7)


@pytest.mark.parametrize("durability", ["full", "fast"])
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(batches=st.lists(records, min_size=1, max_size=3))
def test_a_batch_is_what_its_records_are_one_by_one(small_blocks, scratch, durability, batches):
    """Priorities, delays, names and metadata mixed: every item, its place and order are the same.

    Also for those who do not remember: the files say what the process believes. And the log tells
    the same of both.
    """
    folder = Path(tempfile.mkdtemp(dir=scratch))
    os.mkdir(folder / "one")
    bulk = make_queue(f"spool-{durability}", folder, Clock())
    single = make_queue(f"spool-{durability}", folder / "one", Clock())
    for batch in batches:
        admitted = bulk.enqueue_many(batch)
        items, error = admitted.items, admitted.error
        assert error is None
        ones = [single.enqueue(data, **vars(request)) for data, request in batch]
        assert [plain(item) for item in items] == [plain(item) for item in ones]
        assert [bulk.payload(item) for item in items] == [data for data, _ in batch]
    other = Spool(bulk.path, config=bulk.config, clock=Clock())
    assert snapshot(bulk) == snapshot(single) == snapshot(other)
    told = [read(queue, layout.LOG).split(b"\n")[1:] for queue in (bulk, single)]
    assert told[0] == told[1]  # behind the line that says from which number it counts
    assert os.listdir(f"{bulk.path}/tmp") == [] and damage(bulk.path) == []
    order = []
    while (item := bulk.claim()) is not None:
        order.append((item.id, single.claim().id))
    assert all(a == b for a, b in order) and single.claim() is None


@pytest.mark.parametrize("durability", ["full", "fast"])
def test_a_bad_record_ends_its_batch(tmp_path, durability):
    """What came before it is in, it and what came after are not, and nothing lies about."""
    queue = make_queue(f"spool-{durability}", tmp_path, Clock())
    batch = [(b"x", Request())] * 10 + [(b"x", Request(priority=11))] + [(b"x", Request())] * 5
    admitted = queue.enqueue_many(batch)
    items, error = admitted.items, admitted.error
    assert [item.id for item in items] == list(range(1, 11)) and isinstance(error, UsageError)
    assert len(queue) == 10 and os.listdir(f"{queue.path}/tmp") == [] and damage(queue.path) == []


@pytest.mark.parametrize("durability", ["full", "fast"])
@pytest.mark.parametrize("which", ["payload", "meta"])
def test_a_rename_that_fails_ends_the_batch_there(tmp_path, monkeypatch, durability, which):
    """On a disk that stops in the middle what came before is in and told; nothing lies about."""
    queue = make_queue(f"spool-{durability}", tmp_path, Clock())
    queue.enqueue(b"first")
    rename, calls = durable.Disk.rename, 0

    def failing(disk, source, target):
        nonlocal calls
        calls += target.startswith("pending/") and target.endswith(".json") == (which == "meta")
        if calls == 4:
            calls += 1
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        rename(disk, source, target)

    monkeypatch.setattr(durable.Disk, "rename", failing)
    admitted = queue.enqueue_many([(b"x", Request())] * 20)
    items, error = admitted.items, admitted.error
    assert [item.id for item in items] == [2, 3, 4] and isinstance(error, OSError)
    assert len(queue) == 4 and os.listdir(f"{queue.path}/tmp") == []
    assert not [found for found in damage(queue.path) if found.kind != "empty"]
    assert len(queue.enqueue_many([(b"x", Request())] * 20).items) == 20


@pytest.mark.parametrize("durability", ["full", "fast"])
def test_an_id_that_is_taken_is_passed_over(tmp_path, durability):
    """If all else fails and a file lies where a record should go, it takes an id that is free."""
    queue = make_queue(f"spool-{durability}", tmp_path, Clock())
    queue.enqueue(b"first")
    stray = f"{queue.path}/pending/05/0000000/0000000004"
    with open(stray, "wb") as file:
        file.write(b"not to be lost")
    admitted = queue.enqueue_many([(b"%d" % n, Request()) for n in range(9)])
    items, error = admitted.items, admitted.error
    assert error is None and [i.id for i in items] == [2, 3, *range(5, 11), 11]
    with open(stray, "rb") as file:
        assert file.read() == b"not to be lost"
    assert sorted(queue.payload(item) for item in items) == [b"%d" % n for n in range(9)]
    assert [i.path for i in items] == [queue.get(i).path for i in items]


def test_a_batch_is_synced_before_its_metas_appear(tmp_path):
    """In full: nothing of it has to be proven in another boot."""
    queue = make_queue("spool-full", tmp_path, Clock())
    items = queue.enqueue_many([(b"whole", Request())] * 8).items
    assert {item.written_boot for item in items} == {None}


def test_what_the_sync_of_many_payloads_lost_is_not_promised(tmp_path, monkeypatch):
    """It runs while their metas are written, and the one behind it need not know of its error."""
    sync, failing = durable.Disk.sync_file_system, [OSError(errno.EIO, os.strerror(errno.EIO))]

    def first_fails(disk):
        if failing:
            raise failing.pop()
        sync(disk)

    monkeypatch.setattr(durable.Disk, "sync_file_system", first_fails)
    queue = make_queue("spool-full", tmp_path, Clock())
    many = [(b"x", Request())] * ahead.MANY
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        queue.enqueue_many(many)
    assert len(queue) == 0 and os.listdir(f"{queue.path}/tmp") == []
    assert len(queue.enqueue_many(many).items) == len(many)


def test_many_enter_where_no_thread_is_to_be_had(tmp_path, monkeypatch):
    """Under a limit of processes they are synced all the same: behind their metas."""

    def none_left(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", none_left)
    queue = make_queue("spool-full", tmp_path, Clock())
    assert len(queue.enqueue_many([(b"x", Request())] * ahead.MANY).items) == ahead.MANY


def test_what_a_power_loss_tore_is_not_served(tmp_path, monkeypatch):
    """A fast batch is never synced: in another boot each payload is proven first."""
    queue = make_queue("spool-fast", tmp_path, Clock())
    items = queue.enqueue_many([(b"whole", Request())] * 8).items
    with open(items[0].path, "wb") as file:
        file.write(bytes(5))
    monkeypatch.setattr(host, "known_boot", (os.getpid(), "another/boot"))
    told = []
    later = Spool(queue.path, config=queue.config, clock=Clock(), report=told.append)
    assert later.claim().id == 2 and "checksum" in str(told[0])


def test_a_limited_queue_takes_what_fits_of_a_batch(tmp_path):
    """The items before the one for which there is no room are in."""
    limited = make_queue("spool-fast", tmp_path, Clock(), max_items=5)
    admitted = limited.enqueue_many([(b"x", Request())] * 8)
    items, error = admitted.items, admitted.error
    assert len(items) == 5 and error is not None and items[0].created_at == START
