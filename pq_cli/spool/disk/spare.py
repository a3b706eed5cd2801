"""The spare: room that is given up when the disk is full, so that work can still be ended.

A claim writes a meta, and so does a failure; on a disk without blocks, or without inodes, neither
could, and the queue that fills the disk could not be drained. So the verbs of those who work and
of those who clear up try again without a piece of the spare, and what they leave over makes it
whole again.
"""

from __future__ import annotations

import errno
import os

from pq_cli.errors import SpoolIOError
from pq_cli.spool.disk import layout
from pq_cli.spool.disk.durable import Disk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    T = TypeVar("T")

SIZE = 32 * 1024
"""Bytes: room for some metas and the growth of a folder on file systems with blocks of 4 KiB."""
INODES = 16
"""Empty files: a worker's lock, a meta beside the old one, and the folders of some states."""
_FULL = (errno.ENOSPC, errno.EDQUOT)


def is_full(error: OSError) -> bool:
    """Tell whether the error means that there is no room."""
    return error.errno in _FULL


class Spare:
    """The spare of one spool; used under the lock only."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._whole = False

    def is_whole(self) -> bool:
        """Tell whether nothing of the spare is missing. Looks only."""
        whole = self._whole or (len(self._inodes()) >= INODES and self._exists(layout.SPARE))
        self._whole = whole
        return whole

    def keep(self) -> bool:
        """Have a spare, as far as there is room for one; tell whether it is whole."""
        if self._whole:
            return True
        try:
            self._keep_inodes()
            if not self._exists(layout.SPARE):
                self._disk.write_new(layout.SPARE, os.urandom(SIZE), sync=False)
        except (OSError, SpoolIOError):
            return False
        self._whole = True
        return True

    def _keep_inodes(self) -> None:
        there = set(self._inodes())
        if not there:
            self._disk.make_dir(layout.SPARES, durable=False)
        for name in map(str, range(INODES)):
            if name not in there:
                self._disk.write_new(f"{layout.SPARES}/{name}", b"", sync=False)

    def behind(self, verb: Callable[..., T], *args: object) -> T:
        """Return `verb(*args)`, which can be done twice; while the disk is full, give up a piece.

        Inodes that it leaves over are ours again at once; blocks, at the next item that is done.
        """
        given = False
        while True:
            try:
                done = verb(*args)
            except OSError as error:
                if not is_full(error) or not self._give():
                    raise
                given = True
            else:
                break
        if given:
            try:
                self._keep_inodes()
            except (OSError, SpoolIOError):
                pass
        return done

    def _give(self) -> bool:
        """Give up one piece, those without blocks first; tell whether there was one."""
        self._disk.tell_others()  # others remember that it is whole
        self._whole = False
        try:
            for name in self._inodes()[:1]:
                self._disk.discard(f"{layout.SPARES}/{name}")
                return True
            if self._exists(layout.SPARES) and self._disk.remove_dir(layout.SPARES):
                return True
        except (OSError, SpoolIOError):
            pass  # something else lies in its place
        if not self._exists(layout.SPARE):
            return False
        self._disk.discard(layout.SPARE)
        return True

    def _inodes(self) -> list[str]:
        try:
            return os.listdir(f"{self._disk.root}/{layout.SPARES}")
        except OSError:
            return []

    def _exists(self, name: str) -> bool:
        return os.path.lexists(f"{self._disk.root}/{name}")
