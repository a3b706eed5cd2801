"""Limits: whether one more item of a limit may be at work, as the policy says at this moment."""

from __future__ import annotations

import os

from pq_cli.errors import ConfigError
from pq_cli.spool.disk import layout
from pq_cli.spool.files import Files
from pq_cli.spool.opening import read_config

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


class SpoolLimits:
    """The limits of one spool. Under its lock, and asked only where an item has one.

    given: what the queue was opened with in the stead of queue.toml; None: that file, which is read
    anew when it has changed, so that a worker that stays follows it at once. One that is wrong
    changes nothing: whoever opens the spool next says what is wrong with it.
    """

    def __init__(self, files: Files, given: Mapping[str, int] | None) -> None:
        self._files = files
        self._given = given
        self._most: Mapping[str, int] = files.config.limits
        self._seen: tuple[int, ...] | None = None

    def full(self, limit: str) -> bool:
        """Tell whether as many items of a limit are at work as may be."""
        return self._files.index.at_work(limit) >= self.now().get(limit, 1)

    def now(self) -> Mapping[str, int]:
        """Return how many items of each limit may be at work; of those it lacks, one."""
        if self._given is not None:
            return self._given
        try:
            info = os.lstat(f"{self._files.root}/{layout.CONFIG}")
            look: tuple[int, ...] = (info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns)
        except OSError:
            look = (0,)
        if look != self._seen:
            self._seen = look
            try:
                self._most = read_config(self._files.root).limits
            except (ConfigError, OSError):
                pass
        return self._most
