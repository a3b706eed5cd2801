"""Looking never writes and never locks: on a read-only mount, and for whoever may only read."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support import Pq, need_tool

from pq_cli.commands.table import COMMANDS

NOBODY = 65534
LOOKING = {
    "ls": "ls", "ls --json": "ls --json", "show": "show 1", "cat": "cat 1",
    "wait": "wait 7", "explain": "explain 1",
    "stats": "stats", "stats --json": "stats --json", "stats --prometheus": "stats --prometheus",
    "workers": "workers", "workers --json": "workers --json",
    "log": "log", "check": "check", "check --json": "check --json", "doctor": "doctor",
    "export": "export", "export --tar": "export --tar", "age": "age --dry-run",
    "purge": "purge --state failed --dry-run", "completion": "__complete pq show ''",
}  # fmt: skip
"""What only looks, each with the items that it is about."""
CHANGING = {
    "enqueue", "next", "run", "submit", "done", "fail", "release", "renew", "retry", "set", "hold",
    "cancel", "config", "rm", "undo", "pause", "resume", "init", "import", "migrate", "selftest",
}  # fmt: skip
NOBODY_THERE = {"workers": 1, "workers --json": 1}
"""What ends with another status than 0, for nobody works on that spool."""
GROUP_READS = 5
"""What `check` answers where others may read: it says so, as damage of kind mode."""


@pytest.fixture
def shelf() -> Iterator[Path]:
    """A folder that every user can reach, unlike those that pytest makes."""
    path = Path(tempfile.mkdtemp(prefix="pq-looking-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def filled(shelf: Path) -> Pq:
    """A spool with items in several states, one of them removed, with a log and some lanes."""
    pq = Pq(shelf)
    pq.fill(b"one", b"two", key=None)
    pq.fill(b"later", delay=3600.0)
    pq.fill(b"with a key", key="k", priority=2)
    with pq.api() as spool:
        spool.hold(spool.enqueue(b"held"))
        spool.fail(spool.claim() or 0, "HTTP 500", dead=True)
        spool.remove(spool.enqueue(b"removed"))
        spool.enqueue(b"done", priority=1)
        spool.done(spool.claim() or 0)
    return pq


def without_a_uuid(pq: Pq) -> None:
    """Make the spool one of before: its state.json has no uuid."""
    state = pq.spool / "state.json"
    values = json.loads(state.read_text())
    del values["uuid"]
    state.write_text(json.dumps(values))


def touched(root: Path) -> dict[str, tuple[int, int, int]]:
    """Return path -> what changes when somebody writes."""
    found = {}
    for path in [root, *root.rglob("*")]:
        info = path.lstat()
        found[str(path)] = (info.st_ino, info.st_size, info.st_mtime_ns)
    return found


def read_only(path: Path) -> Callable[[], None]:
    """Mount a folder over itself for reading only; return what ends that."""
    mount = need_tool("mount")
    if os.geteuid() != 0:
        pytest.skip("only root can mount")
    if subprocess.run([mount, "--bind", path, path], check=False).returncode:
        pytest.skip("mounting is not allowed here")
    subprocess.run([mount, "-o", "remount,bind,ro", path], check=True)
    return lambda: subprocess.run(["umount", "-l", path], check=True) and None


def test_every_command_is_judged() -> None:
    """A new command is either one that looks, and is tried here, or one that changes."""
    looking = {words.partition(" ")[0] for words in LOOKING}
    assert looking | CHANGING == set(COMMANDS) and not looking & CHANGING


@pytest.mark.parametrize("old", [False, True], ids=["uuid", "no uuid"])
@pytest.mark.parametrize("name", LOOKING)
def test_on_a_read_only_mount(filled: Pq, name: str, old: bool) -> None:
    """A snapshot can be looked at, checked and exported; a spool of before there was a uuid too."""
    if old:
        without_a_uuid(filled)
    status = NOBODY_THERE.get(name, 0)
    wanted = filled(*LOOKING[name].split(), expect=status)
    end = read_only(filled.spool)
    try:
        with pytest.raises(OSError, match="Read-only"):
            (filled.spool / "x").touch()
        ran = filled(*LOOKING[name].split(), expect=status)
        assert "Read-only" not in ran.err
        assert bool(ran.out) is bool(wanted.out)
    finally:
        end()


@pytest.mark.parametrize("name", LOOKING)
def test_while_somebody_holds_the_lock(filled: Pq, name: str) -> None:
    """No lock is waited for and nothing is written: not a byte, not a time, not a name."""
    without_a_uuid(filled)
    before = touched(filled.spool)
    with open(filled.spool / "lock", "rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        filled(*LOOKING[name].split(), expect=NOBODY_THERE.get(name, 0))
    assert touched(filled.spool) == before


def runs_here(user: dict[str, object]) -> bool:
    """Tell whether this Python is one that another user can run."""
    argv = [sys.executable, "-c", "import pq_cli"]
    try:
        return subprocess.run(argv, check=False, capture_output=True, **user).returncode == 0
    except PermissionError:
        return False


@pytest.mark.others
@pytest.mark.parametrize("name", LOOKING)
def test_for_a_user_who_may_only_read(filled: Pq, name: str) -> None:
    """Who may read can look at everything; only check and doctor say that this is not as it was."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    without_a_uuid(filled)
    subprocess.run(["chmod", "-R", "a+rX", filled.spool], check=True)
    reader = {"user": NOBODY, "group": NOBODY, "extra_groups": [], "cwd": "/"}
    if not runs_here(reader):
        pytest.skip("other users cannot run this Python")
    before = touched(filled.spool)
    expect = {"check": GROUP_READS, "doctor": 1, "workers": 1}.get(name.partition(" ")[0], 0)
    ran = filled(*LOOKING[name].split(), expect=expect, **reader)
    assert "denied" not in ran.err
    if name == "check --json":
        assert {json.loads(line)["kind"] for line in ran.out.splitlines()} == {"mode"}
    assert touched(filled.spool) == before


@pytest.mark.others
def test_workers_are_seen_by_whoever_may_only_read(filled: Pq) -> None:
    """On a read-only mount, and by another user: who lives, who died and on what they work."""
    claim = "import os, sys; from pq_cli import *; q = Spool(sys.argv[1]); q.claim();"
    argv = [sys.executable, "-c", claim + "os.kill(os.getpid(), 9)", filled.spool]
    assert subprocess.run(argv, check=False).returncode == -9
    with filled.api() as spool:
        attendance = spool.attend()  # takes over: what died is claimed anew below
        spool.claim()
        died = subprocess.run(argv, check=False)
        assert died.returncode == -9
        subprocess.run(["chmod", "-R", "a+rX", filled.spool], check=True)
        before = touched(filled.spool)
        wanted = sorted(["working", "died"])
        assert sorted(worker.state(spool.now()) for worker in spool.workers()) == wanted
        if os.geteuid() == 0:
            reader = {"user": NOBODY, "group": NOBODY, "extra_groups": [], "cwd": "/"}
            if runs_here(reader):
                ran = filled("workers", **reader)
                assert sorted(line.split("\t")[3] for line in ran.text.splitlines()) == wanted
        assert touched(filled.spool) == before
        end = read_only(filled.spool)
        try:
            ran = filled("workers")
            assert sorted(line.split("\t")[3] for line in ran.text.splitlines()) == wanted
        finally:
            end()
        attendance.close()


def test_an_old_spool_is_the_same_one_at_every_export(filled: Pq, tmp_path: Path) -> None:
    """Without a uuid: what was exported twice is imported once, wherever it is then."""
    without_a_uuid(filled)
    copies = [filled("export").out for _ in range(2)]
    other = Pq(tmp_path)
    assert len(other("import", stdin=copies[0]).words) == 5
    assert "5 had come before" in other("import", stdin=copies[1]).err
    other.spool = tmp_path / "third"
    other.env["PQ_SPOOL"] = str(other.spool)
    other("import", stdin=copies[0])
    filled("export", "--move", "--", "false", expect=6)
    assert "uuid" in json.loads((filled.spool / "state.json").read_text())
    moved = filled.spool.rename(filled.folder / "elsewhere")
    filled.env["PQ_SPOOL"] = str(moved)
    assert "5 had come before" in other("import", stdin=filled("export").out).err


def test_a_spool_has_its_uuid_from_the_start(pq: Pq) -> None:
    """Two spools never share one, and it stays: through changes, and when state.json is rebuilt."""
    pq.fill(b"x")
    first = json.loads((pq.spool / "state.json").read_text())["uuid"]
    pq("pause")
    pq("resume")
    assert json.loads((pq.spool / "state.json").read_text())["uuid"] == first
    assert json.loads(pq("export").out.splitlines()[0])["spool"] == first
    (pq.spool / "state.json").write_text("?")
    pq("check", "--repair")
    assert json.loads((pq.spool / "state.json").read_text())["uuid"] not in (first, None)
