"""Glance: whether a folder has names in it, for the price of one stat while it stays empty.

A folder in which nothing was made, renamed or removed since it was found empty is empty still. Time
stamps move in steps, so what came within one step after the look does not show in them: a look
counts only when the folder had been still for longer than any step, by the same clock.
"""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pq_cli.spool.reader import Reader

_STEP = 2.0
"""Seconds between two time stamps that every file system tells apart (FAT: 2 s)."""
_FINE_STEP = 0.1
"""The same where stamps have fractions of a second: the kernel's clock ticks every 1 to 10 ms."""
_TRUSTED = 1.0
"""Seconds for which a look counts at the most: a server's clock may differ from ours."""


class Glance:
    """Watches one folder of a spool for one process."""

    def __init__(self, reader: Reader, folder: str) -> None:
        self._reader = reader
        self._folder = folder
        self._path = f"{reader.root}/{folder}"
        self._empty_since: int | None = None
        self._looked = 0.0

    def __call__(self) -> bool:
        """Tell whether there is anything in the folder. No folder is an empty one."""
        try:
            changed = os.lstat(self._path).st_mtime_ns
        except OSError:
            return bool(self._reader.names(self._folder))
        now = time.time()
        if changed == self._empty_since and 0 <= now - self._looked < _TRUSTED:
            return False
        found = bool(self._reader.names(self._folder))
        still = now - changed / 1e9 > (_FINE_STEP if changed % 10**9 else _STEP)
        self._empty_since, self._looked = changed if still and not found else None, now
        return found
