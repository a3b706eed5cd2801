"""`pq ls` in a real terminal: fits any width, is honest about what it shows, and gives it back."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time

import pytest
from support import wait_until

from pq_cli import QueueConfig, Spool, State

LONG_NAME = "a-report-with-a-name-that-is-much-longer-than-forty-columns-allow.xml"


@pytest.fixture
def spool(tmp_path):
    """A spool with an item in every state, wide characters and a name that drives terminals."""
    spool = Spool(tmp_path / "s", config=QueueConfig(keep_done=3600.0))
    spool.enqueue(b"x" * 5000, priority=1, name=LONG_NAME)
    assert spool.claim(bound=False) is not None
    spool.enqueue(b"", priority=1)
    spool.done(spool.claim())
    spool.enqueue(b"", priority=1, key="dead")
    spool.fail(spool.claim(), "HTTP 500 from the server", dead=True)
    spool.enqueue(b"", priority=2, name="evil\x1b[31m\u202e.txt")
    spool.enqueue(b"", priority=7, name="日本語のレポート.xml")
    spool.enqueue(b"", delay=3600, key="photos")
    spool.hold(spool.enqueue(b"", name="held"))
    return spool


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_the_table_fits_the_terminal(terminal, spool, columns):
    """Each item stands on one line of its own at any width, title above, summary below."""
    lines = terminal(columns).run("pq ls")
    assert lines[0].split()[:4] == ["ID", "STATE", "PRI", "AGE"]
    summary = next(n for n, line in enumerate(lines) if line.startswith("6 items: "))
    assert [re.split(r" +", line.strip())[:2] for line in lines[1:summary]] == [
        ["1", "active"], ["4", "pending"], ["5", "pending"], ["6", "delayed"], ["7", "held"],
        ["3", "failed"],
    ]  # fmt: skip
    assert " ".join(lines[summary:]) == (
        "6 items: 1 active, 2 pending, 1 delayed, 1 held, 1 failed"
    )
    joined = "\n".join(lines)
    assert ("HTTP 500" in joined) == (columns >= 80)
    assert "photos" in joined
    assert "evil\\x1b[31m\\u202e.txt" in joined.replace("…", "") or columns == 40
    assert "\x1b" not in joined


def test_the_active_say_who_since_when_and_for_how_long(terminal, spool):
    """An active item names its holder, how long it has had it, and what is left of the lease."""
    line = terminal(160).run("pq ls --state active")[1]
    assert re.search(rf"\d+s by {os.uname().nodename}:{os.getpid()}, lease \d", line)


def test_the_active_say_what_they_run(terminal, tmp_path):
    """Where it can be known, the command of the holder is shown."""
    spool = Spool(tmp_path / "s")
    spool.enqueue(b"")
    screen = terminal(140)
    screen.type("pq next -- sleep 1000 &", "Enter")
    wait_until(lambda: [*spool.items([State.ACTIVE])], "the item is claimed")
    shown = screen.run("pq ls")
    screen.run("kill $!; wait")
    assert any(re.search(r"\d[sm]: sleep 1000, by ", line) for line in shown)


@pytest.fixture
def staffed():
    """Let a spool have somebody who works on it: else `ls` would say that there is nobody."""
    held = []

    def attend(spool):
        held.append(spool.attend())
        return spool

    yield attend
    for attendance in held:
        attendance.close()


def test_aging_shows_as_an_arrow(terminal, tmp_path, staffed):
    """Base and effective priority stand together where they differ, and only there."""
    Spool(tmp_path / "s", clock=lambda: 1.0e9).enqueue(b"", priority=7)
    staffed(Spool(tmp_path / "s")).enqueue(b"", priority=7)
    lines = terminal(80).run("pq ls")
    assert [line.split()[2] for line in lines[1:3]] == ["7→3", "7"]


@pytest.mark.parametrize(
    ("command", "env", "colored"),
    [
        ("pq ls", {}, True),
        ("pq ls --color never", {}, False),
        ("pq ls", {"NO_COLOR": "1"}, False),
        ("pq ls", {"TERM": "dumb"}, False),
        ("pq ls --color always", {"NO_COLOR": "1", "TERM": "dumb"}, True),
    ],
)
def test_colour_comes_only_where_it_is_wanted(terminal, spool, command, env, colored):
    """--color beats NO_COLOR and TERM=dumb, which beat the terminal; words never depend on it."""
    screen = terminal(80, **env)
    lines = screen.run(command)
    assert any("failed" in line for line in lines)
    raw = "\n".join(screen.screen(colors=True))
    assert bool(re.search(r"\x1b\[[0-9;]*3[0-7]m", raw)) == colored
    assert "never" not in command or "\x1b[1m" not in raw


def test_in_a_pipe_there_is_no_decoration(spool):
    """In a pipe: tabs, no title, no summary, no colour, everything escaped."""
    command = [sys.executable, "-m", "pq_cli", "ls", "-s", spool.path]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rows = [line.split("\t") for line in out.splitlines()]
    assert [row[0] for row in rows] == ["1", "4", "5", "6", "7", "3"]
    assert all(len(row) == 9 for row in rows)
    assert "\x1b" not in out


def test_an_empty_or_missing_spool_says_what_to_do(terminal, tmp_path):
    """Nothing there is no riddle: the next step is named."""
    screen = terminal(250)
    assert "`pq enqueue`" in " ".join(screen.run("pq ls"))
    screen.run("pq init 2>&1")
    assert "`pq enqueue` puts something in" in " ".join(screen.run("pq ls"))
    assert "`pq enqueue` puts something in" in " ".join(screen.run("pq stats"))
    assert "`pq ls` alone lists what is there" in " ".join(screen.run("pq ls --key 'x*'"))


def test_watch_follows_resizes_and_quits(terminal, tmp_path, staffed):
    """--watch shows what comes, fits a new size at once, and q gives the terminal back."""
    spool = staffed(Spool(tmp_path / "s"))
    spool.enqueue(b"", name="first")
    screen = terminal(80, 12)
    screen.type(
        "echo before; pq ls --watch=0.2; echo after; stty -a | grep -o -w '.echo\\b'", "Enter"
    )
    screen.wait_for(lambda lines: any("first" in line for line in lines))
    assert not any("before" in line for line in screen.screen())
    spool.enqueue(b"", name="second", priority=1)
    screen.wait_for(
        lambda lines: "2 live items" in lines[0] and any("second" in line for line in lines)
    )
    for _ in range(30):
        spool.enqueue(b"")
    lines = screen.wait_for(lambda lines: lines[-1].startswith("..."))
    assert len(lines) <= 12
    screen.resize(40, 8)
    screen.wait_for(
        lambda lines: len(lines) <= 8 and lines[-1].startswith("...") and "second" in lines[2]
    )
    screen.type("q")
    lines = screen.wait_for(lambda lines: "after" in lines)
    assert "before" in lines
    assert "-echo" not in lines


def test_watch_gives_the_terminal_back_when_it_is_killed(terminal, spool, tmp_path):
    """SIGTERM ends the picture, too, with echo on and the old screen back."""
    screen = terminal(80, 12)
    screen.type(
        f"echo before; sh -c 'echo $$ >{tmp_path}/pid; exec pq ls --watch=0.2'; "
        "stty -a | tr ' ;' '\\n\\n' | grep -x -e -echo -e echo",
        "Enter",
    )
    screen.wait_for(lambda lines: "q quits" in lines[0])
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGTERM)
    lines = screen.wait_for(lambda lines: "echo" in lines or "-echo" in lines)
    assert "before" in lines
    assert "-echo" not in lines


def test_watch_needs_a_terminal(spool):
    """In a pipe --watch is refused in one line: it would never end."""
    command = [sys.executable, "-m", "pq_cli", "ls", "--watch", "-s", spool.path]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 2
    assert done.stderr == "pq: --watch needs a terminal; `pq help ls` tells what it takes\n"


def left_by(screen, command):
    """Run a command on an empty screen; return what stands there when a new prompt is there."""
    prompt = f"after{time.monotonic_ns()}"
    screen.type(f"PS1={prompt}; clear; {command}", "Enter")
    *lines, _ = screen.wait_for(lambda lines: lines[-1] == prompt)
    return lines


@pytest.mark.parametrize(
    ("columns", "rows", "attended"), [(40, 20, False), (80, 24, False), (120, 50, True)]
)
def test_a_screenful_and_how_many_more(terminal, tmp_path, staffed, columns, rows, attended):
    """All that is shown stands on one screen with the prompt; the rest is counted, not printed.

    Also where it is said above all that nobody works on it.
    """
    spool = Spool(tmp_path / "s", config=QueueConfig(durability="fast"))
    if attended:
        staffed(spool)
    for number in range(60):
        spool.enqueue(b"", priority=1 + number % 2, name=LONG_NAME)
    spool.hold(60)
    screen = terminal(columns, rows)
    for command, total, summary in (
        ("pq ls", 60, "60 items: 59 pending, 1 held"),
        ("pq ls --state pending -p 1", 30, "30 items: 30 pending"),
    ):
        lines = left_by(screen, command)
        titles = next(n for n, line in enumerate(lines) if line.split()[:2] == ["ID", "STATE"])
        words = "" if attended else "nobody is working on this spool; no claim is in its log"
        assert " ".join(lines[:titles]) == words
        assert summary in lines
        shown = sum(LONG_NAME[:4] in line for line in lines)
        assert shown == total or rows - 2 <= len(lines) < rows
        more = re.search(r"^\.\.\. (\d+) more \(--all, -n N\)$", "\n".join(lines), re.M)
        assert total - shown == (int(more[1]) if more else 0)


def test_all_and_what_fits_exactly(terminal, tmp_path, staffed):
    """--all and -n print as many as asked for; where the last one just fits nothing is left out."""
    spool = staffed(Spool(tmp_path / "s", config=QueueConfig(durability="fast")))
    for _ in range(9):
        spool.enqueue(b"")
    screen = terminal(80, 12)
    *_, last, summary = left_by(screen, "pq ls")
    assert (last.split()[:2], summary) == (["9", "pending"], "9 items: 9 pending")
    spool.enqueue(b"")
    more, summary = "... 2 more (--all, -n N)", "10 items: 10 pending"
    assert left_by(screen, "pq ls")[-2:] == [more, summary]
    for option in ("--all", "-n 10"):
        lines = left_by(screen, f"pq ls {option}")
        assert lines[0].split()[0] == "1" and len(lines) == 11
