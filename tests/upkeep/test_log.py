"""The log: what happened lately, derived and bounded; losing it loses no item."""

from __future__ import annotations

import io
import os
from itertools import count

import pytest

from pq_cli import Spool
from pq_cli.core.events import EVENTS
from pq_cli.core.origin import Origin
from pq_cli.spool.disk import layout
from pq_cli.spool.disk import logs as log_module


@pytest.fixture
def spool(tmp_path):
    """A spool whose time goes on, by a second at each look."""
    return Spool(tmp_path / "s", clock=count(1_000_001.0).__next__)


def events(spool):
    """Return (event, id) of the whole log."""
    return [(record["event"], record.get("id")) for record in spool.log()]


def test_every_verb_leaves_its_line(spool):
    """Each event of the table is written by the verb it belongs to, in order, once."""
    a = spool.enqueue(b"a").id
    spool.release(spool.claim())
    spool.renew(spool.claim())
    spool.fail(a, "no")
    spool.retry(a)
    spool.defer(spool.claim(), "later")
    spool.hold(a)
    spool.retry(a)
    spool.change(a, priority=2)
    spool.remove(a)
    spool.restore(a)
    spool.pause("why")
    spool.resume()
    spool.claim(lease=0.5)
    done = spool.done(spool.claim())
    spool.cancel(spool.enqueue(b"c").id)
    with spool.arrivals() as arrivals:
        origin = Origin(realm="elsewhere", name="1")
        arrivals.add(arrivals.receive(io.BytesIO(b"b")), done, origin)
        arrivals.commit()
    names = [event for event, _ in events(spool)]
    assert names == [
        "enqueued", "claimed", "released", "claimed", "failed", "retried", "claimed", "deferred",
        "held", "retried", "changed", "removed", "restored", "paused", "resumed", "claimed",
        "lost", "claimed", "done", "enqueued", "cancelled", "imported",
    ]  # fmt: skip
    assert set(names) == set(EVENTS)


def test_waiting_and_working_times_are_recorded(spool):
    """`waited` is from enqueue to claim, `took` from claim to the end, in seconds."""
    spool.enqueue(b"a", name="report.xml", priority=2)
    spool.done(spool.claim())
    claimed, done = list(spool.log())[1:]
    assert claimed["waited"] == 1.0
    assert done["took"] == 1.0
    assert (done["name"], done["priority"], done["state"]) == ("report.xml", 2, "done")


def test_losing_or_damaging_the_log_harms_nothing(spool):
    """Torn lines and foreign bytes are passed over, a lost log is begun anew."""
    spool.enqueue(b"a")
    path = f"{spool.path}/{layout.LOG}"
    with open(path, "ab") as file:
        file.write(b'{"event": "torn\n\xff\xfe\n[]\n{"no": "event"}\n')
    assert events(spool) == [("enqueued", 1)]
    os.unlink(path)
    assert events(spool) == []
    other = Spool(spool.path)
    other.enqueue(b"b")
    assert events(spool) == [("enqueued", 2)]


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo, lambda path: os.symlink("/", path)])
def test_what_is_no_log_is_named(pq, make):
    """Another thing in its place: the error says which, and what looks at it; nobody waits."""
    pq("init")
    make(pq.spool / "log")
    (line,) = pq("log", expect=74).err.splitlines()
    assert line.startswith(f"pq: {pq.spool}/log: ") and "; `" in line and "None" not in line


def test_a_log_that_cannot_be_written_stops_nothing(spool):
    """A folder in its place, a full disk: the verbs go on, the item is safe."""
    os.mkdir(f"{spool.path}/{layout.LOG}")
    item = spool.enqueue(b"a")
    assert spool.done(spool.claim()).id == item.id


def test_the_log_stays_bounded(spool, monkeypatch):
    """Above the limit the older half goes; several writers agree on which file is the log."""
    monkeypatch.setattr(log_module, "MAX_LOG_BYTES", 4000)
    other = Spool(spool.path)
    for _ in range(60):
        spool.enqueue(b"a")
        other.enqueue(b"b")
        assert os.path.getsize(f"{spool.path}/{layout.LOG}") <= 4000
    seen = [number for _, number in events(spool)]
    assert seen[-1] == 120
    assert seen == list(range(seen[0], 121))
    assert os.listdir(f"{spool.path}/tmp") == []
