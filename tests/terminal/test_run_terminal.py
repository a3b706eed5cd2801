"""`pq run` on a real terminal: a bar at the bottom, whole lines above it, nothing left behind."""

from __future__ import annotations

import os

import pytest

from pq_cli import Spool

BAR = "━"
WAIT = """sh -c 'echo "item $PQ_ID"; [ $PQ_ID = 1 ] || until [ -e "$PQ_SPOOL/../go" ]
do sleep 0.05; done; [ $PQ_ID != 2 ]'""".replace("\n", "; ")


@pytest.fixture
def spool(tmp_path):
    """A spool with five items; at the end no command of a failed test waits any more."""
    spool = Spool(tmp_path / "s")
    for _ in range(5):
        spool.enqueue(b"")
    yield spool
    (tmp_path / "go").touch()


def test_bar_below_what_commands_print(terminal, spool, tmp_path):
    """The bar counts below the commands' lines, and goes when all is done; a summary stays."""
    screen = terminal(100)
    screen.type(f"clear; pq run -j2 -- {WAIT}; echo status $?", "Enter")
    lines = screen.wait_for(lambda lines: "1 done, 0 failed, 2 running, 2 left" in lines[-1])
    assert lines[-1].startswith(BAR)
    assert sorted(lines[-4:-1]) == ["item 1", "item 2", "item 3"]
    (tmp_path / "go").touch()
    lines = screen.wait_for(lambda lines: "status 6" in lines)
    lines = lines[: lines.index("status 6")]
    assert not any(BAR in line for line in lines)
    assert "pq: 2.1: exit 1" in lines
    assert lines[-1].startswith("pq: 4 done, 1 failed in ")
    printed = sorted(line for line in lines if line.startswith("item"))
    assert printed == [f"item {n}" for n in range(1, 6)]


def test_ctrl_c_twice(terminal, spool):
    """Ctrl-C says on lines of its own what happens; the second one gives the items back."""
    screen = terminal(100)
    screen.type("clear; pq run -j2 -- sleep 60; echo status $?", "Enter")
    screen.wait_for(lambda lines: "2 running" in lines[-1])
    screen.type("", "C-c")
    stopping = "pq: stopping: nothing more is claimed; a second signal stops what runs"
    screen.wait_for(lambda lines: stopping in lines)
    screen.type("", "C-c")
    lines = screen.wait_for(lambda lines: "status 130" in lines)
    assert "pq: stopping what runs, its items go back; a third signal kills it" in lines
    assert lines[lines.index("status 130") - 1].startswith("pq: 0 done, 2 given back in ")
    assert not any(BAR in line for line in lines)
    assert [(str(item.state), item.attempts) for item in spool.items()] == [("pending", 0)] * 5


@pytest.mark.parametrize("how", ["TERM=dumb pq run", "pq run --no-progress"])
def test_no_bar_where_none_is_wanted(terminal, spool, how):
    """A dumb terminal and --no-progress get the commands' lines and nothing else."""
    lines = terminal(100).run(f"{how} -j2 -- sh -c 'sleep 0.3; echo item'")
    assert lines == ["item"] * 5


def test_narrow_terminal(terminal, spool, tmp_path):
    """On thirty columns the bar still takes one line."""
    screen = terminal(30)
    screen.type(f"clear; pq run -- {WAIT}", "Enter")
    lines = screen.wait_for(lambda lines: "1 done, 0 failed" in lines[-1])
    assert lines[-3:-1] == ["item 1", "item 2"]
    (tmp_path / "go").touch()
    screen.wait_for(lambda lines: any("4 done" in line for line in lines))
    screen.wait_for(lambda _: os.listdir(tmp_path / "s" / "workers") == [])
