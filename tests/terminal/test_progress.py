"""What may take long shows how far it has come: on stderr, on a terminal only, and leaves nothing.

The commands run here with no patience: they show at once what else comes after half a second.
"""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import tempfile

import pytest

from pq_cli import QueueConfig, Spool, State
from pq_cli.queue.request import Request

HASTY = (
    "import sys, pq_cli.render.counting as c\n"
    "c._PATIENCE = c._EVERY = 0.0\n"
    "from pq_cli.cli import main\n"
    "main(sys.argv[1:])\n"
)
PATIENT = HASTY.replace("c._PATIENCE = c._EVERY = 0.0", "c._PATIENCE = 3600.0")
COUNT = 120


@pytest.fixture
def spool(tmp_path):
    """A spool with items that wait, that failed, that are held and that were removed."""
    spool = Spool(tmp_path / "s", config=QueueConfig(durability="fast"))
    items = spool.enqueue_many(
        [(b"x", Request(priority=n % 10 + 1)) for n in range(4 * COUNT)]
    ).items
    moment = spool.removal()
    for number, item in enumerate(items):
        if number % 4 == 0:
            spool.hold(item)
        elif number % 4 == 1:
            spool.remove(item, kept_until=moment)
    for _ in range(COUNT):
        claimed = spool.claim()
        assert claimed is not None
        spool.fail(claimed, "no", dead=True)
    return spool


def shown(spool, *words, stdin=b"", python=("-c", HASTY), **env):
    """Run pq with stderr on a terminal of its own; return what came to that terminal, as text."""
    ours, theirs = pty.openpty()
    command = [sys.executable, *python, *words]
    environment = {**os.environ, "TERM": "xterm", "PQ_SPOOL": spool.path, **env}
    with tempfile.TemporaryFile() as given:
        given.write(stdin)
        given.seek(0)
        process = subprocess.Popen(
            command, stdin=given, stdout=subprocess.DEVNULL, stderr=theirs, env=environment
        )
    os.close(theirs)
    told = b""
    try:
        while chunk := os.read(ours, 65536):
            told += chunk
    except OSError:
        pass  # how Linux says that nobody writes there any more
    os.close(ours)
    assert process.wait() in (0, 1), told  # 1: nothing fits
    return re.sub(r"\x1b\[[\d;]*m", "", told.decode())


COMMANDS = {
    "ls": (("ls",), "360 items looked at"),
    "ls without a match": (("ls", "--key", "none*", "--state", "held,failed,done"), "240 items"),
    "age": (("age", "--dry-run"), "120 items looked at"),
    "check": (("check",), "480 of 480 items looked at"),
    "purge": (("purge", "--state", "held,failed"), "240 of 240 items"),
    "retry": (("retry", "--state", "held,failed"), "240 of 240 items"),
    "undo": (("undo",), "120 of 120 items"),
    "rm": (("rm", *map(str, range(1, 481, 4))), "120 of 120 items"),
    "retry by name": (("retry", "-"), "2 items, 0s"),
    "export": (("export",), "360 of 360 items"),
    "enqueue": (("enqueue", __file__, __file__), "2 of 2 items"),
    "enqueue --lines": (("enqueue", "--lines"), "3 items, 0s"),
    "enqueue of stdin": (("enqueue",), "6 of 6, 0s to go"),
}
STDIN = {"retry by name": b"1 5", "enqueue --lines": b"a\nb\nc\n", "enqueue of stdin": b"abcdef"}


@pytest.mark.parametrize("name", COMMANDS)
def test_what_may_take_long_shows_how_far_it_has_come(spool, name):
    """Each such command counts on stderr while it works."""
    words, wanted = COMMANDS[name]
    assert re.search(wanted, shown(spool, *words, stdin=STDIN.get(name, b"")))


def test_import_and_purge_show_it_too(spool, tmp_path):
    """Items that arrive from another spool are counted, and so are files deleted for good."""
    stream = subprocess.run(
        [sys.executable, "-m", "pq_cli", "export", "-s", spool.path],
        capture_output=True, check=True,
    ).stdout  # fmt: skip
    other = Spool(tmp_path / "other")
    assert "360 items" in shown(other, "import", stdin=stream)
    assert "items" in shown(spool, "purge", "--state", "removed")


@pytest.mark.parametrize(
    ("python", "env"),
    [(("-c", PATIENT), {}), (("-c", HASTY), {"TERM": "dumb"})],
    ids=["quick", "dumb"],
)
def test_what_is_quick_and_a_dumb_terminal_show_nothing(spool, python, env):
    """Below half a second there is no line that flickers; where none can be drawn there is none."""
    assert shown(spool, "ls", python=python, **env) == ""


def test_output_and_messages_go_between(terminal, spool, tmp_path):
    """On one terminal, ids and errors stand on lines of their own, and no bar is left."""
    (tmp_path / "hasty").write_text(HASTY)
    hasty = f"{sys.executable} {tmp_path}/hasty"
    screen = terminal(200, 400, PQ_SPOOL=spool.path)
    [(_, removed)] = spool.removed()
    failed = [str(item.id) for item in spool.items([State.FAILED])]
    lines = screen.run(f"{hasty} rm 9999 2 9998; {hasty} undo; {hasty} purge --state failed")
    then = "; `pq ls` lists those that are there"
    missing = [f"pq: there is no item {number} in {spool.path}{then}" for number in (9999, 9998)]
    missing.insert(1, "pq: item 2 is removed already; `pq undo 2` reverts that")
    assert lines == [*missing, *map(str, removed), *failed, "pq: 120 items were removed"]
