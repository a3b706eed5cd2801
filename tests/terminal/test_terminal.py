"""The terminal that the other tests of this folder look at, held to what it promises them."""

from __future__ import annotations

import os
import signal

import pytest
from support import need_tool

FLAKY = """#!/bin/sh
case $* in *-D*) echo "$$" >>{folder}/started
[ "$(wc -l <{folder}/started)" -gt {deaths} ] || kill -{signal} $$;; esac
exec {tmux} "$@"
"""


@pytest.fixture
def flaky(tmp_path, monkeypatch):
    """A function that makes the first N servers that are started die before they serve."""
    real = need_tool("tmux")

    def make(deaths):
        (tmp_path / "bin").mkdir()
        tmux = tmp_path / "bin" / "tmux"
        text = FLAKY.format(
            folder=tmp_path, deaths=deaths, signal=signal.SIGKILL.name[3:], tmux=real
        )
        tmux.write_text(text)
        tmux.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmux.parent}{os.pathsep}{os.environ['PATH']}")

    return make


def test_a_server_that_dies_at_its_start_is_started_again(terminal, flaky):
    """On a machine that kills or refuses a process at the wrong moment there is a terminal yet."""
    flaky(2)
    assert terminal(80).run("echo here") == ["here"]


def test_what_a_dead_server_died_of_is_said(terminal, flaky):
    """Where no server lives, the failure says how it ended: not only that it is gone."""
    flaky(99)
    with pytest.raises(RuntimeError, match=f"the server: -{int(signal.SIGKILL)}"):
        terminal(80)


def test_a_command_that_wraps_is_not_its_output(terminal):
    """Wherever a command's line wraps, and however long it stands there, its output is returned."""
    screen = terminal(40)
    screen.type("sleep 0.3", "Enter")  # the shell clears the line only then
    shown = "x" * (40 - len("clear; echo ; echo "))  # the row ends with the second echo
    assert screen.run(f"echo {shown}") == [shown]
