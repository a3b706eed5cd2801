"""`SPOOL/lock` is the lock that filelock and flock(1) know: whoever holds it keeps pq out."""

from __future__ import annotations

import os
import subprocess
import time

import filelock
import pytest
from queues import snapshot
from support import need_tool

from pq_cli import LockTimeoutError, Spool, host


@pytest.fixture
def spool(tmp_path):
    """A spool that waits for its lock no longer than a moment."""
    made = Spool(tmp_path / "spool", lock_timeout=0.05)
    made.enqueue(b"x")
    return made


def lock_of(spool):
    return filelock.FileLock(f"{spool.path}/lock", timeout=0.05)


def meanwhile(spool, do):
    """Return another object on the spool that does something each time it holds the lock."""

    def clock():
        do()
        return time.time()

    return Spool(spool.path, lock_timeout=0.05, clock=clock)


def test_filelock_keeps_pq_out(spool):
    """Changing waits for the lock timeout and then gives up; looking waits for nobody."""
    with lock_of(spool):
        for verb in (spool.claim, lambda: spool.enqueue(b"y"), lambda: spool.remove(1)):
            with pytest.raises(LockTimeoutError, match=r"waited 0\.05s for .*/lock"):
                verb()
        assert len(snapshot(spool)) == len(spool) == 1
        assert os.listdir(f"{spool.path}/tmp") == []
    assert spool.claim().id == 1


def test_pq_keeps_filelock_out(spool):
    """While pq changes the spool, filelock waits in vain; afterwards it gets the lock."""
    other = lock_of(spool)

    def try_it():
        with pytest.raises(filelock.Timeout):
            other.acquire()

    assert meanwhile(spool, try_it).claim().id == 1
    with other:
        pass


def test_two_spools_of_one_process_exclude_each_other(spool):
    """A second object waits like a second process."""
    second = Spool(spool.path, lock_timeout=0.05)

    def try_it():
        with pytest.raises(LockTimeoutError):
            second.claim()

    assert meanwhile(spool, try_it).claim().id == 1
    assert second.claim() is None


@pytest.mark.parametrize("brief", [True, False])
def test_with_and_without_the_library_the_lock_is_one(spool, monkeypatch, brief):
    """A process that makes one change and one that stays exclude each other, both ways."""
    other = Spool(spool.path, lock_timeout=0.05)

    def try_it():
        monkeypatch.setattr(host, "brief", not brief)
        with pytest.raises(LockTimeoutError):
            other.claim()
        monkeypatch.setattr(host, "brief", brief)

    monkeypatch.setattr(host, "brief", brief)
    assert meanwhile(spool, try_it).claim().id == 1
    monkeypatch.setattr(host, "brief", not brief)
    assert other.claim() is None


def test_flock_keeps_pq_out(spool):
    """An operator's `flock SPOOL/lock` stops all changes while it lasts."""
    code = "echo held; read line"
    holder = subprocess.Popen(
        [need_tool("flock"), f"{spool.path}/lock", "sh", "-c", code],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(LockTimeoutError):
        spool.claim()
    holder.communicate(b"\n")
    assert spool.claim().id == 1


def test_a_lock_file_that_was_removed_still_excludes(spool):
    """Who holds a removed file's lock locks nobody out: pq takes the file that is there."""
    spool.claim()
    os.unlink(f"{spool.path}/lock")

    def try_it():
        with pytest.raises(LockTimeoutError):
            spool.claim()

    assert meanwhile(spool, try_it).claim() is None
    assert spool.claim() is None
