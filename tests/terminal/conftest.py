"""A real terminal for tests: tmux holds it, captures what stands on it, and types into it."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys

import pytest
from support import need_tool, wait_until

STARTS = 3
"""How often a terminal is started before that counts as a failure."""


class Terminal:
    """One tmux pane in which a shell waits; `screen` is what a person would see.

    The tmux server has a socket of its own and is a child of this process, no daemon. One that
    makes itself a daemon forks twice more, and where a fork is refused or the server is killed
    all that is left is "server exited unexpectedly", with nobody who knows why.
    """

    def __init__(self, folder):
        self._tmux = [need_tool("tmux"), "-S", str(folder / "tmux"), "-f", "/dev/null"]
        self._runs = 0
        self._errors = folder / "errors"
        self._server = None

    def open(self, columns, lines, env):
        """Start the server, and in it a shell that has prompted."""
        for _ in range(STARTS):
            self._server = self._start_server()
            if self._serves():
                break
        wanted = [f"{k}={v}" for k, v in ({"LC_ALL": "C.UTF-8", "PS1": "$ "} | env).items()]
        command = shlex.join(["env", *wanted, "sh"])
        self.tmux("new-session", "-d", "-x", str(columns), "-y", str(lines), command)
        self.tmux("set", "-g", "status", "off")
        self.tmux("set", "-g", "window-size", "manual")
        self.resize(columns, lines)
        # What is typed before the shell is there stands on the screen twice.
        self.wait_for(lambda lines: lines[0].startswith("$"))

    def _start_server(self):
        clean = {k: v for k, v in os.environ.items() if k not in ("TMUX", "COLUMNS", "LINES")}
        with self._errors.open("ab") as errors:
            return subprocess.Popen(
                [*self._tmux, "-u", "-D"], env=clean, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=errors, stderr=errors,
            )  # fmt: skip

    def _serves(self):
        """Wait until the server answers; False when it has ended instead."""

        def answer():
            if self._server.poll() is not None:
                return "ended"
            asked = subprocess.run(
                [*self._tmux, "-N", "show", "-g"], capture_output=True, check=False
            )
            return "serves" if asked.returncode == 0 else None

        return wait_until(answer, "tmux does not answer") == "serves"

    def tmux(self, *words):
        """Run a tmux command; return what it prints. Raises RuntimeError with what it says."""
        command = [*self._tmux, "-N", *words]  # -N: start no daemon where our server is gone
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            ended = f"; the server: {self._server.poll()}, {self._errors.read_text()!r}"
            raise RuntimeError(f"tmux {words}: exit {done.returncode}, {done.stderr!r}{ended}")
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
        seen = []

        def there():
            seen[:] = self.screen()
            return condition(seen)

        try:
            wait_until(there, "the screen")
        except AssertionError:
            raise AssertionError("never came; the screen is:\n" + "\n".join(seen)) from None
        return list(seen)

    def run(self, command):
        """Run a shell command in the terminal; return the lines it put on the screen."""
        self._runs += 1
        end = f"END{self._runs}"
        # Typed otherwise than printed: a long line wraps, and its last word may start a row.
        self.type(f"clear; {command}; echo E''{end[1:]}", "Enter")
        lines = self.wait_for(lambda lines: end in lines)
        return lines[: lines.index(end)]

    def resize(self, columns, lines):
        """Change the terminal's size, as a person pulls at the window."""
        self.tmux("resize-window", "-x", str(columns), "-y", str(lines))

    def close(self):
        """End the terminal and what runs in it."""
        if self._server is not None:
            self._server.kill()  # its pane hangs up
            self._server.wait()


@pytest.fixture
def terminal(tmp_path):
    """A function that opens a terminal of a size; all are closed at the end."""
    opened = []

    def open_terminal(columns=80, lines=24, **env):
        folder = tmp_path / f"tmux{len(opened)}"
        folder.mkdir()
        path = os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]
        wanted = {"PATH": path, "PQ_SPOOL": str(tmp_path / "s")} | env
        opened.append(Terminal(folder))
        opened[-1].open(columns, lines, wanted)
        return opened[-1]

    yield open_terminal
    for one in opened:
        one.close()
