"""Is somebody still at work in a folder? As far as that can be seen from outside.

Seen are open files and folder watches of processes whose /proc may be read (one's own, or all
for root), and changes of the folders while looking. Not seen is a writer on another host, or
one that sleeps with nothing open: check that the old queue's program has been stopped.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

from pq_cli.core.item import printable
from pq_cli.errors import ConflictError

_FRESH = 2.0
"""Seconds: folders that changed later than that are looked at again after as long."""


class LiveSourceError(ConflictError):
    """Something still works in the source folder."""


def refuse_live(root: Path) -> None:
    """Raise LiveSourceError if a process has the folder or a file in it open, or it is changing."""
    sign = _process_in(os.path.realpath(root)) or _changing(root)
    if sign is not None:
        raise LiveSourceError(
            f"{printable(str(root))} is in use: {sign}; stop that first, or pass --force"
        )


def _process_in(real: str) -> str | None:
    inodes = {_identity(folder) for folder in _folders(Path(real))}
    for entry in _names("/proc"):
        if entry.isdigit() and int(entry) != os.getpid():
            found = _use_by(entry, real, inodes)
            if found is not None:
                return f"process {entry} ({_command(entry)}) {found}"
    return None


def _use_by(pid: str, real: str, inodes: set[str]) -> str | None:
    for fd in _names(f"/proc/{pid}/fd"):
        try:
            target = os.readlink(f"/proc/{pid}/fd/{fd}")
        except OSError:
            continue
        if target == real or target.startswith(real + "/"):
            return f"has {printable(target)} open"
        if target == "anon_inode:inotify" and inodes & set(_watched(pid, fd)):
            return "watches it"
    return None


def _watched(pid: str, fd: str) -> Iterator[str]:
    """Yield `ino:... sdev:...` of each inotify watch, as /proc writes it."""
    try:
        with open(f"/proc/{pid}/fdinfo/{fd}", encoding="ascii", errors="replace") as file:
            for line in file:
                words = line.split()
                if words[:1] == ["inotify"]:
                    yield " ".join(w for w in words if w.startswith(("ino:", "sdev:")))
    except OSError:
        return


def _identity(folder: Path) -> str:
    info = os.stat(folder)
    device = os.major(info.st_dev) << 20 | os.minor(info.st_dev)  # the kernel's dev_t
    return f"ino:{info.st_ino:x} sdev:{device:x}"


def _command(pid: str) -> str:
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            return printable(file.read().strip())
    except OSError:
        return "gone"


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _changing(root: Path) -> str | None:
    before = _times(root)
    wait = max(before.values()) / 1e9 + _FRESH - time.time()
    if not 0 < wait <= _FRESH:
        return None
    time.sleep(wait)
    after = _times(root)
    changed = sorted(str(f) for f in after if after[f] != before.get(f))
    return f"{printable(changed[0])} is changing" if changed else None


def _times(root: Path) -> dict[Path, int]:
    return {folder: os.stat(folder).st_mtime_ns for folder in _folders(root)}


def _folders(root: Path) -> list[Path]:
    """Return the folder and those in it, a few at most: queues keep their states in few."""
    found = [root]
    with os.scandir(root) as entries:
        for entry in entries:
            if len(found) > 100:
                break
            if entry.is_dir(follow_symlinks=False):
                found.append(Path(entry.path))
    return found
