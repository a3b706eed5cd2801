"""The spare: a few blocks that are given up when the disk is full, so that work can still be ended.

A claim writes a meta, and so does a failure; on a full disk neither could, and the queue that fills
the disk could not be drained. So the verbs of workers try once more without the spare, and the next
item that is done makes room for a new one.
"""

from __future__ import annotations

import errno
import os

from pq_cli.spool import layout
from pq_cli.spool.durable import Disk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    T = TypeVar("T")

SIZE = 32 * 1024
"""Bytes: room for some metas and the growth of a folder on file systems with blocks of 4 KiB."""
_FULL = (errno.ENOSPC, errno.EDQUOT)


def is_full(error: OSError) -> bool:
    """Tell whether the error means that there is no room."""
    return error.errno in _FULL


def keep_spare(disk: Disk) -> None:
    """Have a spare, if there is room for one."""
    if not os.path.lexists(f"{disk.root}/{layout.SPARE}"):
        try:
            disk.write_new(layout.SPARE, os.urandom(SIZE), sync=False)
        except OSError:
            pass


def with_spare(disk: Disk, verb: Callable[[], T]) -> T:
    """Return what `verb` returns; if the disk is full, give up the spare and try once more."""
    try:
        return verb()
    except OSError as error:
        if not is_full(error) or not os.path.lexists(f"{disk.root}/{layout.SPARE}"):
            raise
        disk.discard(layout.SPARE)
    return verb()
