"""What several change at once, or comes first: still nobody who wants the lock waits for a disk."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
import time
from pathlib import Path
from unittest.mock import patch

import pytest
from support import need_tool
from syncs import Trace, past

from pq_cli import Spool
from pq_cli.core.item import State
from pq_cli.queue.request import Request
from pq_cli.spool import replacing


@pytest.mark.parametrize("how", ["its worker is dead", "its lease is over", "it has failed"])
@pytest.mark.parametrize("many", [1, 30])
def test_nobody_waits_for_claims_that_are_taken_back(tmp_path: Path, how: str, many: int) -> None:
    """What becomes of each is written before the lock; of many it is one sync for all."""
    need_tool("strace")
    root = tmp_path / "spool"
    dies = how == "its worker is dead"
    with Spool(root, clock=lambda: time.time() - 1000) as queue:
        attempts = 1 if how == "it has failed" else 3
        queue.enqueue_many([(b"x", Request(max_attempts=attempts))] * many)
        if os.fork() == 0:
            for _ in range(many):
                queue.claim(bound=dies, lease=5000.0 if dies else 10.0)
            os._exit(0)
        os.wait()
    Spool(root).enqueue(b"y", priority=10)  # there is something to claim besides
    trace = Trace(root, ["next", "--claim"])
    assert not trace.under_the_lock
    assert trace.syncs - trace.made <= (2 if many == 1 else 4)
    with Spool(root) as queue:
        taken_back = [item for item in queue.items() if item.history]
    assert len(taken_back) == many and not os.listdir(root / "tmp")


def due_without_folders(root: Path, limit: str | None = None) -> list[int]:
    """Make a spool in which items are due to lanes and blocks that are not there; return their ids.

    In the order in which they are to be served, before a thousand others that wait.
    """
    with Spool(root, clock=past) as queue:
        (root / "queue.toml").write_text("enable_aging = false\n")
        again = queue.enqueue(b"x", priority=6, limit=limit)
        queue.fail(queue.claim(), "no")
        due = [queue.enqueue(b"x", priority=p, delay=9, limit=limit) for p in (9, 3, 7)]
        queue.enqueue_many([(b"x", Request(priority=10))] * 1000)
        due += [queue.enqueue(b"x", priority=p, delay=9, limit=limit) for p in (7, 8)]
    for block in root.glob("pending/06*/*"):
        os.removedirs(block)  # as the next claim that comes by it does
    assert os.listdir(root / "pending") == ["10"]
    return [item.id for item in sorted([again, *due], key=lambda item: (item.priority, item.id))]


@pytest.mark.parametrize("limit", [None, "api"])
def test_nobody_waits_for_the_folders_of_what_is_due(tmp_path: Path, limit: str | None) -> None:
    """They are durable before the lock; nothing is claimed before what is due is there, too."""
    need_tool("strace")
    root, served = tmp_path / "spool", []
    due = due_without_folders(root, limit)
    lane = root / "pending" / ("06" if limit is None else "06@api")
    lane.mkdir()
    lane.chmod(0o1700)  # its maker died before it was durable
    trace = Trace(root, ["next", "--claim"])
    assert trace.made >= 10 and trace.syncs and not trace.under_the_lock
    assert {stat.S_IMODE(f.stat().st_mode) for f in root.glob("pending/**/")} == {0o700}
    with Spool(root) as queue:
        item = next(queue.items([State.ACTIVE]))
        while len(served) < len(due):
            served.append(item.id)
            queue.done(item)
            item = queue.claim()
        assert served == due and item.priority == 10


def test_what_is_due_to_folders_that_are_there_is_read_once(tmp_path: Path) -> None:
    """A burst is brought in under the first lock, and no folder is made or synced."""
    need_tool("strace")
    root = tmp_path / "spool"
    with Spool(root, clock=past) as queue:
        queue.enqueue_many([(b"x", Request())] + [(b"x", Request(delay=9))] * 100)
    trace = Trace(root, ["next", "--claim"], more="openat")
    assert (trace.syncs, trace.made) == (0, 0)
    assert len(re.findall(r"openat\(.*/delayed/.*\.meta\.json", trace.text)) == 100


@pytest.mark.parametrize("command", ["run -- true", "run --log -- false"])
def test_nobody_waits_for_a_worker_that_comes(tmp_path: Path, command: str) -> None:
    """What is over or due then is dealt with as by a claim; the folder of a log need not last."""
    need_tool("strace")
    root = tmp_path / "spool"
    with Spool(root, clock=past) as queue:
        for priority in (5, 6):
            queue.enqueue(b"x", priority=priority + 2, max_attempts=1, delay=9)
            queue.enqueue(b"x", priority=priority, max_attempts=1)
        queue.claim(bound=False, lease=10)
    trace = Trace(root, command.split(), check=False)
    assert trace.made > 2 and trace.syncs and not trace.under_the_lock
    assert Spool(root).count([State.FAILED]) == (1 if command.endswith("true") else 4)


@pytest.mark.parametrize("how", ["its lane", "another lane", "imported"])
def test_no_claim_waits_for_the_folder_of_its_limit(tmp_path: Path, how: str) -> None:
    """It is there as long as a lane of the limit is, however its items have come there."""
    need_tool("strace")
    root = tmp_path / "spool"
    with Spool(root, clock=past) as queue:
        queue.enqueue(b"x", priority=2, limit="api")
        if how == "imported":
            export = [sys.executable, "-m", "pq_cli", "-s", str(root), "export"]
            out = subprocess.run(export, check=True, stdout=subprocess.PIPE, timeout=60).stdout
            Trace(root := tmp_path / "other", ["import"], out)
        else:
            delay, priority = (9, 2) if how == "its lane" else (0, 3)
            queue.enqueue(b"x", priority=priority, limit="api", delay=delay)
            queue.enqueue_many([(b"x", Request(priority=10))] * 1000)
            queue.hold(1)  # the last of its lane, in a block that is not the newest
            assert not (root / "pending" / "02@api").exists()
    trace = Trace(root, ["next", "--claim"])
    assert os.listdir(root / "active" / "limits" / "api") and not trace.under_the_lock


def test_nobody_waits_for_an_item_that_is_raised(spool: Path) -> None:
    """What it becomes was written before the lock; its folder is synced when that is free."""
    need_tool("strace")
    with Spool(spool) as queue:
        raised = queue.enqueue(b"x", key="raise", priority=7).id
    trace = Trace(spool, ["enqueue", "--key", "raise", "--if-exists", "raise", "-p", "2"])
    assert Spool(spool).get(raised).priority == 2
    assert trace.syncs - trace.made <= 3 and not trace.under_the_lock
    assert not os.listdir(spool / "tmp")


REPLACE = ["enqueue", "--key", "replaced", "--if-exists", "replace"]


@pytest.mark.parametrize("options", [[], ["-p", "9"], ["--delay", "100"]])
def test_nobody_waits_for_one_that_takes_the_place_of_another(
    spool: Path, options: list[str]
) -> None:
    """Both folders, and the key, are synced when the lock is free."""
    need_tool("strace")
    with Spool(spool) as queue:
        old = queue.enqueue(b"x", key="replaced", priority=7).id
    trace = Trace(spool, [*REPLACE, *options])
    assert trace.syncs - trace.made <= 5 and not trace.under_the_lock
    with Spool(spool) as queue:
        assert [i.id for i in queue.items() if i.key] == [old + 1]


def test_nobody_waits_for_a_claim_that_ends_what_was_replaced(spool: Path) -> None:
    """Who finds both makes the one durable, and the end of the other, while the lock is free."""
    need_tool("strace")
    with Spool(spool) as queue:
        queue.enqueue(b"x", key="replaced", priority=2)
        with patch.object(replacing, "end_replaced"):
            new = queue.enqueue(b"y", key="replaced", if_exists="replace", priority=1)
    trace = Trace(spool, ["next", "--claim"])
    assert 0 < trace.syncs <= 2 and not trace.under_the_lock
    with Spool(spool) as queue:
        assert [i.id for i in queue.items() if i.key] == [new.id]


@pytest.mark.parametrize("follower", ["goes on", "waits for another", "is followed, too"])
@pytest.mark.parametrize("how", ["done", "done kept", "fail --dead"])
def test_nobody_waits_for_what_those_that_come_after_are_told(
    tmp_path: Path, how: str, follower: str
) -> None:
    """Their new metas and folders, and the mark that they are to be told, are durable before."""
    need_tool("strace")
    root, waits = tmp_path / "spool", follower == "waits for another"
    with Spool(root) as queue:
        first, other = (queue.enqueue(b"x", priority=1) for _ in range(2))
        told = queue.enqueue(b"y", priority=9, after=[first, other] if waits else [first])
        last = queue.enqueue(b"z", after=[told]) if follower == "is followed, too" else None
        assert queue.claim(bound=False).id == first.id
    if how == "done kept":
        (root / "queue.toml").write_text('keep_done = "1d"\n')
    trace = Trace(root, [*how.removesuffix(" kept").split(), "1.1"])
    assert trace.syncs and not trace.under_the_lock
    fell = how == "fail --dead"
    stands = State.FAILED if fell else State.HELD if waits else State.PENDING
    with Spool(root) as queue:
        assert queue.get(told.id).state is stands
        if last is not None:
            assert queue.get(last.id).state is (State.FAILED if fell else State.HELD)
    assert not os.listdir(root / "tmp") and not os.listdir(root / "after" / "untold")


@pytest.mark.parametrize("keep_done", ["0s", "1d"])
def test_nobody_waits_for_a_run_of_items_that_come_after_each_other(
    tmp_path: Path, keep_done: str
) -> None:
    """What is done at once, and survives a power loss later, tells the others at once, too."""
    need_tool("strace")
    root = tmp_path / "spool"
    with Spool(root) as queue:
        first = queue.enqueue(b"x")
        second = [queue.enqueue(b"y", after=[first], priority=n) for n in (7, 8)]
        queue.enqueue(b"z", after=second)
    (root / "queue.toml").write_text(f'keep_done = "{keep_done}"\n')
    trace = Trace(root, ["run", "--", "true"])
    assert trace.syncs and not trace.under_the_lock
    with Spool(root) as queue:
        assert queue.count([State.DONE]) == (4 if keep_done == "1d" else 0)
        assert not len(queue)
    assert not os.listdir(root / "tmp") and not os.listdir(root / "after" / "untold")


@pytest.mark.parametrize("if_failed", ["fail", "hold", "run"])
def test_nobody_waits_for_those_that_come_after_claims_that_are_over(
    tmp_path: Path, if_failed: str
) -> None:
    """Each of them is told once, of all at once; and those that come after them in turn."""
    need_tool("strace")
    root = tmp_path / "spool"
    with Spool(root, clock=past) as queue:
        over = [queue.enqueue(b"x", max_attempts=1) for _ in range(3)]
        told = [queue.enqueue(b"y", after=over[n:], if_failed=if_failed) for n in range(3)]
        last = queue.enqueue(b"z", after=told)
        for _ in over:
            queue.claim(bound=False, lease=10)
    trace = Trace(root, ["next", "--claim"], check=False)  # nothing is left to do, but after "run"
    assert trace.syncs and not trace.under_the_lock
    with Spool(root) as queue:
        failed = 3 + 4 * (if_failed == "fail")
        assert queue.count([State.FAILED]) == failed
        assert queue.get(last.id).state is (State.FAILED if failed > 3 else State.HELD)
        assert queue.count([State.ACTIVE]) == (if_failed == "run")
        heard = [
            event["id"] for event in queue.log() if event["event"] in ("cancelled", "released")
        ]
        assert len(heard) == len(set(heard))
    assert not os.listdir(root / "tmp") and not os.listdir(root / "after" / "untold")


def test_nobody_waits_for_the_folder_of_what_comes_after(spool: Path) -> None:
    """It is synced when the lock is free; and what comes due later is, as all that is enqueued."""
    need_tool("strace")
    with Spool(spool) as queue:
        queue.enqueue(b"x", after=[8])
    trace = Trace(spool, ["enqueue", "--after", "7"])
    assert trace.made == 1 and not trace.under_the_lock


def test_the_first_claim_of_a_limit_waits_for_no_disk(spool: Path) -> None:
    """The folder of what is at work of it was made durable when the item got the limit."""
    need_tool("strace")
    with Spool(spool) as queue:
        queue.enqueue(b"x", priority=1, limit="api")
        queue.enqueue(b"x", delay=500, limit="later")
        queue.change(6, limit="set")
    trace = Trace(spool, ["next", "--claim"])
    at_work = spool / "active" / "limits"
    assert os.listdir(at_work / "api")
    assert (trace.made, trace.syncs) == (0, 0)
    modes = {folder.name: stat.S_IMODE(folder.stat().st_mode) for folder in at_work.iterdir()}
    assert modes == dict.fromkeys(("api", "later", "set"), 0o700)  # sticky until it is durable


def test_the_first_worker_of_a_spool_waits_for_no_disk(spool: Path) -> None:
    """No lock outlasts a boot, so neither need the folder in which they lie."""
    need_tool("strace")
    (spool / "workers").rmdir()
    trace = Trace(spool, ["next", "--", "true"])
    assert trace.made == 1 and trace.syncs == 1 and not trace.under_the_lock


def saved(root: Path) -> dict:
    """Return what the spool's state.json says."""
    return json.loads((root / "state.json").read_bytes())


def test_nobody_waits_for_the_ids_of_many(spool: Path) -> None:
    """Thousands of lines, for which ids are reserved several times: never under the lock."""
    need_tool("strace")
    trace = Trace(spool, ["enqueue", "--lines"], b"line\n" * 3000)
    assert len(Spool(spool)) > 3000 and saved(spool)["reserved_id"] >= 4000
    assert trace.syncs and not trace.under_the_lock


def test_nobody_waits_for_the_ids_of_one(spool: Path) -> None:
    """One in a thousand reserves the next thousand: for two syncs more, long before it must."""
    need_tool("strace")
    with Spool(spool) as queue:
        records = [(b"x", Request())] * 489
        last = queue.enqueue_many(records).items[-1].id
    assert (last, saved(spool)["reserved_id"]) == (500, 1000)
    traces = [Trace(spool, ["enqueue"]) for _ in range(2)]
    assert saved(spool)["reserved_id"] == 2000
    assert [trace.syncs for trace in traces] == [5, 3]
    assert not any(trace.under_the_lock for trace in traces)


def test_nobody_waits_for_the_first_of_a_spool_that_comes_after_another(spool: Path) -> None:
    """That there are such items is made durable before its admission; then it is known."""
    need_tool("strace")
    traces = [Trace(spool, ["enqueue", "--after", "7"]) for _ in range(2)]
    assert saved(spool)["after"]
    assert not any(trace.under_the_lock for trace in traces)
    first, second = (trace.syncs - trace.made for trace in traces)
    assert first == second + 2
