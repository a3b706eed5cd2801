"""Is somebody still at work in a folder? As far as that can be seen from outside.

Seen are open files of processes whose /proc may be read (one's own, or all for root), and changes
of the folders while looking. Not seen is a writer on another host, or one that sleeps with nothing
open, or only watches: check that the old queue's program has been stopped.
"""

from __future__ import annotations

import contextlib
import glob
import os
import time
from itertools import islice
from pathlib import Path

from pq_cli.core.item import printable
from pq_cli.errors import ConflictError

_FRESH = 2.0
"""Seconds: folders that changed later than that are looked at again after as long."""


def refuse_live(root: Path) -> None:
    """Raise ConflictError if a process has the folder or a file in it open, or it is changing."""
    sign = _process_in(os.path.realpath(root)) or _changing(root)
    if sign is not None:
        raise ConflictError(
            f"{printable(str(root))} is in use: {sign}; stop that first, or pass --force"
        )


def _process_in(real: str) -> str | None:
    for link in glob.iglob("/proc/[0-9]*/fd/*"):
        pid = link.split("/")[2]
        with contextlib.suppress(OSError):  # it has ended or closed it, or is not ours to look at
            target = os.readlink(link)
            if f"{target}/".startswith(f"{real}/") and int(pid) != os.getpid():
                return f"process {pid} has {printable(target)} open"
    return None


def _changing(root: Path) -> str | None:
    before = _times(root)
    wait = max(before.values()) / 1e9 + _FRESH - time.time()
    if not 0 < wait <= _FRESH:
        return None
    time.sleep(wait)
    after = _times(root)
    changed = sorted(f for f in after if after[f] != before.get(f))
    return f"{printable(changed[0])} is changing" if changed else None


def _times(root: Path) -> dict[str, int]:
    """Return when the folder and those in it changed, a few at most: queues keep states in few."""
    with os.scandir(root) as entries:
        folders = islice((e.path for e in entries if e.is_dir(follow_symlinks=False)), 100)
        return {path: os.stat(path).st_mtime_ns for path in (str(root), *folders)}
