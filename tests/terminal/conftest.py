"""A real terminal for tests: tmux holds it, captures what stands on it, and types into it."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time

import pytest
from support import need_tool

PATIENCE = 20.0
"""Seconds until a picture that does not come counts as a failure."""


class Terminal:
    """One tmux pane in which a shell waits; `screen` is what a person would see."""

    def __init__(self, folder, columns, lines, env):
        self._tmux = [need_tool("tmux"), "-S", str(folder / "tmux"), "-f", "/dev/null"]
        self._runs = 0
        clean = {k: v for k, v in os.environ.items() if k not in ("TMUX", "COLUMNS", "LINES")}
        wanted = [f"{k}={v}" for k, v in ({"LC_ALL": "C.UTF-8", "PS1": "$ "} | env).items()]
        command = shlex.join(["env", *wanted, "sh"])
        size = ["-x", str(columns), "-y", str(lines)]
        subprocess.run(
            [*self._tmux, "-u", "new-session", "-d", *size, command], check=True, env=clean
        )
        self.tmux("set", "-g", "status", "off")
        self.tmux("set", "-g", "window-size", "manual")
        self.tmux("resize-window", "-x", str(columns), "-y", str(lines))
        # What is typed before the shell is there stands on the screen twice.
        self.wait_for(lambda lines: lines[0].startswith("$"))

    def tmux(self, *words):
        """Run a tmux command; return what it prints."""
        done = subprocess.run([*self._tmux, *words], capture_output=True, text=True, check=True)
        return done.stdout

    def type(self, text, *keys):
        """Type a text, then named keys such as Enter or Tab."""
        if text:
            self.tmux("send-keys", "-l", text)
        for key in keys:
            self.tmux("send-keys", key)

    def screen(self, *, colors=False):
        """Return the lines on the screen, without the empty ones at the end."""
        text = self.tmux("capture-pane", "-p", *(["-e"] if colors else []))
        return text.rstrip("\n").split("\n")

    def wait_for(self, condition):
        """Return the screen as soon as `condition(lines)` holds, or fail showing it."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            lines = self.screen()
            if condition(lines):
                return lines
            time.sleep(0.05)
        raise AssertionError("never came; the screen is:\n" + "\n".join(self.screen()))

    def run(self, command):
        """Run a shell command in the terminal; return the lines it put on the screen."""
        self._runs += 1
        end = f"END{self._runs}"
        self.type("clear; " + command + "; echo " + end, "Enter")
        lines = self.wait_for(lambda lines: end in lines)
        return lines[: lines.index(end)]

    def resize(self, columns, lines):
        """Change the terminal's size, as a person pulls at the window."""
        self.tmux("resize-window", "-x", str(columns), "-y", str(lines))

    def close(self):
        """End the terminal and what runs in it."""
        subprocess.run([*self._tmux, "kill-server"], capture_output=True)


@pytest.fixture
def terminal(tmp_path):
    """A function that opens a terminal of a size; all are closed at the end."""
    opened = []

    def open_terminal(columns=80, lines=24, **env):
        folder = tmp_path / f"tmux{len(opened)}"
        folder.mkdir()
        path = os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]
        opened.append(
            Terminal(folder, columns, lines, {"PATH": path, "PQ_SPOOL": str(tmp_path / "s")} | env)
        )
        return opened[-1]

    yield open_terminal
    for one in opened:
        one.close()
