"""`pq migrate`: every sample into a real spool by the real command, and what can go wrong."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest
from support import die_at, unpack

from pq_cli import Spool, State
from pq_cli.core.timefmt import format_time
from pq_cli.migrate.importing import Import, reader_for, realm_of
from pq_cli.migrate.order import Ordered
from pq_cli.migrate.removal import Removal
from pq_cli.spool.disk.durable import Disk
from pq_cli.transfer.scratch import Taken

STATES = (State.PENDING, State.HELD, State.FAILED, State.DONE)
WRITES = (
    (os, ("rename", "unlink", "rmdir", "mkdir", "fsync", "symlink")),
    (Disk, ("write_new", "receive", "append_lines")),
)
"""Every write of an import."""


def pq(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run the real command."""
    command = [sys.executable, "-m", "pq_cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def by_id(spool: Path) -> list[Any]:
    """Return every item of a spool by id."""
    return sorted(Spool(spool, create=False).items(), key=lambda item: item.id)


def tree(root: Path) -> dict[str, tuple[bytes, int]]:
    """Return path -> (content, mtime) of every file below a folder."""
    return {
        str(p.relative_to(root)): (p.read_bytes(), p.lstat().st_mtime_ns)
        for p in sorted(root.rglob("*"))
        if p.is_file() and not p.is_symlink()
    }


def events(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    """Return what `--json` printed."""
    return [json.loads(line) for line in done.stdout.splitlines()]


def run_all(sample: Any, spool: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return pq("migrate", sample.root, "-s", spool, "--tz", "Europe/Oslo", "--json", *more)


def as_expected(sample: Any, item: Any, max_attempts: int | None) -> dict[str, Any]:
    """Return an item of the spool in the terms of expected.json."""
    migrated = item.metadata["migrated"]
    home = os.path.realpath(sample.root)
    payload = Path(item.path).read_bytes()
    return {
        "source": [sample.path(os.path.relpath(path, home)) for path in migrated["source"]],
        "payload_sha256": hashlib.sha256(payload).hexdigest(),
        "payload_size": item.size,
        "priority": item.priority,
        "state": str(item.state),
        "created_at": format_time(item.created_at),
        "attempts": item.attempts,
        "max_attempts": max_attempts if max_attempts is None else item.max_attempts,
        "last_error": item.last_error,
        "legacy_id": migrated["id"],
        "custom": item.metadata["legacy"].get("custom", {}),
    }


def test_every_sample_enters_as_it_should(sample: Any, tmp_path: Path) -> None:
    """Every item of every older queue is in the spool, in its order, with its bytes and facts."""
    before = tree(sample.root)
    done = run_all(sample, tmp_path / "q", "--include-done")
    wanted = [{"custom": {}, **item} for item in sample.expected["items"]]
    for item in wanted:
        item.pop("note", None)
    items = by_id(tmp_path / "q")
    assert [item.id for item in items] == list(range(1, len(wanted) + 1))
    found = [
        as_expected(sample, item, want["max_attempts"])
        for item, want in zip(items, wanted, strict=True)
    ]
    assert found == wanted
    left = {sample.path(e["path"]): e["reason"] for e in events(done) if e["action"] == "leave"}
    assert left == {r["path"]: r["reason"] for r in sample.expected["reported"]}
    assert done.returncode == (65 if left else 0), done.stderr
    assert tree(sample.root) == before, "the source is never changed"


def test_done_items_stay_unless_asked_for(sample: Any, tmp_path: Path) -> None:
    """Done items enter with --include-done only; a second run takes what the first one left."""
    counts = sample.expected["counts"]["by_state"]
    total = sample.expected["counts"]["items"]
    run_all(sample, tmp_path / "q")
    assert len(by_id(tmp_path / "q")) == total - counts.get("done", 0)
    run_all(sample, tmp_path / "q", "--include-done")
    run_all(sample, tmp_path / "q", "--include-done")
    items = by_id(tmp_path / "q")
    assert len(items) == total
    assert sum(item.state is State.DONE for item in items) == counts.get("done", 0)


def test_move_takes_away_exactly_what_entered(sample: Any, tmp_path: Path) -> None:
    """With --move the files of items are gone afterwards, and every reported file is as it was."""
    spare = tmp_path / "src"
    archive = Path(__file__).parent / "samples" / sample.expected["archive"]
    with tarfile.open(archive) as tar:
        unpack(tar, spare)
    root = spare / sample.expected["root"]
    before = tree(root)
    done = pq("migrate", root, "-s", tmp_path / "q", "--tz", "Europe/Oslo", "--move",
              "--include-done")  # fmt: skip
    prefix = sample.expected["root"] + "/"
    left = {r["path"].removeprefix(prefix) for r in sample.expected["reported"]}
    still = {path: content for path, content in before.items() if path in left}
    assert tree(root) == still, done.stderr
    assert len(by_id(tmp_path / "q")) == sample.expected["counts"]["items"]


def test_what_is_left_after_a_move_is_not_taken_for_something_else(
    sample: Any, tmp_path: Path
) -> None:
    """After --move a second run takes nothing: the leftovers are read as what they belong to."""
    with tarfile.open(Path(__file__).parent / "samples" / sample.expected["archive"]) as tar:
        unpack(tar, tmp_path / "src")
    root = tmp_path / "src" / sample.expected["root"]
    arguments = ("migrate", root, "-s", tmp_path / "q", "--move", "--include-done", "--force")
    pq(*arguments)
    before = [item.id for item in by_id(tmp_path / "q")]
    again = pq(*arguments)
    assert "0 items imported" in again.stderr
    assert [item.id for item in by_id(tmp_path / "q")] == before


def test_dry_run_shows_and_does_nothing(sample: Any, tmp_path: Path) -> None:
    """--dry-run lists every item and every file left, and makes no spool."""
    done = pq("migrate", sample.root, "-s", tmp_path / "q", "--dry-run", "--include-done")
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    counts = sample.expected["counts"]
    assert [row[0] for row in rows].count("import") == counts["items"]
    assert [row[0] for row in rows].count("leave") == counts["reported"]
    assert not (tmp_path / "q").exists()


def _old_queue(root: Path, count: int) -> None:
    root.mkdir()
    order = list(range(count))
    random.Random(count).shuffle(order)
    for number in order:
        (root / f"n{number:02d}.queued").write_text(f"payload {number}")
        os.utime(root / f"n{number:02d}.queued", (0, 1_600_000_000 + number))
    (root / "n01.meta.json").write_text('{"priority": 2}')


def _import(root: Path, spool: Path, *, move: bool) -> None:
    """Import as the command does, in small batches."""
    queue = Spool(spool)
    reader = reader_for(root, None, queue)
    with (
        Ordered(reader.read(root, None)) as ordered,
        queue.arrivals() as arrivals,
        Taken(queue, realm_of(root)) as taken,
        Removal(root, ordered) as removal,
    ):
        gone = removal if move else None
        work = Import(root, reader.name, arrivals, taken, gone, 3, time.time())
        for _ in work.run(ordered, include_done=False):
            pass


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("move", [False, True])
def test_killed_at_any_step_nothing_is_lost_or_doubled(
    scratch: Path, monkeypatch: pytest.MonkeyPatch, move: bool, after: bool
) -> None:
    """Killed at each single write, with a worker in between, a second run takes the rest, once."""
    monkeypatch.setattr("pq_cli.spool.doors.arrivals.MOST", 3)
    step, died = 0, True
    while died:
        step += 1
        root, spool = scratch / f"src{step}", scratch / f"q{step}"
        _old_queue(root, 5)
        Spool(spool).close()
        died = die_at(step, after, lambda a=root, b=spool: _import(a, b, move=move), *WRITES)
        served = []
        queue = Spool(spool)
        while (item := queue.claim()) is not None:  # what has entered is served and gone
            served.append(queue.payload(item).decode())
            queue.done(item)
        _import(root, spool, move=move)
        while (item := queue.claim()) is not None:
            served.append(queue.payload(item).decode())
            queue.done(item)
        assert sorted(served) == [f"payload {n}" for n in range(5)], (step, after)
        assert not list((spool / "imports").glob("*/*")), step
        if move:
            assert not os.listdir(root), step
    assert step > 20


def test_interrupted_by_a_signal_it_goes_on(tmp_path: Path) -> None:
    """kill -9 of the real command at whatever instant: run again, each item is there once."""
    root = tmp_path / "src"
    root.mkdir()
    for number in range(3000):
        (root / f"{number:05d}").write_text(str(number))
    command = [sys.executable, "-m", "pq_cli", "migrate", str(root), "-s", str(tmp_path / "q")]
    for delay in (0.35, 0.6, 0.9):
        child = subprocess.Popen(
            [*command, "--force"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            child.wait(delay)
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGKILL)
            child.wait()
    assert pq(*command[3:], "--force").returncode == 0
    queue = Spool(tmp_path / "q")
    payloads = [queue.payload(item) for item in by_id(tmp_path / "q")]
    assert sorted(payloads) == sorted(str(n).encode() for n in range(3000))


def test_shuffled_listing_gives_the_same_spool(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the folder's listing order, every item gets the same id."""
    root = tmp_path / "src"
    _old_queue(root, 40)
    results = []
    real = os.scandir
    for seed in (None, 1, 2):

        class Shuffled:
            def __init__(self, path: str, seed: int | None = seed) -> None:
                entries = sorted(real(path), key=lambda entry: entry.name)
                if seed is not None:
                    random.Random(seed).shuffle(entries)
                self._entries = iter(entries)

            def __enter__(self) -> Any:
                return self._entries

            def __exit__(self, *_: object) -> None:
                pass

        monkeypatch.setattr(os, "scandir", Shuffled)
        _import(root, tmp_path / f"q{seed}", move=False)
        monkeypatch.setattr(os, "scandir", real)
        results.append([(i.id, i.name, i.priority) for i in by_id(tmp_path / f"q{seed}")])
    assert results[0] == results[1] == results[2]
    assert [name for _, name, _ in results[0]] == [f"n{n:02d}" for n in range(40)]


def test_a_source_in_use_is_refused(tmp_path: Path) -> None:
    """While a process has a file of the source open, nothing is imported without --force."""
    root = tmp_path / "src"
    _old_queue(root, 2)
    with open(root / "n00.queued") as held:
        child = subprocess.Popen(["sleep", "60"], stdin=held)
    try:
        done = pq("migrate", root, "-s", tmp_path / "q")
        assert done.returncode == 4
        assert "is in use" in done.stderr and str(child.pid) in done.stderr
        assert not (tmp_path / "q").exists()
        assert pq("migrate", root, "-s", tmp_path / "q", "--force").returncode == 0
        assert len(by_id(tmp_path / "q")) == 2
    finally:
        child.kill()
        child.wait()


def test_a_neighbour_in_use_is_not_the_source(tmp_path: Path) -> None:
    """A process in the folder `src.old` does not keep `src` from being imported."""
    _old_queue(tmp_path / "src", 2)
    (tmp_path / "src.old").mkdir()
    folder = os.open(tmp_path / "src.old", os.O_RDONLY)
    child = subprocess.Popen(["sleep", "60"], stdin=folder)
    os.close(folder)
    try:
        assert pq("migrate", tmp_path / "src", "-s", tmp_path / "q").returncode == 0
    finally:
        child.kill()
        child.wait()


def test_folders_in_one_another_are_refused(tmp_path: Path) -> None:
    """A source inside the spool, or the spool inside the source, is refused, links seen through."""
    root = tmp_path / "src"
    _old_queue(root, 1)
    (tmp_path / "alias").symlink_to(root)
    for spool in (root / "q", root, tmp_path / "alias" / "q", tmp_path):
        done = pq("migrate", root, "-s", spool, "--force")
        assert done.returncode == 2 and "lie in one another" in done.stderr, spool
    assert sorted(os.listdir(root)) == ["n00.queued", "n01.meta.json"]


def test_a_full_disk_stops_it_cleanly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ENOSPC while copying ends the run with that error; what was in stays in, and nothing else."""
    monkeypatch.setattr("pq_cli.spool.doors.arrivals.MOST", 2)
    root = tmp_path / "src"
    _old_queue(root, 5)
    real = Disk.receive
    calls = []

    def full(self: Disk, stream: Any, path: str) -> Any:
        calls.append(path)
        if len(calls) == 4:
            raise OSError(28, "No space left on device")
        return real(self, stream, path)

    monkeypatch.setattr(Disk, "receive", full)
    with pytest.raises(OSError, match="No space"):
        _import(root, tmp_path / "q", move=True)
    assert len(by_id(tmp_path / "q")) == 2
    assert not (tmp_path / "q" / "imports" / "batch").exists()
    assert len([n for n in os.listdir(root) if n.endswith(".queued")]) == 3
    _import(root, tmp_path / "q", move=True)
    assert len(by_id(tmp_path / "q")) == 5 and not os.listdir(root)


def test_two_imports_at_once_are_refused(tmp_path: Path) -> None:
    """While one import runs, a second one into the same spool ends with 75 and takes nothing."""
    root = tmp_path / "src"
    _old_queue(root, 2)
    with Spool(tmp_path / "q").arrivals():
        done = pq("migrate", root, "-s", tmp_path / "q", "--force")
    assert done.returncode == 75 and "another import" in done.stderr
    assert not by_id(tmp_path / "q")


def test_a_full_queue_stops_and_goes_on(tmp_path: Path) -> None:
    """With max_items the import stops with 75 when the queue is full, and later goes on."""
    root, spool = tmp_path / "src", tmp_path / "q"
    _old_queue(root, 5)
    queue = Spool(spool)
    (spool / "queue.toml").write_text("max_items = 3\n")
    assert pq("migrate", root, "-s", spool, "--force").returncode == 75
    assert [item.name for item in by_id(spool)] == ["n00", "n01", "n02"]
    for item in by_id(spool):
        queue.remove(item)
    assert pq("migrate", root, "-s", spool, "--force").returncode == 0
    assert [item.name for item in by_id(spool)] == ["n03", "n04"]


def test_hostile_names_enter_whole(tmp_path: Path) -> None:
    """Names with line breaks, escapes or bytes that are not UTF-8 enter, and print on one line."""
    root = tmp_path / "src"
    root.mkdir()
    names = [b"a\nb", b"\x1b[31mred", b"not\xffutf8", b"-rf", b"sp ace", "ünï".encode()]
    for name in names:
        (root / os.fsdecode(name)).write_bytes(name)
    (root / "link").symlink_to("/etc/passwd")
    os.mkfifo(root / "pipe\n2")
    done = pq("migrate", root, "-s", tmp_path / "q", "--from", "plain", "--force")
    assert done.returncode == 65
    assert len(done.stderr.splitlines()) == 4 and "\x1b" not in done.stderr, done.stderr
    assert "left: link: not-a-file" in done.stderr
    items = by_id(tmp_path / "q")
    assert sorted(os.fsencode(item.name) for item in items) == sorted(names)
    assert all(Path(item.path).read_bytes() == os.fsencode(item.name) for item in items)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--tz", "Mars/Olympus"], "--tz 'Mars/Olympus'"),
        (["--tz", "../../etc/passwd"], "--tz"),
        (["--from", "sqs"], "sqs"),
    ],
)
def test_bad_arguments_name_themselves(tmp_path: Path, arguments: list[str], words: str) -> None:
    """A wrong --tz or --from is named on one line, exit 2, and nothing is made."""
    root = tmp_path / "src"
    _old_queue(root, 1)
    done = pq("migrate", root, "-s", tmp_path / "q", *arguments)
    assert done.returncode == 2 and words in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "q").exists()


def test_metadata_that_does_not_fit_leaves_the_item(tmp_path: Path) -> None:
    """An item whose old metadata is larger than an item can hold is reported, not cut."""
    root = tmp_path / "src"
    _old_queue(root, 2)
    (root / "n00.meta.json").write_text(json.dumps({"priority": 1, "note": "x" * 300_000}))
    done = pq("migrate", root, "-s", tmp_path / "q", "--force")
    assert done.returncode == 65 and "n00.queued: metadata-too-large" in done.stderr
    assert [item.name for item in by_id(tmp_path / "q")] == ["n01"]


def test_a_file_reused_for_something_new_enters_again(tmp_path: Path) -> None:
    """Another file under a name that was imported before is another item."""
    root = tmp_path / "src"
    _old_queue(root, 1)
    _import(root, tmp_path / "q", move=False)
    (root / "n00.queued").write_text("something new")
    _import(root, tmp_path / "q", move=False)
    _import(root, tmp_path / "q", move=False)
    assert [Path(i.path).read_text() for i in by_id(tmp_path / "q")] == [
        "payload 0",
        "something new",
    ]


MANY = 200_000 if os.environ.get("PQ_LONG") else 6_000


# A process starts with the peak of the one that forked it, and this one may be large by now.
_MEASURE = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""


def _peak_kib(root: Path, spool: Path) -> int:
    command = [sys.executable, "-m", "pq_cli", "migrate", str(root), "-s", str(spool), "--force"]
    between = [sys.executable, "-c", _MEASURE, *command]
    return int(subprocess.run(between, check=True, capture_output=True).stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in other units elsewhere")
def test_memory_is_flat_to_the_end(tmp_path: Path) -> None:
    """A whole import of many takes no more memory than one of few, but for fixed caches."""
    for count in (10, MANY):
        root = tmp_path / f"src{count}"
        root.mkdir()
        for number in range(count):
            (root / f"r{number:07d}").write_text(str(number))
    few = _peak_kib(tmp_path / "src10", tmp_path / "q10")
    many = _peak_kib(tmp_path / f"src{MANY}", tmp_path / f"q{MANY}")
    again = _peak_kib(tmp_path / f"src{MANY}", tmp_path / f"q{MANY}")
    assert max(many, again) < few + 20 * 1024 and max(many, again) < 100 * 1024
