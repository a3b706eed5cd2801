"""Logs: what the attempts at an item wrote, kept in `logs/` as long as the item.

Each is one file: a line of JSON that says how the attempt ended, then what it wrote.
"""

from __future__ import annotations

import errno
import os

from pq_cli.core.item import MAX_HISTORY
from pq_cli.spool.disk import layout
from pq_cli.spool.disk.durable import Disk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO


class AttemptLogs:
    """The logs of one spool; written under the lock only. has_room: whether they may take any."""

    def __init__(self, disk: Disk, has_room: Callable[[], bool]) -> None:
        self._disk = disk
        self._has_room = has_room
        self._none = False

    def write(self, item_id: int, claim: int, content: bytes) -> None:
        """Keep the log of one attempt; the oldest goes when an item has more than its history.

        Raises OSError (ENOSPC) when only the spare is left, which settling may need.
        """
        folder = layout.log_folder(item_id)
        path = f"{folder}/{claim}{layout.LOG_END}"
        if not self._has_room():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), f"{self._disk.root}/{path}")
        if not self.any():
            self._disk.tell_others()  # others remember that there is none
            self._none = False
        try:
            self._disk.make_dir(folder)
            for old in self.claims(item_id)[: 1 - MAX_HISTORY]:
                self._disk.discard(f"{folder}/{old}{layout.LOG_END}")
            # Not synced: a torn log after a power loss says little less than none.
            self._disk.write_new(path, content, sync=False)
        except OSError:
            self._tidy(folder)
            raise

    def claims(self, item_id: int) -> list[int]:
        """Return the claim numbers that have a log, oldest first."""
        try:
            names = os.listdir(f"{self._disk.root}/{layout.log_folder(item_id)}")
        except (FileNotFoundError, NotADirectoryError):
            return []
        claims = (layout.parse_log_name(name) for name in names)
        return sorted(claim for claim in claims if claim is not None)

    def path(self, item_id: int, claim: int) -> str:
        """Return where the log of one attempt lies."""
        return f"{self._disk.root}/{layout.log_folder(item_id)}/{claim}{layout.LOG_END}"

    def open(self, item_id: int, claim: int) -> BinaryIO:
        """Return the log of one attempt, from its start. Raises FileNotFoundError."""
        return open(self.path(item_id, claim), "rb")

    def any(self) -> bool:
        """Tell whether there may be a log of any item."""
        self._none = self._none or not os.path.lexists(f"{self._disk.root}/{layout.LOGS}")
        return not self._none

    def remove(self, item_id: int) -> None:
        """Remove an item's logs."""
        if not self.any():
            return
        claims = self.claims(item_id)
        if not claims:
            return
        folder = layout.log_folder(item_id)
        for claim in claims:
            self._disk.discard(f"{folder}/{claim}{layout.LOG_END}")
        self._tidy(folder)

    def _tidy(self, folder: str) -> None:
        if self._disk.remove_dir(folder):
            self._disk.remove_dir(os.path.dirname(folder))
