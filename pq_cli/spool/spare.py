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

SIZE = 32 * 1024
"""Bytes: room for some metas and the growth of a folder on file systems with blocks of 4 KiB."""
_FULL = (errno.ENOSPC, errno.EDQUOT)


def is_full(error: OSError) -> bool:
    """Tell whether the error means that there is no room."""
    return error.errno in _FULL


class Spare:
    """The spare of one spool; used under the lock only."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self.forget()

    def forget(self) -> None:
        """Look again when asked next: somebody else may have given it up."""
        self._known = False

    def keep(self) -> None:
        """Have a spare, if there is room for one."""
        if self._known:
            return
        if not self._exists():
            try:
                self._disk.write_new(layout.SPARE, os.urandom(SIZE), sync=False)
            except OSError:
                return
        self._known = True

    def behind(self, verb: Callable[..., None], *args: object) -> None:
        """Do `verb(*args)`; if the disk is full, give up the spare and try once more."""
        try:
            verb(*args)
        except OSError as error:
            if not is_full(error) or not self._exists():
                raise
            self._disk.discard(layout.SPARE)
            self.forget()
            verb(*args)

    def _exists(self) -> bool:
        return os.path.lexists(f"{self._disk.root}/{layout.SPARE}")
