"""The lock, and `pq selftest`: what pq can prove of a file system, it proves; else it refuses."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from crashlab import in_child

from pq_cli import selftest
from pq_cli.errors import CannotCreateError
from pq_cli.spool.disk import durable
from pq_cli.spool.disk.lock import SpoolLock
from pq_cli.spool.spool import Spool


def pq(*args: str) -> subprocess.CompletedProcess:
    """Run `pq`."""
    command = [sys.executable, "-m", "pq_cli", *args]
    return subprocess.run(command, capture_output=True, timeout=60, check=False, input=b"x")


def test_selftest_holds_here_and_leaves_nothing(tmp_path: Path) -> None:
    """`pq selftest` proves four promises on a good file system and cleans up after itself."""
    ran = pq("selftest", str(tmp_path), "--json")
    results = [json.loads(line) for line in ran.stdout.splitlines()]
    assert [r["name"] for r in results] == ["lock", "sync", "contention", "kill"]
    assert all(r["held"] for r in results) and ran.returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_selftest_says_no_directory(tmp_path: Path) -> None:
    """A DIR that is none gets one line and exit 73."""
    ran = pq("selftest", str(tmp_path / "none"))
    assert ran.returncode == 73 and ran.stderr.count(b"\n") == 1


def test_selftest_notices_a_lock_that_does_not_exclude(tmp_path: Path, monkeypatch) -> None:
    """Where flock says yes to everybody, selftest says that it is broken."""
    monkeypatch.setattr(fcntl, "flock", lambda fd, what: None)
    held = {r.name: r.held for r in selftest.run(str(tmp_path))}
    assert held["lock"] is False and held["contention"] is False


def test_selftest_notices_a_sync_that_fails(tmp_path: Path, monkeypatch) -> None:
    """Where a folder cannot be synced, selftest says that it is broken."""

    def no(disk: durable.Disk, path: str) -> None:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(durable.Disk, "sync_dir", no)
    assert {r.name: r.held for r in selftest.run(str(tmp_path))}["sync"] is False


def test_selftest_notices_what_a_kill_loses(tmp_path: Path, monkeypatch) -> None:
    """If an item that has entered could be gone after a kill, the kill trial would say so."""

    def lose(spool: Spool, tell: Callable[[bytes], object]) -> None:
        item = spool.enqueue(b"payload")
        tell(b"in %d\n" % item.id)
        spool.remove(item)

    monkeypatch.setattr(selftest, "serve_one", lose)
    results = {r.name: r for r in selftest.run(str(tmp_path))}
    assert results["kill"].held is False and "lost" in results["kill"].detail


def test_selftest_notices_what_a_kill_tears(tmp_path: Path, monkeypatch) -> None:
    """If a payload could be half there after a kill, the kill trial would say so."""

    def tear(spool: Spool, tell: Callable[[bytes], object]) -> None:
        Path(spool.enqueue(b"payload").path).write_bytes(b"pay")

    monkeypatch.setattr(selftest, "serve_one", tear)
    assert {r.name: r.held for r in selftest.run(str(tmp_path))}["kill"] is False


def test_a_lock_that_does_not_exclude_is_refused(tmp_path: Path, monkeypatch) -> None:
    """On a file system whose flock does not exclude, pq refuses and writes no item."""
    spool = Spool(tmp_path / "s")
    spool.enqueue(b"x")
    spool.close()
    monkeypatch.setattr(fcntl, "flock", lambda fd, what: None)
    with pytest.raises(CannotCreateError, match="no working flock"):
        spool.enqueue(b"y")
    with pytest.raises(CannotCreateError, match="no working flock"):
        Spool(tmp_path / "new")
    assert len(list(spool.items())) == 1


@pytest.mark.parametrize(
    "verb", ["enqueue", "next", "hold 1", "rm 1", "check --repair", "pause",
             "purge --state pending", "run -- true"],
)  # fmt: skip
def test_a_stopped_holder_makes_others_give_up(verb: str, tmp_path: Path) -> None:
    """While a stopped process holds the lock, others end with 75 after --lock-timeout."""
    root = tmp_path / "s"
    Spool(root).enqueue(b"x")
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        with SpoolLock(f"{root}/lock", 5):
            os.write(write_end, b"x")
            signal.pause()
    try:
        os.read(read_end, 1)
        os.kill(pid, signal.SIGSTOP)
        command, *rest = verb.split()
        ran = pq(command, "-s", str(root), "--lock-timeout", "0.3", *rest)
        assert ran.returncode == 75 and b"is locked" in ran.stderr and not ran.stdout
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(read_end)
        os.close(write_end)
    assert not list((root / "tmp").iterdir()), "a staged payload was left behind"
    assert pq(command, "-s", str(root), *rest).returncode == 0


def test_a_removed_lock_is_noticed(tmp_path: Path) -> None:
    """A process that lives on after somebody removed the lock file locks the new one."""
    mine = SpoolLock(f"{tmp_path}/lock", 0.2)
    with mine:
        pass
    (tmp_path / "lock").unlink()

    def other(out: int) -> None:
        with mine:
            try:
                SpoolLock(f"{tmp_path}/lock", 0.2).__enter__()
            except Exception as error:
                os.write(out, type(error).__name__.encode())

    with mine, pytest.raises(Exception, match="is locked"):
        SpoolLock(f"{tmp_path}/lock", 0.1).__enter__()
    assert in_child(other) == (0, b"LockTimeoutError")
