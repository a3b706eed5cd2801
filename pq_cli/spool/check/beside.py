"""What lies beside the items: logs, imports, workers. Looks for `check`, as in there."""

from __future__ import annotations

import os
import time
from functools import partial

from pq_cli.spool.check.findings import Finding
from pq_cli.spool.check.pairs import Pairs, home_of
from pq_cli.spool.disk import layout
from pq_cli.spool.disk.lock import is_locked
from pq_cli.spool.disk.reader import Reader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Look = Callable[[], list[Finding]]

FOLDERS = (layout.LOGS, layout.IMPORTS, layout.WORKERS, layout.QUARANTINE)
"""Folders that are made at the first need: none of them is missing."""
_BATCH = f"{layout.IMPORTS}/batch"


class Annexes:
    """The annexes of one spool.

    rights, folder, foreign: the looks of `check` at the mode and owner of a path, at a folder, and
    at a name that does not belong where it is. known: whether the walk has met an id.
    stale_after: seconds without a change before which no lock is tried: to try one may be in its
    owner's way.
    """

    def __init__(
        self,
        reader: Reader,
        pairs: Pairs,
        *,
        rights: Callable[[str], list[Finding]],
        folder: Callable[[str], list[Finding]],
        foreign: Callable[[str], list[Finding]],
        known: Callable[[int], bool],
        stale_after: float,
    ) -> None:
        self._reader = reader
        self._pairs = pairs
        self._rights = rights
        self._folder = folder
        self._foreign = foreign
        self._known = known
        self._stale_after = stale_after

    def looks(self) -> Iterator[Look]:
        """Yield a look at each thing there; after those at the items."""
        for name in FOLDERS:
            yield partial(self._top, name)
        yield from self._logs()
        yield from self._imports()
        for name in self._names(layout.WORKERS):
            path = f"{layout.WORKERS}/{name}"
            if layout.worker_lock(name) is None:
                yield partial(self._foreign, path)
                continue
            yield partial(self._rights, path)
            yield partial(self._worker, path)

    def _names(self, folder: str) -> list[str]:
        return sorted(n for n in self._reader.names(folder) if not n.startswith(".nfs"))

    def _top(self, path: str) -> list[Finding]:
        full = f"{self._reader.root}/{path}"
        if os.path.lexists(full) and (os.path.islink(full) or not os.path.isdir(full)):
            return [Finding(kind="foreign", path=path, detail="is a link or no folder")]
        return self._rights(path)

    def _logs(self) -> Iterator[Look]:
        for block in self._names(layout.LOGS):
            folder = f"{layout.LOGS}/{block}"
            if layout.parse_number(block, 7) is None:
                yield partial(self._foreign, folder)
                continue
            for name in self._names(folder):
                parsed = layout.parse_name(name)
                if parsed is None or parsed[1] is not None:
                    yield partial(self._foreign, f"{folder}/{name}")
                    continue
                for log in self._names(f"{folder}/{name}"):
                    yield partial(self._log, parsed[0], f"{folder}/{name}/{log}")
                yield partial(self._folder, f"{folder}/{name}")
            yield partial(self._folder, folder)

    def _log(self, item_id: int, path: str) -> list[Finding]:
        if layout.parse_log_name(os.path.basename(path)) is None:
            return self._foreign(path)
        if not os.path.lexists(f"{self._reader.root}/{path}"):
            return []
        if not self._known(item_id) and home_of(self._reader, item_id) is None:
            return [Finding(kind="log", path=path, id=item_id, detail="its item is gone")]
        return self._rights(path)

    def _imports(self) -> Iterator[Look]:
        for name in self._names(layout.IMPORTS):
            path = f"{layout.IMPORTS}/{name}"
            if path == _BATCH:
                yield self._batch
            elif (
                name in ("lock", "left")
                or name.endswith((".taken", ".json"))
                or path == layout.HANDOVER
            ):
                yield partial(self._rights, path)
            else:
                yield partial(self._foreign, path)

    def _batch(self) -> list[Finding]:
        if not self._is_stale(_BATCH) or is_locked(f"{self._reader.root}/{layout.IMPORTS}/lock"):
            return []
        return [Finding(kind="tmp", path=_BATCH, detail="its import did not come to its end")]

    def _worker(self, path: str) -> list[Finding]:
        if not self._is_stale(path) or is_locked(f"{self._reader.root}/{path}"):
            return []
        return [Finding(kind="worker", path=path, detail="nobody holds it")]

    def _is_stale(self, path: str) -> bool:
        try:
            still = time.time() - os.lstat(f"{self._reader.root}/{path}").st_mtime
        except FileNotFoundError:
            return False
        return still >= self._stale_after
