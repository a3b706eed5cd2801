"""Quarantine: what cannot be brought in order moves to `quarantine/`, with a file beside it that
says when, from where and why."""

from __future__ import annotations

import os
import time

from pq_cli.core.item import printable
from pq_cli.core.timefmt import format_time
from pq_cli.spool.disk import layout
from pq_cli.spool.disk.durable import Disk

REASON = ".reason"


def set_aside(disk: Disk, path: str, why: str) -> None:
    """Move what lies at `path` to the quarantine, durably; the reason is there before it is."""
    disk.make_dir(layout.QUARANTINE)
    name = f"{layout.QUARANTINE}/{os.urandom(4).hex()}-{os.path.basename(path)[-60:]}"
    text = f"{format_time(time.time())}\t{printable(path)}\t{printable(why)}\n"
    disk.write_new(name + REASON, text.encode("utf-8", "replace"))
    disk.rename(path, name)
    disk.sync_dir(layout.QUARANTINE)
    disk.sync_dir(os.path.dirname(path))
