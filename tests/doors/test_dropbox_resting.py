"""Half-written drops: what is taken where the kernel does not say who has a file open."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from queues import Clock
from support import Pq, need_tool, wait_until

from pq_cli import QueueConfig, Spool

NOBODY = 65534
SETTLE = 2.0


@pytest.fixture(autouse=True)
def _untold(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the kernel answer as it does about the files of another owner."""
    real = fcntl.fcntl

    def answer(fd: int, command: int, argument: Any = 0) -> Any:
        if command == fcntl.F_SETLEASE:
            raise OSError(errno.EACCES, "Permission denied")
        return real(fd, command, argument)

    monkeypatch.setattr("fcntl.fcntl", answer)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Give the folder of a new spool."""
    Spool(tmp_path / "q").close()
    return tmp_path / "q"


def changed(path: Path) -> float:
    """Return the second of the last change of a file."""
    return os.stat(path).st_ctime_ns / 1e9


def earlier(path: Path, seconds: float = 60.0) -> None:
    """Set a file's or a folder's mtime back, as if it had been written so much earlier."""
    written = os.stat(path).st_mtime_ns - round(seconds * 1e9)
    os.utime(path, ns=(written, written))


def payloads(queue: Spool) -> list[bytes]:
    """Claim and end everything; return the payloads in order."""
    found = []
    while (item := queue.claim()) is not None:
        found.append(queue.payload(item))
        queue.done(item)
    return found


def test_a_file_written_in_place_is_taken_when_it_has_rested(root: Path) -> None:
    """Each write begins the two seconds anew; after them the file is taken whole."""
    slow, clock = root / "new" / "slow.xml", Clock()
    queue = Spool(root, clock=clock)
    for part in (b"part1", b"part2"):
        with open(slow, "ab") as file:
            file.write(part)
        for rested in (0.0, SETTLE - 0.01):
            clock.now = changed(slow) + rested
            assert payloads(queue) == []
    clock.now = changed(slow) + SETTLE
    assert payloads(queue) == [b"part1part2"]


def test_what_came_by_rename_is_taken_at_once(root: Path) -> None:
    """A file, or a hard link, that was written elsewhere before does not have to rest."""
    for way in (os.rename, os.link):
        elsewhere = root.parent / f"elsewhere-{way.__name__}"
        elsewhere.write_bytes(b"whole")
        earlier(elsewhere, 0.5)
        way(elsewhere, root / "new" / "a")
        clock = Clock(changed(root / "new" / "a"))
        assert payloads(Spool(root, clock=clock)) == [b"whole"]


def test_a_change_of_mode_is_no_rename(root: Path) -> None:
    """A file whose mode its writer sets, before or between two writes, has to rest."""
    for content in (b"", b"part1"):
        file = root / "new" / "a"
        file.write_bytes(content)
        earlier(file)
        earlier(root / "new")
        file.chmod(0o640)
        clock = Clock(changed(file) + SETTLE - 0.01)
        queue = Spool(root, clock=clock)
        assert payloads(queue) == []
        clock.pass_(0.01)
        assert payloads(queue) == [content]


def test_an_empty_file_has_to_rest(root: Path) -> None:
    """One that was just made, and its mode set, looks like one that came by rename."""
    file = root / "new" / "a"
    file.touch()
    earlier(file)
    clock = Clock(changed(file))
    queue = Spool(root, clock=clock)
    assert payloads(queue) == []
    clock.pass_(SETTLE)
    assert payloads(queue) == [b""]


def test_a_clock_that_is_behind_does_not_keep_files_for_ever(root: Path) -> None:
    """Where a server's stamps are ahead of our clock, what this process sees rest has rested."""
    file = root / "new" / "a"
    file.write_bytes(b"part1")
    clock = Clock(changed(file) - 3600)
    queue = Spool(root, clock=clock)
    assert payloads(queue) == []
    clock.pass_(SETTLE)
    file.write_bytes(b"part1part2")
    assert payloads(queue) == []
    clock.pass_(SETTLE)
    assert payloads(queue) == [b"part1part2"]


def test_drop_settle_says_how_long(root: Path) -> None:
    """`drop_settle` in queue.toml is the time; with 0 nothing has to rest."""
    file = root / "new" / "a"
    file.write_bytes(b"x")
    clock = Clock(changed(file) + 3599)
    slow = Spool(root, clock=clock, config=QueueConfig(drop_settle=3600.0))
    assert payloads(slow) == []
    (root / "queue.toml").write_text('drop_settle = "0s"\n')
    clock.now = changed(file)
    assert payloads(Spool(root, clock=clock)) == [b"x"]


def test_a_sidecar_written_in_place_is_waited_for(root: Path) -> None:
    """A file whose sidecar is half-written stays without a word, and gets it when it is whole."""
    sidecar, clock = root / "new" / "a.meta.json", Clock()
    sidecar.write_bytes(b'{"prio')
    elsewhere = root.parent / "elsewhere"
    elsewhere.write_bytes(b"x")
    earlier(elsewhere)
    os.rename(elsewhere, root / "new" / "a")
    clock.now = changed(sidecar) + SETTLE - 0.01
    queue = Spool(root, clock=clock, report=lambda error: pytest.fail(str(error)))
    assert queue.claim() is None
    with open(sidecar, "ab") as file:
        file.write(b'rity": 2}')
    clock.now = changed(sidecar) + SETTLE
    item = queue.claim()
    assert item is not None and item.priority == 2


# -- with another user, and a pq that may not ask about their files --------------------


_WRITER = """
import os, sys
user = int(sys.argv[1])
os.setgroups([])
os.setgid(user)
os.setuid(user)
with open(sys.argv[2], "wb") as file:
    for part in (b"part1", b"part2"):
        file.write(part)
        file.flush()
        print("written", flush=True)
        sys.stdin.readline()
"""


@pytest.fixture
def shared(pq: Pq) -> Iterator[Pq]:
    """Give a spool that everybody may drop into, its files resting an hour."""
    if os.geteuid() != 0:
        pytest.skip("being another user needs root")
    pq("init", "--drop-mode", "1733")
    (pq.spool / "queue.toml").write_text('drop_settle = "1h"\n')
    for path in pq.spool.parents:
        if os.access(path, os.W_OK) and os.stat(path).st_mode & 0o001 == 0:
            path.chmod(os.stat(path).st_mode | 0o001)
    yield pq


def without_lease(pq: Pq, *args: object) -> list[str]:
    """Return the command that runs `pq ARGS` as one who may not ask who has a file open."""
    return [need_tool("setpriv"), "--bounding-set=-lease", "--inh-caps=-lease", *pq.argv(*args)]


@contextmanager
def writing(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Let another user write a file in two parts; a line on its stdin makes it go on."""
    argv = [sys.executable, "-c", _WRITER, str(NOBODY), str(path)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        try:
            yield writer
        finally:
            writer.kill()


def test_a_half_written_file_of_another_user_is_not_torn(shared: Pq) -> None:
    """`run` leaves it while it is written, and gets all of it once it has rested."""
    run = without_lease(shared, "run", "--", "cat")
    slow = shared.spool / "new" / "slow.xml"
    with writing(slow) as writer:
        assert writer.stdin is not None and writer.stdout is not None
        writer.stdout.readline()
        assert subprocess.run(run, env=shared.env, capture_output=True, check=True).stdout == b""
        writer.communicate(b"\n\n")
    assert subprocess.run(run, env=shared.env, capture_output=True, check=True).stdout == b""
    (shared.spool / "queue.toml").write_text('drop_settle = "0s"\n')
    done = subprocess.run(run, env=shared.env, capture_output=True, check=True)
    assert done.stdout == b"part1part2"


def test_who_waits_gets_what_another_user_renames(shared: Pq, tmp_path: Path) -> None:
    """`run --follow` is woken by a file that is renamed in, whoever owns it."""
    seen, box = tmp_path / "seen", shared.spool / "new"
    run = without_lease(shared, "run", "--follow", "--", "sh", "-c", 'cat >>"$1"', "sh", seen)
    with subprocess.Popen(run, env=shared.env, stderr=subprocess.DEVNULL) as worker:
        try:
            for content in (b"one", b"two"):
                file = tmp_path / "elsewhere"
                file.write_bytes(content)
                os.chown(file, NOBODY, NOBODY)
                earlier(file, 0.5)
                os.rename(file, box / "theirs")
                wait_until(lambda c=content: seen.exists() and c in seen.read_bytes(), "it runs")
        finally:
            worker.terminate()
