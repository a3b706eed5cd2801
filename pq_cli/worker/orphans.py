"""Orphans: as PID 1 in a container, and as their reaper, pq is given what others leave behind."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container


def reap_orphans(ours: Container[int]) -> bool:
    """Reap the children that have ended, up to one of `ours`, which somebody here waits for.

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
