"""Faults: each system call of each verb fails in turn; and disks that are full indeed."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import crashlab
import pytest
import verbs
from support import need_tool
from survived import TALLY
from test_kill_sweep import known_ids, verify
from verbs import NOW, VERBS

from pq_cli.errors import PqError
from pq_cli.opened import os_error_status
from pq_cli.spool.disk import durable
from pq_cli.spool.spool import Spool

CODES = [errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EACCES, errno.EMFILE]


def fails_at(name: str, world: Path, call: int, code: int) -> tuple[bool, list[int]]:
    """Do a verb whose `call`-th change fails; return (whether one failed, the ids told)."""
    seen = 0

    def hook(_name: str, real: object, args: tuple, kwargs: dict) -> object:
        nonlocal seen
        seen += 1
        if seen == call:
            raise OSError(code, os.strerror(code), args[0] if isinstance(args[0], str) else None)
        return real(*args, **kwargs)

    try:
        with crashlab.hooked(hook):
            told = verbs.act(name, world)
    except OSError as error:
        assert error.errno == code, error
        assert str(world) in str(error.filename), f"{name}: {error!r} names nothing"
        assert os_error_status(error) == (77 if code == errno.EACCES else 74)
        told = []
    except PqError as error:
        raise AssertionError(f"{name}: {error}") from error
    return seen >= call, told


@pytest.mark.parametrize("name", VERBS)
def test_every_call_fails_once(name: str, scratch: Path) -> None:
    """Whatever call fails: the error says so, nothing is lost or half there, pq goes on."""
    template, world = scratch / "template", scratch / "world"
    verbs.prepare(name, template)
    codes = CODES if os.environ.get("PQ_LONG") else None
    for call in range(1, 500):
        for code in codes or [CODES[call % len(CODES)]]:
            verbs.copy(name, template, world)
            failed, told = fails_at(name, world, call, code)
            TALLY["system calls that failed"] += failed
            if (world / "spool" / "state.json").exists():
                verify(world, name, told, died=failed)
        if not failed:
            return
    pytest.fail("the verb never came to its end")


@pytest.mark.parametrize(
    "name",
    ["enqueue", "enqueue delayed", "enqueue keyed", "enqueue file", "enqueue raise",
     "enqueue --after", "enqueue --after failed"],
)  # fmt: skip
def test_an_enqueue_that_failed_left_nothing(name: str, scratch: Path) -> None:
    """An enqueue that reports an error leaves no item and no payload behind, nor in `tmp/`."""
    template, world = scratch / "template", scratch / "world"
    verbs.prepare(name, template)
    before = known_ids(template / "spool")
    for call in range(1, 500):
        verbs.copy(name, template, world)
        failed, told = fails_at(name, world, call, errno.ENOSPC)
        if not failed:
            return
        if not told:
            assert known_ids(world / "spool") == before
            left = {f.kind for f in verbs.findings(str(world / "spool"))}
            assert left <= {"empty", "key", "follower"} and not os.listdir(world / "spool" / "tmp")


@contextmanager
def mounted(tmp_path: Path, options: str) -> Iterator[Path]:
    """Give a file system of its own; only root can make one."""
    need_tool("mount")
    if os.geteuid() != 0:
        if os.environ.get("CI"):
            pytest.fail("CI runs as root")
        pytest.skip("only root can mount")
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"{options},mode=700", "tmpfs", str(disk)]
    if subprocess.run(mount, check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    with mounted(tmp_path, "size=1m") as disk:
        yield disk


@pytest.fixture
def no_inodes(tmp_path: Path) -> Iterator[Path]:
    """A spool of 30 items and more on a file system that has no inode left."""
    with mounted(tmp_path, "size=3m,nr_inodes=120") as disk:
        spool = Spool(disk / "spool")
        with pytest.raises(OSError, match="No space left"):
            while True:
                spool.enqueue(b"x")
        spool.close()
        for n in range(int(os.statvfs(disk).f_ffree)):
            (disk / f"rest{n}").touch()
        yield disk / "spool"


def pq(root: Path, *args: str, stdin: bytes = b"") -> subprocess.CompletedProcess:
    """Run `pq` on a spool."""
    command = [sys.executable, "-m", "pq_cli", args[0], "-s", str(root), *args[1:]]
    return subprocess.run(command, input=stdin, capture_output=True, timeout=60, check=False)


def test_a_full_disk(small_disk: Path) -> None:
    """On a full disk enqueue fails clearly and leaves nothing; what is there can be drained."""
    root = small_disk / "spool"
    told = []
    for _ in range(50):
        ran = pq(root, "enqueue", stdin=b"x" * 50_000)
        if ran.returncode:
            break
        told += ran.stdout.split()
    assert ran.returncode == 74 and b"No space left" in ran.stderr and ran.stderr.count(b"\n") == 1
    fill_up(small_disk)
    lines = pq(root, "enqueue", "--lines", stdin=b"a\nb\nc\n")
    assert lines.returncode == 74 and not lines.stdout
    assert not list((root / "tmp").iterdir())
    assert len(pq(root, "ls").stdout.splitlines()) == len(told)
    drained = []
    for _ in told:
        claim = pq(root, "next", "--claim")
        assert claim.returncode == 0, claim.stderr
        assert pq(root, "done", claim.stdout.decode().strip()).returncode == 0
        drained.append(claim.stdout.split(b".")[0])
    assert drained == told
    (small_disk / "rest").unlink()
    assert pq(root, "enqueue", stdin=b"again").returncode == 0
    assert pq(root, "check").returncode == 0


def fill_up(disk: Path) -> None:
    """Leave no block free."""
    with open(disk / "rest", "wb", buffering=0) as rest:
        for size in (65536, 4096, 1):
            try:
                while rest.write(b"x" * size):
                    pass
            except OSError:
                pass
    assert os.statvfs(disk).f_bfree == 0


def test_logs_never_take_the_last_room(small_disk: Path) -> None:
    """Without blocks a talkative command that fails is settled as it said; its logs give way."""
    root = small_disk / "spool"
    with Spool(root) as spool:
        for _ in range(20):
            spool.enqueue(b"x")
    fill_up(small_disk)
    ran = pq(root, "run", "--log", "--", "sh", "-c", 'seq 3000; [ "$PQ_ID" = 7 ] || exit 100')
    assert ran.returncode == 6
    assert b"1.1: its log was not kept: " + os.fsencode(root) in ran.stderr
    assert ran.stderr.count(b"exit 100: 3000") == 19
    with Spool(root) as spool:
        assert [str(item.state) for item in spool.items()] == ["failed"] * 19
    (small_disk / "rest").unlink()
    assert pq(root, "check").returncode == 0


def test_the_events_never_take_the_last_room(small_disk: Path) -> None:
    """Without blocks the log of what happened stops growing before the spare is used up."""
    root = small_disk / "spool"
    with Spool(root, clock=lambda: NOW) as spool:
        spool.enqueue(b"x", name="n" * 200)
        fill_up(small_disk)
        for _ in range(300):
            item = spool.claim()
            assert item is not None
            spool.release(item)
        assert spool.get(1).claims == 300


@pytest.mark.parametrize(
    "verb",
    [
        "run -- true",
        "run -j4 -- true",
        "run --log --max 5 -- false",
        "next -- true",
        "next -- false",
        "rm 2 3 4",
        "purge --state failed",
        "hold 2 3",
        "set 2 --priority 1",
        "pause",
    ],
)
def test_a_disk_without_inodes(no_inodes: Path, verb: str) -> None:
    """Without inodes each verb of those who work or clear up goes on, and then the others do."""
    root = no_inodes
    assert pq(root, "enqueue", stdin=b"x").returncode == 74
    assert os.statvfs(root).f_ffree == 0
    with Spool(root) as spool:
        spool.fail(spool.claim(), dead=True)
    ran = pq(root, *verb.split())
    assert ran.returncode == (6 if "false" in verb else 0), ran.stderr
    for other in ("rm 9", "rm 10", "hold 11", "resume", "run -- true"):
        ran = pq(root, *other.split())
        assert ran.returncode == 0 or b"there is no item" in ran.stderr, ran.stderr
    with Spool(root) as spool:
        assert {str(item.state) for item in spool.items()} <= {"held", "failed", "delayed"}
    assert pq(root, "enqueue", stdin=b"again").returncode == 0
    assert pq(root, "check").returncode == 0


def test_many_failures_on_a_disk_without_inodes(no_inodes: Path) -> None:
    """Failures at many times share folders: they leave the room that a worker needs."""
    now = 1_900_000_000.0
    with Spool(no_inodes, clock=lambda: now, jitter=lambda: 0.0) as spool:
        waits = []
        for _ in range(30):
            now += 2.0
            waits.append((spool.fail(spool.claim()).not_before or 0.0) - now)
        assert all(30 <= seconds <= 90 for seconds in waits)
    assert pq(no_inodes, "run", "--", "true").returncode == 0
    assert pq(no_inodes, "check").returncode == 0


def test_many_removals_on_a_disk_without_inodes(no_inodes: Path) -> None:
    """What is removed frees nothing for a day, and yet leaves the room that a worker needs."""
    with Spool(no_inodes) as spool:
        for item in list(spool.items())[:25]:
            spool.remove(item)
        assert len(list(spool.removed())) == 1
    assert b"the disk has nearly no inodes left" in pq(no_inodes, "doctor").stdout
    assert pq(no_inodes, "run", "--", "true").returncode == 0
    assert pq(no_inodes, "undo").returncode == 0


@pytest.mark.parametrize("keyed", [False, True])
def test_a_batch_cut_short_by_a_full_disk_is_synced(tmp_path: Path, monkeypatch, keyed) -> None:
    """Records that a full disk cut off from their batch are as durable as any that are told."""
    from pq_cli.queue.request import Request

    spool = Spool(tmp_path / "s", clock=lambda: NOW)
    synced, fsync = set(), os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.add(os.fstat(fd).st_ino), fsync(fd)))
    monkeypatch.setattr(os, "fdatasync", os.fsync)
    write_new, calls = durable.Disk.write_new, 0

    def full(disk: durable.Disk, path: str, data: bytes, **options: object) -> None:
        nonlocal calls
        payload = path.startswith(("tmp/in-", "tmp/bulk-")) and not path.endswith(".json")
        calls += payload
        if calls == 4 and payload:
            raise OSError(errno.ENOSPC, "No space left on device")
        write_new(disk, path, data, **options)

    monkeypatch.setattr(durable.Disk, "write_new", full)
    records = [(b"x", Request(key=f"key {n}" if keyed else None)) for n in range(20)]
    admitted = spool.enqueue_many(records)
    items, error = admitted.items, admitted.error
    assert len(items) == 3 and error is not None
    for item in items:
        for path in (item.path, f"{item.path}.meta.json", os.path.dirname(item.path)):
            assert os.stat(path).st_ino in synced, f"told, but never synced: {path}"


@pytest.mark.parametrize("code", [errno.EACCES, errno.EINVAL, errno.EROFS, errno.EIO])
def test_a_spool_may_be_made_where_something_is_mounted(tmp_path: Path, monkeypatch, code) -> None:
    """What its mount point lies in need not be a file system that syncs folders, as squashfs is
    not; a disk that fails is told of."""
    place = tmp_path / "mounted"
    place.mkdir()
    sync_dir = durable.Disk.sync_dir

    def fails(disk: durable.Disk, path: str) -> None:
        if disk.root == str(tmp_path):
            raise OSError(code, os.strerror(code), disk.root)
        sync_dir(disk, path)

    monkeypatch.setattr(durable.Disk, "sync_dir", fails)
    if code == errno.EIO:
        with pytest.raises(OSError, match="Input/output error"):
            Spool(place)
    else:
        assert Spool(place).enqueue(b"x").id == 1


@pytest.mark.parametrize("left", ["a", "a/b", "a/b/s"])
def test_a_folder_that_its_dead_maker_has_left_on_the_way_is_made_durable(
    tmp_path: Path, monkeypatch, left
) -> None:
    """It died before it had synced the entry: with the folder all that is in it would be gone."""
    (tmp_path / left).mkdir(parents=True)
    synced = set()
    sync_dir = durable.Disk.sync_dir

    def spy(disk: durable.Disk, path: str) -> None:
        synced.add(os.path.join(disk.root, path).rstrip("/"))
        sync_dir(disk, path)

    monkeypatch.setattr(durable.Disk, "sync_dir", spy)
    Spool(tmp_path / "a/b/s")
    assert str((tmp_path / left).parent) in synced
