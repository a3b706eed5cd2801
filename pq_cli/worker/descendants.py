"""What a command has started: found below this process wherever it went, and killed there.

For commands that share the process group of the script that runs pq, so that Ctrl-C, Ctrl-Z and
reading from the terminal work as without pq: there is no group of their own to kill. While this
process is the reaper of its orphans (PR_SET_CHILD_SUBREAPER) nothing leaves it, neither what has a
session of its own nor what has outlived its parent.
"""

from __future__ import annotations

import os
import signal
import time

from pq_cli.worker.guard import of_all, send

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container

_PR_SET_CHILD_SUBREAPER = 36
_NAP = 0.01
_PATIENCE = 10.0
"""Seconds until what does not die, in a call to a disk that is gone say, is left to itself."""


class Descendants:
    """The processes below this one, without those that were there before, and what they start."""

    def __init__(self) -> None:
        self._spared = _children_now()
        _adopt_orphans()

    def signal(self, number: int) -> None:
        """Send a signal to all, parents before their children; what is stopped goes on."""
        for pid in self._pids():
            send(pid, number)
            send(pid, signal.SIGCONT)  # a stopped process cannot obey

    def kill(self) -> None:
        """Kill all, also what is started meanwhile; wait until nothing runs any more.

        What belongs to another user stays.
        """
        deadline = time.monotonic() + _PATIENCE
        while True:
            hit = [pid for pid in self._pids() if send(pid)]
            if not hit or time.monotonic() >= deadline:
                return
            time.sleep(_NAP)

    def reap(self, but: int) -> None:
        """Reap the orphans that have ended; `but` is the child that somebody else reaps."""
        reap_orphans({but, *self._spared})

    def _pids(self) -> list[int]:
        """Return those that run, parents first."""
        below: dict[int, list[int]] = {}
        zombies = set()
        for pid, parent, zombie in _processes():
            below.setdefault(parent, []).append(pid)
            if zombie:
                zombies.add(pid)
        found = [pid for pid in below.get(os.getpid(), ()) if pid not in self._spared]
        for pid in found:
            found += below.get(pid, ())
        return [pid for pid in found if pid not in zombies]


def reap_orphans(ours: Container[int]) -> bool:
    """Reap the children that have ended, up to one of `ours`, which somebody here waits for.

    As PID 1 in a container, and as their reaper, pq is given what others leave behind.

    Returns whether such a one stands in the way: then call again when it was reaped.
    """
    while True:
        try:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return False
        if ended is None:
            return False
        if ended.si_pid in ours:
            return True
        os.waitpid(ended.si_pid, 0)


def _adopt_orphans() -> None:
    try:
        import ctypes  # some milliseconds: only for who starts a command

        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    except (ImportError, OSError, AttributeError):
        pass  # then what has outlived its parent escapes


def _children_now() -> set[int]:
    """Return the children of this process: the guard, and the jobs of a shell that became pq."""
    me = os.getpid()
    try:
        with open(f"/proc/{me}/task/{me}/children", encoding="ascii") as file:
            return {int(pid) for pid in file.read().split()}
    except OSError:
        return {pid for pid, parent, _ in _processes() if parent == me}


def _processes() -> list[tuple[int, int, bool]]:
    """Return (pid, parent, whether it is a zombie) of every process that can be seen."""
    said = ((pid, stat.rpartition(b")")[2].split()) for pid, stat in of_all("stat"))
    return [(pid, int(of[1]), of[0] in (b"Z", b"X")) for pid, of in said if len(of) > 1]
