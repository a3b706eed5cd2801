"""`pq ls` as a real process: order, filters, streaming, and that it only looks."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support import HANG, Pq

from pq_cli import Spool


def ids(pq: Pq, *args: object) -> list[int]:
    """Return the ids that `pq ls ARGS` lists."""
    return [int(line.split("\t")[0]) for line in pq("ls", *args).text.splitlines()]


@pytest.fixture
def full(pq: Pq) -> Pq:
    """A spool with items in every state: 1 active, 2 failed, 3 to 5 pending, 6, 7 delayed, 8 held,
    9 done."""
    pq("init")
    (pq.spool / "queue.toml").write_text('keep_done = "1d"\n')
    with pq.api() as spool:
        spool.enqueue(b"", priority=1, name="active")
        spool.claim(bound=False)
        spool.enqueue(b"", priority=1)
        spool.fail(spool.claim() or 0, "no", dead=True)
        spool.enqueue(b"", priority=7, key="job-b")
        spool.enqueue(b"", priority=2, key="job-a")
        spool.enqueue(b"abc", priority=7, name="a name")
        spool.enqueue(b"", delay=7200)
        spool.enqueue(b"", delay=3600)
        spool.hold(spool.enqueue(b""))
        item = spool.enqueue(b"", priority=1)
        spool.done(spool.claim() or 0)
        assert item.id == 9
    return pq


def test_order(full: Pq) -> None:
    """Active first, then pending as they would be served, delayed by due time, held, failed."""
    assert ids(full) == [1, 4, 3, 5, 7, 6, 8, 2]
    assert ids(full, "--state", "done") == [9]
    assert ids(full, "--state", "failed,pending", "--state", "held") == [4, 3, 5, 8, 2]


def test_pending_order_is_the_order_of_next(full: Pq) -> None:
    """What `ls` lists as pending is what `next` then gives, in that order, aged items included."""
    with Spool(full.spool, clock=lambda: 1_000_000_000.0) as spool:
        spool.enqueue(b"", priority=6)  # so old that it has aged to 2
    listed = ids(full, "--state", "pending")
    assert listed == [4, 10, 3, 5]
    assert [int(full("next", "--claim").text.split(".")[0]) for _ in listed] == listed


def test_due_items_are_pending(pq: Pq) -> None:
    """A delayed item whose time has come is listed as pending, in its place, and not moved."""
    pq("init")
    with Spool(pq.spool, clock=lambda: 1_000_000_000.0) as spool:
        spool.enqueue(b"", delay=60)
    pq.fill(b"")
    before = pq.tree()
    assert [line.split("\t")[:2] for line in pq("ls").text.splitlines()] == [
        ["1", "pending"],
        ["2", "pending"],
    ]
    assert pq.tree() == before


def test_columns(full: Pq) -> None:
    """In a pipe: nine columns, tab-separated, no header and no decoration."""
    line = next(line for line in full("ls").text.splitlines() if line.startswith("5\t"))
    columns = line.split("\t")
    created = columns.pop(4)
    assert columns == ["5", "pending", "7", "7", "0", "3", "", "a name"]
    assert created.endswith("Z")
    assert "\x1b" not in full("ls").text


def test_json(full: Pq) -> None:
    """`--json`: one object a line, also on a terminal."""
    items = [json.loads(line) for line in full("ls", "--json").out.splitlines()]
    assert [item["id"] for item in items] == [1, 4, 3, 5, 7, 6, 8, 2]
    assert items[0]["claim"] == "1.1"
    assert {"effective", "path", "metadata"} <= set(items[1])
    shown = full.on_terminal("ls", "--json").splitlines()
    assert [json.loads(line)["id"] for line in shown] == [item["id"] for item in items]


def test_filters(full: Pq) -> None:
    """`--priority`, `--key GLOB`, `--older-than` and `-n` choose; nothing chosen is exit 1."""
    assert ids(full, "-p", 7) == [3, 5]
    assert ids(full, "--key", "job-*") == [4, 3]
    assert ids(full, "--older-than", "0s") == [1, 4, 3, 5, 7, 6, 8, 2]
    assert ids(full, "-n", 2) == [1, 4]
    assert ids(full, "-p", 7, "--key", "*b", "-n", 5) == [3]
    for args in (("--key", "nothing*"), ("--older-than", "1h"), ("-p", 9), ("-n", 0)):
        ran = full("ls", *args, expect=1)
        assert (ran.out, ran.err) == (b"", "")


def test_empty(pq: Pq) -> None:
    """An empty queue is no error and no output; on a terminal, a word."""
    pq("init")
    assert pq("ls")[:2] == (b"", "")
    assert "nothing in" in pq.on_terminal("ls")
    assert "no item fits" in pq.on_terminal("ls", "-p", 9, expect=1)


@pytest.mark.parametrize(
    "args",
    [("--state", "waiting"), ("-p", "0"), ("-n", "-1"), ("-n", "x"), ("--older-than", "old"),
     ("--color", "blue"), ("--state", "")],
)  # fmt: skip
def test_bad_filters(full: Pq, args: tuple[str, ...]) -> None:
    """A filter that means nothing is exit 2 and one line."""
    assert len(full("ls", *args, expect=2).err.splitlines()) == 1


def times(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Return path -> (inode, mtime, ctime) of everything below and including a folder."""
    found = {}
    for path in (folder, *sorted(folder.rglob("*"))):
        info = path.lstat()
        found[str(path)] = (info.st_ino, info.st_mtime_ns, info.st_ctime_ns)
    return found


def test_never_writes(full: Pq) -> None:
    """Looking changes no file, no folder and no time in the spool."""
    before = times(full.spool)
    for args in (("ls",), ("ls", "--json"), ("show", 3), ("cat", 5)):
        full(*args)
    full.on_terminal("ls")
    assert times(full.spool) == before


def test_never_locks(full: Pq) -> None:
    """Looking works while somebody else holds the spool's lock."""
    with (full.spool / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert len(ids(full)) == 8
        assert full("cat", 5).out == b"abc"
        full("show", 5)
        full("hold", 5, "--lock-timeout", "0.1", expect=75)


NOBODY = 65534


@pytest.mark.others
def test_read_only_spool_of_somebody_else(full: Pq) -> None:
    """Who may read a spool that is not his can look at it; every change is refused: exit 77."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to be somebody else")
    subprocess.run(["chmod", "-R", "a+rX", str(full.spool)], check=True)
    before = times(full.spool)
    # Imported before the change: the package itself may lie where only root can read.
    code = (
        "import os, sys\nimport pq_cli.cli, pq_cli.commands.ls, pq_cli.commands.show\n"
        "import pq_cli.commands.cat, pq_cli.commands.hold, pq_cli.commands.next\n"
        "import pq_cli.commands.enqueue, pq_cli.commands.done, tomllib, encodings.ascii\n"
        "import shlex, typer.main, typer.core\n"
        f"os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})\n"
        "pq_cli.cli.main()\n"
    )

    def as_nobody(*args: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-c", code, *args]
        return subprocess.run(
            argv, env=full.env, capture_output=True, text=True, timeout=HANG, check=False, input=""
        )

    listed = as_nobody("ls")
    assert (listed.returncode, listed.stderr, len(listed.stdout.splitlines())) == (0, "", 8)
    assert as_nobody("cat", "5").stdout == "abc"
    assert as_nobody("show", "5").returncode == 0
    for args in (("next",), ("enqueue",), ("hold", "5"), ("done", "1.1")):
        refused = as_nobody(*args)
        assert refused.returncode == 77, (args, refused.stderr)
        assert len(refused.stderr.splitlines()) == 1
    assert times(full.spool) == before


def test_streams(pq: Pq) -> None:
    """The first lines are there before the rest is read: a reader of ten lines costs little.

    Seen from the files: with 3000 items, most metas have not been opened when the reader leaves.
    """
    with pq.api(durability="fast") as spool:
        for _ in range(3000):
            spool.enqueue(b"")
    opened = count_opened(pq, "ls")
    few = count_opened(pq, "ls", lines=10)
    assert opened >= 3000
    assert few < 1500


def count_opened(pq: Pq, *args: str, lines: int = 0) -> int:
    """Return how many metas a command opens, whose output is read to the end or for some lines."""
    code = (
        "import sys\nopened = []\n"
        "sys.addaudithook(lambda name, a: name == 'open' and '.meta.json' in str(a[0])"
        " and opened.append(1))\n"
        "import atexit, os\n"
        "from pq_cli import cli\n"
        "real = os._exit\n"
        "def tell(status=0): os.write(2, f'OPENED {len(opened)}'.encode()); real(status)\n"
        "os._exit = tell\natexit.register(tell)\n"
        "cli.main()\n"
    )
    argv = [sys.executable, "-c", code, *args]
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, env=pq.env, stdout=pipe, stderr=pipe) as process:
        assert process.stdout and process.stderr
        for _ in range(lines):
            assert process.stdout.readline()
        if not lines:
            process.stdout.read()
        process.stdout.close()
        told = process.stderr.read().decode()
        process.wait(HANG)
    return int(told.rpartition("OPENED ")[2])
