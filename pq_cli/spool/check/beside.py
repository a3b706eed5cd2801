"""What lies beside the items: logs, imports, workers. Looks for `check`, as in there."""

from __future__ import annotations

import os
from functools import partial

from pq_cli.spool.check.findings import Finding
from pq_cli.spool.check.pairs import home_of
from pq_cli.spool.check.paths import Paths
from pq_cli.spool.disk import layout
from pq_cli.spool.disk.lock import is_locked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pq_cli.spool.check.paths import Look

FOLDERS = (layout.LOGS, layout.IMPORTS, layout.WORKERS, layout.QUARANTINE)
"""Folders that are made at the first need: none of them is missing."""
_BATCH = f"{layout.IMPORTS}/batch"


class Annexes:
    """The annexes of one spool.

    known: whether the walk has met an id. Of what was written lately no lock is tried: to try one
    may be in its owner's way.
    """

    def __init__(self, paths: Paths, known: Callable[[int], bool]) -> None:
        self._paths = paths
        self._reader = paths.reader
        self._known = known

    def looks(self) -> Iterator[Look]:
        """Yield a look at each thing there; after those at the items."""
        for name in FOLDERS:
            yield partial(self._paths.top, name)
        yield from self._logs()
        yield from self._imports()
        for name in self._names(layout.WORKERS):
            path = f"{layout.WORKERS}/{name}"
            if layout.worker_lock(name) is None:
                yield partial(self._paths.foreign, path)
                continue
            yield partial(self._paths.rights, path)
            yield partial(self._worker, path)

    def _names(self, folder: str) -> list[str]:
        return sorted(n for n in self._reader.names(folder) if not n.startswith(".nfs"))

    def _logs(self) -> Iterator[Look]:
        for block in self._names(layout.LOGS):
            folder = f"{layout.LOGS}/{block}"
            if layout.parse_number(block, 7) is None:
                yield partial(self._paths.foreign, folder)
                continue
            for name in self._names(folder):
                parsed = layout.parse_name(name)
                if parsed is None or parsed[1] is not None:
                    yield partial(self._paths.foreign, f"{folder}/{name}")
                    continue
                for log in self._names(f"{folder}/{name}"):
                    yield partial(self._log, parsed[0], f"{folder}/{name}/{log}")
                yield partial(self._paths.folder, f"{folder}/{name}")
            yield partial(self._paths.folder, folder)

    def _log(self, item_id: int, path: str) -> list[Finding]:
        if layout.parse_log_name(os.path.basename(path)) is None:
            return self._paths.foreign(path)
        if not os.path.lexists(f"{self._reader.root}/{path}"):
            return []
        if not self._known(item_id) and home_of(self._reader, item_id) is None:
            return [Finding(kind="log", path=path, id=item_id, detail="its item is gone")]
        return self._paths.rights(path)

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
                yield partial(self._paths.rights, path)
            else:
                yield partial(self._paths.foreign, path)

    def _batch(self) -> list[Finding]:
        if self._paths.unwritten_for(_BATCH) is None or is_locked(
            f"{self._reader.root}/{layout.IMPORTS}/lock"
        ):
            return []
        return [Finding(kind="tmp", path=_BATCH, detail="its import did not come to its end")]

    def _worker(self, path: str) -> list[Finding]:
        if self._paths.unwritten_for(path) is None or is_locked(f"{self._reader.root}/{path}"):
            return []
        return [Finding(kind="worker", path=path, detail="nobody holds it")]
