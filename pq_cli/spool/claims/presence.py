"""Who is present: what the locks of workers say, for those who look and hold no lock themselves."""

from __future__ import annotations

import os

from pq_cli.core.insight.workers import Worker, duty_of
from pq_cli.core.jsonio import parse_own
from pq_cli.core.timefmt import parse_time
from pq_cli.errors import UsageError
from pq_cli.opened import FOUND, Opened
from pq_cli.spool.disk import layout
from pq_cli.spool.disk.lock import is_held

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_MOST = 4096
"""Bytes that a worker tells at the most."""
_TRIES = 3


def present(root: str) -> Iterator[Worker]:
    """Yield the workers of the spool at `root`: those that live, and those that have died."""
    try:
        names = sorted(os.listdir(f"{root}/{layout.WORKERS}"))
    except FileNotFoundError:
        return
    for name in names:
        path = layout.worker_lock(name)
        try:
            worker = None if path is None else _look(f"{root}/{path}", name)
        except PermissionError:
            raise
        except OSError:
            continue  # it has just ended, or is none of ours
        if worker is not None:
            yield worker


def _look(path: str, name: str) -> Worker | None:
    """Return the worker behind a lock; None: it is about to begin, or says nothing that is known.

    What it says is written once the lock is held. So it is read first: who is found to say
    something and to hold no lock has died, or ended, and then it has nothing any more.
    """
    with Opened(os.open(path, FOUND), path) as fd:
        for _ in range(_TRIES):  # while it is overwritten, half of it may be seen
            said = _said(os.pread(fd, _MOST, 0))
            if said is not None:
                break
        alive = is_held(fd)
    if said is None:
        return None
    about, duty = said
    try:
        since = parse_time(str(about["since"]))
        command = tuple(map(str, about["command"]))
        host, pid = str(about["host"]), int(about["pid"])
    except (KeyError, TypeError, ValueError, UsageError):
        return None
    return Worker(
        lock=name, host=host, pid=pid, since=since, command=command, alive=alive,
        duty=duty_of(duty),
    )  # fmt: skip


def _said(content: bytes) -> tuple[dict[str, Any], Any] | None:
    """Return the two lines that a worker has written; None for what is none, or only half."""
    first, _, second = content.partition(b"\n")
    try:
        about = parse_own(first)
        duty = parse_own(second) if second else None
    except ValueError:
        return None
    return (about, duty) if isinstance(about, dict) else None
