"""What can be wrong with a path in a spool by itself: whose it is, what it is, how old."""

from __future__ import annotations

import os
import stat
import time
from functools import partial

from pq_cli.spool.check.findings import Finding
from pq_cli.spool.disk import layout
from pq_cli.spool.disk.reader import Reader
from pq_cli.spool.disk.state import last_given

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Look = Callable[[], list[Finding]]
    """Returns what is wrong now."""
    Levels = tuple[Callable[[str], object], ...]
    """What reads the names of the folders below one, level by level; None: not ours."""

_IGNORED = (".nfs", "lost+found")
_APART = (layout.LIMITS, layout.UNTOLD)
"""Folders among others of another kind; they are walked by themselves."""


class Paths:
    """The paths of one spool. stale_after: see `check.STALE_AFTER`."""

    def __init__(self, reader: Reader, stale_after: float) -> None:
        self.reader = reader
        self._stale_after = stale_after
        self._owner = os.stat(reader.root).st_uid

    def walk(
        self,
        folder: str,
        levels: Levels,
        leaf: Callable[[str, list[str]], Iterator[Look | None]],
    ) -> Iterator[Look | None]:
        """Yield what `leaf` gives for each folder at the last of the levels, and its names there.

        And a look at each folder on the way, and at each name that does not belong there.
        """
        names = sorted(n for n in self.reader.names(folder) if not n.startswith(_IGNORED))
        names = [name for name in names if f"{folder}/{name}" not in _APART]
        if not levels:
            yield from leaf(folder, names)
            return
        for name in names:
            path = f"{folder}/{name}"
            if levels[0](name) is None:
                yield partial(self.foreign, path)
                continue
            yield from self.walk(path, levels[1:], leaf)
            yield partial(self.folder, path)  # after what may have emptied it

    def each(
        self, look: Callable[[str], list[Finding]], folder: str, names: list[str]
    ) -> Iterator[Look]:
        """Yield `look` at each path in a folder, as long as something is there."""
        for name in names:
            yield partial(self._at, look, f"{folder}/{name}")

    def _at(self, look: Callable[[str], list[Finding]], path: str) -> list[Finding]:
        return look(path) if self._lstat(path) is not None else []

    def _lstat(self, path: str) -> os.stat_result | None:
        try:
            return os.lstat(f"{self.reader.root}/{path}")
        except (FileNotFoundError, NotADirectoryError):
            return None

    def rights(self, path: str) -> list[Finding]:
        """Look whether it is the spool's owner's, and whether others may read or write it."""
        info = self._lstat(path)
        if info is None:
            return []
        found = []
        if info.st_uid != self._owner:
            detail = f"belongs to uid {info.st_uid}, the spool to uid {self._owner}"
            found.append(Finding(kind="owner", path=path, detail=detail))
        if info.st_mode & 0o077 & ~self._granted(path) and not stat.S_ISLNK(info.st_mode):
            detail = f"its mode is {stat.S_IMODE(info.st_mode):04o}"
            found.append(Finding(kind="mode", path=path, detail=detail))
        return found

    def _granted(self, path: str) -> int:
        """Return the rights of others that `pq init --drop-mode` may have given."""
        if path == layout.NEW:
            return 0o077
        info = None if path else self._lstat(layout.NEW)
        return 0 if info is None else layout.root_mode(info.st_mode)

    def top(self, path: str) -> list[Finding]:
        """Look at a folder at the top of the spool: it may be missing."""
        info = self._lstat(path)
        if info is not None and not stat.S_ISDIR(info.st_mode):
            return [Finding(kind="foreign", path=path, detail="is a link or no folder")]
        return self.rights(path)

    def folder(self, path: str) -> list[Finding]:
        """Look at a folder below: it should not be empty, but where the next items will go."""
        found = self.top(path)
        there = not found or found[0].kind != "foreign"
        if there and self._lstat(path) and not self.reader.names(path) and not self._newest(path):
            found.append(Finding(kind="empty", path=path, detail="is empty"))
        return found

    def _newest(self, path: str) -> bool:
        """Tell whether the next items will go into this folder of `pending`, or below it.

        Or the next claims into one of `active`.
        """
        kind, *rest = path.split("/")
        if kind == "active":
            return True
        newest = (last_given(self.reader.root) or 0) // layout.BLOCK_SIZE
        return kind == "pending" and (len(rest) < 2 or int(rest[1]) >= newest)

    def foreign(self, path: str) -> list[Finding]:
        """Look whether what does not belong there is still there."""
        if self._lstat(path) is None:
            return []
        return [Finding(kind="foreign", path=path, detail="does not belong there")]

    def unwritten_for(self, path: str) -> float | None:
        """Return the seconds since it was written, or None: it is gone, or not stale yet."""
        info = self._lstat(path)
        still = 0.0 if info is None else time.time() - info.st_mtime
        return still if info is not None and still >= self._stale_after else None
