"""What a process remembers of the lanes: kept while others only take, right whatever they do."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from queues import Clock, make_queue
from support import HANG

from pq_cli import Spool
from pq_cli.errors import NoSuchItemError
from pq_cli.queue.request import Request
from pq_cli.spool.check.check import Check
from pq_cli.spool.disk import layout
from pq_cli.spool.disk.durable import Disk
from pq_cli.spool.disk.logs import AttemptLogs
from pq_cli.spool.disk.spare import Spare

WAITING = 6
"""Items of priority 5 that wait from the start, ids 1 and up; 1 and 2 are taken at once."""


@pytest.fixture
def clock() -> Clock:
    """A clock that stands."""
    return Clock()


@pytest.fixture
def pair(tmp_path: Path, clock: Clock) -> tuple[Spool, Spool]:
    """Two processes' views of one spool; both remember the lane, and the other has written last."""
    one, other = (make_queue("spool-full", tmp_path, clock, backoff=0.0) for _ in range(2))
    one.enqueue_many([(b"x", Request())] * WAITING)
    one.fail(one.enqueue(b"x", priority=1) and one.claim(), dead=True)
    assert one.claim(lease=50, bound=False).id == 1
    assert other.claim(lease=500, bound=False).id == 2
    return one, other


def _dropped(other: Spool) -> None:
    Path(other.path, "new", "5.late").write_bytes(b"x")
    meta = Path(other.path, "new", "5.late.meta.json")
    meta.write_text('{"priority": 1}')
    assert other.claim(bound=False).id == 8
    other.release(8)


def _brought_back(other: Spool) -> None:
    other.remove(7)
    other.restore(7)
    other.retry(7)


FAILED = 7
ARRIVALS: dict[str, tuple[Callable[[Spool], object], int]] = {
    "enqueue": (lambda q: q.enqueue(b"x", priority=1), 8),
    "enqueue --lines": (lambda q: q.enqueue_many([(b"x", Request(priority=1))]), 8),
    "raise": (
        lambda q: [q.enqueue(b"x", key="k", priority=p, if_exists="raise") for p in (9, 1)], 8
    ),
    "release": (lambda q: q.release("1.1"), 1),
    "fail": (lambda q: q.fail("2.1"), 2),
    "defer": (lambda q: q.defer("2.1"), 2),
    "retry": (lambda q: q.retry(FAILED), FAILED),
    "undo": (_brought_back, FAILED),
    "set priority": (lambda q: q.change(6, priority=1), 6),
    "the drop box": (_dropped, 8),
    "taken only": (lambda q: q.done(q.claim(bound=False)), 4),
    "rm": (lambda q: q.remove(3), 4),
    "hold": (lambda q: q.hold(3), 4),
}  # fmt: skip


@pytest.mark.parametrize("verb", ARRIVALS)
def test_what_others_bring_is_served_in_its_place(pair: tuple[Spool, Spool], verb: str) -> None:
    """Whichever verb of another process brings or takes an item: the next claim is right."""
    one, other = pair
    act, expected = ARRIVALS[verb]
    act(other)
    assert one.claim(bound=False).id == expected


def test_what_others_delay_comes_due(pair: tuple[Spool, Spool], clock: Clock) -> None:
    """A first look found nothing delayed; what another process delays since is served in time."""
    one, other = pair
    other.enqueue(b"x", priority=1, delay=10)
    assert one.claim(bound=False).id == 3
    clock.pass_(11)
    assert one.claim(bound=False).id == 8


def test_a_claim_that_others_let_lapse_is_served(pair: tuple[Spool, Spool], clock: Clock) -> None:
    """The lease of one ends; another process takes it back, and puts it off in its lane."""
    one, other = pair
    clock.pass_(60)
    assert other.claim(bound=False).id == 1
    other.release(1)
    assert one.claim(bound=False).id == 1


def test_what_others_pause_is_paused(pair: tuple[Spool, Spool]) -> None:
    """The spool's own state is read again when another process has changed it."""
    one, other = pair
    other.pause()
    assert one.claim() is None
    other.resume()
    assert one.claim(bound=False).id == 3


def test_what_a_repair_brings_home_is_served(pair: tuple[Spool, Spool]) -> None:
    """What lay where nobody looks for it, and was brought to its lane by `pq check --repair`."""
    one, other = pair
    lane = Path(one.path, "pending/05")
    (lane / "0000007").mkdir(mode=0o700)
    for name in ("0000000003", "0000000003.meta.json"):
        (lane / "0000000" / name).rename(lane / "0000007" / name)
    assert (other.claim(bound=False).id, one.claim(bound=False).id) == (4, 5)
    assert [f.kind for f in Check(one.path, HANG).run(repair=True) if f.mended] == ["misplaced"]
    assert one.claim(bound=False).id == 3


def test_a_claim_that_others_renewed_stays_renewed(pair: tuple[Spool, Spool], clock: Clock) -> None:
    """Who made it remembers another lease; what it changes of the item leaves the new one."""
    one, other = pair
    other.renew("1.1", 900)
    one.change(1, max_attempts=7)
    assert one.get(1).lease_until == clock.now + 900


def test_a_child_changes_what_its_parent_renewed(pair: tuple[Spool, Spool], clock: Clock) -> None:
    """After fork both would remember the claim, and each believe that nobody else does."""
    one, _ = pair
    goes, starts = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.read(goes, 1)
            one.change(1, max_attempts=7)
        finally:
            os._exit(0)
    one.renew("1.1", 900)
    os.write(starts, b"x")
    os.waitpid(pid, 0)
    assert (one.get(1).lease_until, one.get(1).max_attempts) == (clock.now + 900, 7)


def test_a_claim_that_others_ended_is_over(pair: tuple[Spool, Spool]) -> None:
    """Who made it remembers it, and looks whether it still stands."""
    one, other = pair
    other.done("1.1")
    with pytest.raises(NoSuchItemError):
        one.done("1.1")


@pytest.mark.parametrize("full", [True, False])
def test_what_others_remember_of_room_and_logs_is_marked(tmp_path: Path, full: bool) -> None:
    """Before a piece of the spare is given up, or the first log comes, others are to look again."""
    disk, marks = Disk(str(tmp_path), sync=False), []
    disk.tell_others = lambda: marks.append(sorted(os.listdir(tmp_path)))
    spare, logs = Spare(disk), AttemptLogs(disk, lambda: True)
    spare.keep()
    left = [1, 0] if full else [0]

    def takes_room() -> None:
        if left.pop(0):
            raise OSError(errno.ENOSPC, "full")

    spare.behind(takes_room)
    logs.write(1, 1, b"a")
    logs.write(1, 2, b"b")
    assert marks == [["spare", "spares"]] * (2 if full else 1)


def test_lanes_are_listed_once_while_others_only_take(
    pair: tuple[Spool, Spool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes that claim and end in turns list no block of a lane."""
    listed: list[str] = []
    real = os.listdir

    def listing(path: str) -> list[str]:
        listed.append(path)
        return real(path)

    monkeypatch.setattr(os, "listdir", listing)
    for queue, expected in zip((*pair, *pair), (3, 4, 5, 6), strict=True):
        item = queue.claim(bound=False)
        assert item.id == expected
        queue.done(item)
    assert not [path for path in listed if "/pending" in path or "/delayed" in path]


def test_a_block_that_several_emptied_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who takes the last of it believes that another one is left; who comes by next does not."""
    monkeypatch.setattr(layout, "BLOCK_SIZE", 3)
    one, other = (make_queue("spool-fast", tmp_path, Clock()) for _ in range(2))
    one.enqueue_many([(b"x", Request())] * 6)
    lane = tmp_path / "spool/pending/05"
    assert [one.claim().id for _ in range(3)] == [1, 2, 3]
    other.remove(5)
    assert [one.claim().id for _ in range(2)] == [4, 6]
    assert os.listdir(lane) == ["0000002"]


@pytest.mark.parametrize("verb", ["enqueue", "release", "retry"])
def test_who_dies_in_between_is_noticed(pair: tuple[Spool, Spool], verb: str) -> None:
    """Killed right after its item came to its lane: the next claim of another process gets it."""
    one, other = pair
    act, expected = ARRIVALS[verb]
    pid = os.fork()
    if pid == 0:
        rename = os.rename

        def last_rename(source: str, target: str) -> None:
            rename(source, target)
            if "/pending/" in target and target.endswith(".meta.json"):
                os.kill(os.getpid(), signal.SIGKILL)

        os.rename = last_rename
        try:
            act(other)
        finally:
            os._exit(1)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status)
    assert one.claim(bound=False).id == expected


def test_a_meta_that_could_not_be_read_is_tried_again(pair: tuple[Spool, Spool]) -> None:
    """It was passed over; mended by hand, it is seen once others have written."""
    one, other = pair
    meta = Path(one.path, "pending/05/0000000/0000000003.meta.json")
    text = meta.read_bytes()
    meta.write_bytes(b"?")
    assert one.claim(bound=False).id == 4
    meta.write_bytes(text)
    other.done("2.1")
    assert one.claim(bound=False).id == 3


def test_a_payload_that_was_away_is_tried_again(pair: tuple[Spool, Spool]) -> None:
    """Its item was passed over; brought back by hand, it is served once others have written."""
    one, other = pair
    payload = Path(one.path, "pending/05/0000000/0000000003")
    payload.rename(payload.with_suffix(".away"))
    assert one.claim(bound=False).id == 4
    payload.with_suffix(".away").rename(payload)
    other.done("2.1")
    assert one.claim(bound=False).id == 3
