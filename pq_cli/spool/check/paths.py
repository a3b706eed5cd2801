"""Looks at paths of a spool: what can be wrong with one by itself, and with all that is no item.

That is keys, logs, imports, workers, who waits for whom.
"""

from __future__ import annotations

import os
import stat
import time
from functools import partial

from pq_cli.core.item import LIVE
from pq_cli.core.transitions import ties
from pq_cli.errors import DamagedItemError, NoSuchItemError
from pq_cli.spool.check.findings import Finding
from pq_cli.spool.check.pairs import home_of
from pq_cli.spool.disk import layout
from pq_cli.spool.disk.keys import Keys
from pq_cli.spool.disk.lock import is_locked
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
_UNMADE = (layout.LOGS, layout.IMPORTS, layout.WORKERS, layout.QUARANTINE, layout.AFTER)
"""Folders that are made at the first need: none of them is missing."""


class Paths:
    """The paths of one spool. stale_after: see `check.STALE_AFTER`."""

    def __init__(self, reader: Reader, keys: Keys, stale_after: float) -> None:
        self._reader = reader
        self._keys = keys
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
        names = sorted(n for n in self._reader.names(folder) if not n.startswith(_IGNORED))
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
            return os.lstat(f"{self._reader.root}/{path}")
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
        if there and self._lstat(path) and not self._reader.names(path) and not self._newest(path):
            found.append(Finding(kind="empty", path=path, detail="is empty"))
        return found

    def _newest(self, path: str) -> bool:
        """Tell whether the next items will go into this folder of `pending`, or below it.

        Or the next claims into one of `active`.
        """
        kind, *rest = path.split("/")
        if kind == "active":
            return True
        newest = (last_given(self._reader.root)[0] or 0) // layout.BLOCK_SIZE
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

    def beside(self, known: Callable[[int], bool]) -> Iterator[Look | None]:
        """Yield a look at each thing that is no item. known: whether a look at items met an id.

        Of what was written lately no lock is tried: to try one may be in its owner's way.
        """
        for name in _UNMADE:
            yield partial(self.top, name)
        for folder, levels, look in (
            (layout.KEYS, (), self._key),
            (layout.LOGS, (layout.parse_block, layout.parse_id), partial(self._log, known)),
            (layout.IMPORTS, (), self._import),
            (layout.WORKERS, (), self._worker),
            (layout.AFTER, (layout.parse_id,), self._link),
        ):
            yield from self.walk(folder, levels, partial(self.each, look))
        yield from self.untold()

    def _key(self, path: str) -> list[Finding]:
        ids = self._keys.read_link(path)
        for item in map(self._keys.live, ids):
            if item is not None and item.key is not None and layout.key_path(item.key) == path:
                return []
        first = ids[0] if ids else None
        return [Finding(kind="key", path=path, id=first, detail="names no item that has it")]

    def _log(self, known: Callable[[int], bool], path: str) -> list[Finding]:
        folder, name = os.path.split(path)
        if layout.parse_log_name(name) is None:
            return self.foreign(path)
        item_id = layout.parse_id(os.path.basename(folder)) or 0
        if not known(item_id) and home_of(self._reader, item_id) is None:
            return [Finding(kind="log", path=path, id=item_id, detail="its item is gone")]
        return self.rights(path)

    def _import(self, path: str) -> list[Finding]:
        if path == layout.BATCH:
            if not self._is_left(path, layout.IMPORT_LOCK):
                return []
            return [Finding(kind="tmp", path=path, detail="its import did not come to its end")]
        ours = path == layout.HANDOVER or path.endswith(("/lock", "/left", ".taken", ".json"))
        return self.rights(path) if ours else self.foreign(path)

    def _worker(self, path: str) -> list[Finding]:
        if layout.worker_lock(os.path.basename(path)) is None:
            return self.foreign(path)
        left = self._is_left(path, path)
        gone = [Finding(kind="worker", path=path, detail="nobody holds it")] if left else []
        return self.rights(path) + gone

    def _is_left(self, path: str, lock: str) -> bool:
        """Tell whether a path was not written for long, and nobody holds its lock."""
        return self.unwritten_for(path) is not None and not is_locked(f"{self._reader.root}/{lock}")

    def _link(self, path: str) -> list[Finding]:
        folder, name = os.path.split(path)
        item_id = layout.parse_id(name)
        if item_id is None:
            return self.foreign(path)
        before = layout.parse_id(os.path.basename(folder))
        try:
            if before in ties(self._reader.find(item_id)):
                return []
        except (NoSuchItemError, DamagedItemError):
            pass
        detail = f"item {item_id} does not wait for item {before}"
        return [Finding(kind="follower", path=path, id=item_id, detail=detail)]

    def untold(self) -> Iterator[Look | None]:
        """Yield a look at each mark of an item whose followers were not told."""
        return self.walk(layout.UNTOLD, (), partial(self.each, self._untold))

    def _untold(self, path: str) -> list[Finding]:
        name = os.path.basename(path)
        item_id = layout.parse_id(name.removesuffix(layout.SOON))
        if item_id is None:
            return self.foreign(path)
        if name.endswith(layout.SOON) and (home_of(self._reader, item_id) or "").startswith(LIVE):
            return []  # it has not ended
        detail = "those that follow it may not know how it ended"
        return [Finding(kind="untold", path=path, id=item_id, detail=detail)]
