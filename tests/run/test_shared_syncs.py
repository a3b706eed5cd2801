"""What is done in a pool shares its sync: it counts at once, and is told when it is durable."""

from __future__ import annotations

import asyncio
import errno
import os
import subprocess
import sys

import pytest
from support import HANG, wait_until

from pq_cli import NoSuchItemError, Spool, TryAgainError, drain
from pq_cli.worker import events

NEVER = 3600.0
"""A wait for company so long that only the end of a pool can end it."""


@pytest.fixture
def spool(tmp_path, monkeypatch):
    """A spool that survives power losses, in pools that sync at their end only."""
    monkeypatch.setattr(events, "SHARED", NEVER)
    return Spool(tmp_path / "spool")


def run(queue, handler, **options):
    return asyncio.run(asyncio.wait_for(drain(queue, handler, **options), HANG))


@pytest.mark.parametrize("kept", [0.0, 60.0])
def test_the_ends_of_many_items_cost_one_sync(spool, monkeypatch, kept):
    """However many are done while one waits, and if they are kept: a handful of syncs for all."""
    spool.config = spool.config.replace(keep_done=kept)
    for number in range(200):
        spool.enqueue(b"%d" % number)
    synced = []
    for name in ("fsync", "fdatasync"):
        real = getattr(os, name)

        def counted(fd, real=real):
            synced.append(os.readlink(f"/proc/self/fd/{fd}"))
            return real(fd)

        monkeypatch.setattr(os, name, counted)
    assert run(spool, lambda item: None, concurrency=4).done == 200
    assert len(synced) <= 5, synced
    assert not os.listdir(f"{spool.path}/active")


def test_what_is_done_counts_at_once_for_everybody(spool):
    """Nobody is served an item, or finds it, because its sync is still to come."""
    spool.enqueue(b"1")
    spool.enqueue(b"2")
    told, seen = [], []

    async def handler(item):
        if item.id == 2:
            with Spool(spool.path) as other, pytest.raises(NoSuchItemError):
                other.get(1)
            seen.append(list(told))

    run(spool, handler, watch=lambda event: told.append((event.kind, event.item.id)))
    assert seen == [[("start", 1)]]
    assert told == [("start", 1), ("end", 1), ("start", 2), ("end", 2)]


def test_an_end_is_told_once_it_is_durable(spool, monkeypatch):
    """Who is told that an item is done may rely on it; events keep their order all the same."""
    for number in range(3):
        spool.enqueue(b"%d" % number)
    happened = []
    real = spool.settle

    def settle():
        happened.append("sync")
        return real()

    monkeypatch.setattr(spool, "settle", settle)
    run(spool, lambda item: None, watch=lambda event: happened.append(event.kind))
    assert happened == ["start", "sync", "end", "start", "end", "start", "end"]
    monkeypatch.setattr(events, "SHARED", 0.0)
    spool.enqueue(b"x")
    happened.clear()
    run(spool, lambda item: None, watch=lambda event: happened.append(event.kind))
    assert happened == ["start", "sync", "end"]


def test_a_sync_comes_soon_while_the_pool_goes_on(spool, monkeypatch):
    """An item that is done is durable soon after, whatever else still runs."""
    monkeypatch.setattr(events, "SHARED", 0.01)
    spool.enqueue(b"short")
    spool.enqueue(b"long")
    durable = asyncio.Event()

    async def handler(item):
        if item.id == 2:
            await durable.wait()

    def watch(event):
        if event.kind == "end":
            durable.set()

    assert run(spool, handler, concurrency=2, watch=watch).done == 2


def test_a_sync_that_fails_ends_the_pool(spool, monkeypatch):
    """What could not be made durable is not told as done; `drain` raises why."""
    spool.enqueue(b"x")
    told = []

    def settle():
        raise OSError(errno.EIO, os.strerror(errno.EIO), "active")

    monkeypatch.setattr(spool, "settle", settle)
    with pytest.raises(OSError, match="Input/output error"):
        run(spool, lambda item: None, watch=lambda event: told.append(event.kind))
    assert told == ["start"]


_PATIENT = f"""
import sys
from pq_cli.cli import main
from pq_cli.worker import events
events.SHARED = {NEVER}
main(sys.argv[1:])
"""


def test_what_a_killed_run_has_left_is_cleared_by_the_next(bench):
    """SIGKILL before the sync: the items stay done, and the next run leaves nothing of them."""
    bench.fill(3)
    command = ["run", "--follow", "--", "sh", "-c", 'echo $PQ_ID >> "$D/ran"']
    argv = [sys.executable, "-c", _PATIENT, *command]
    ran = bench.root / "ran"
    with subprocess.Popen(argv, env=bench.env, cwd=bench.root) as process:
        try:
            wait_until(lambda: ran.exists() and ran.read_text().count("\n") == 3, "all ran")
            wait_until(lambda: bench.states() == {}, "the items are done")
        finally:
            process.kill()
    active = bench.path / "active"
    assert os.listdir(active)
    assert bench.pq("run", "--", "false").returncode in (0, 1)
    assert not os.listdir(active) and bench.states() == {}
    assert ran.read_text().split() == ["1", "2", "3"]
    assert bench.pq("check").returncode == 0


def test_a_sync_that_is_refused_for_now_is_made_later(spool, monkeypatch):
    """As by a server that is restarted: the pool goes on, and nothing is told before it is made."""
    real, refused = Spool.settle, [TryAgainError("gone"), TryAgainError("starting")]

    def settle(queue):
        if refused:
            raise refused.pop()
        return real(queue)

    monkeypatch.setattr(Spool, "settle", settle)
    spool.enqueue(b"1")
    spool.enqueue(b"2")
    assert run(spool, lambda item: None).done == 2 and not refused
