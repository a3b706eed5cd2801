"""What lies beside the items: keys, logs, imports, workers, who waits for whom. For `check`."""

from __future__ import annotations

import os
from functools import partial

from pq_cli.core.transitions import ties
from pq_cli.errors import DamagedItemError, NoSuchItemError
from pq_cli.spool.check.findings import Finding
from pq_cli.spool.check.pairs import home_of
from pq_cli.spool.check.paths import Paths
from pq_cli.spool.disk import layout
from pq_cli.spool.disk.keys import Keys
from pq_cli.spool.disk.lock import is_locked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pq_cli.spool.check.paths import Look

_UNMADE = (layout.LOGS, layout.IMPORTS, layout.WORKERS, layout.QUARANTINE, layout.AFTER)
"""Folders that are made at the first need: none of them is missing."""
_BATCH = f"{layout.IMPORTS}/batch"


def looks(paths: Paths, keys: Keys, known: Callable[[int], bool]) -> Iterator[Look | None]:
    """Yield a look at each thing there; after those at the items. known: if these had an id.

    Of what was written lately no lock is tried: to try one may be in its owner's way.
    """
    for name in _UNMADE:
        yield partial(paths.top, name)
    for folder, levels, look in (
        (layout.KEYS, (), partial(_key, keys)),
        (layout.LOGS, (layout.parse_block, layout.parse_id), partial(_log, paths, known)),
        (layout.IMPORTS, (), partial(_import, paths)),
        (layout.WORKERS, (), partial(_worker, paths)),
        (layout.AFTER, (layout.parse_id,), partial(_link, paths)),
    ):
        yield from paths.walk(folder, levels, partial(paths.each, look))
    yield from untold(paths)


def _key(keys: Keys, path: str) -> list[Finding]:
    item_id = keys.read_link(path)
    item = None if item_id is None else keys.live(item_id)
    if item is not None and item.key is not None and layout.key_path(item.key) == path:
        return []
    return [Finding(kind="key", path=path, id=item_id, detail="names no item that has it")]


def _log(paths: Paths, known: Callable[[int], bool], path: str) -> list[Finding]:
    folder, name = os.path.split(path)
    if layout.parse_log_name(name) is None:
        return paths.foreign(path)
    item_id = layout.parse_id(os.path.basename(folder)) or 0
    if not known(item_id) and home_of(paths.reader, item_id) is None:
        return [Finding(kind="log", path=path, id=item_id, detail="its item is gone")]
    return paths.rights(path)


def _import(paths: Paths, path: str) -> list[Finding]:
    if path == _BATCH:
        if not _is_left(paths, path, f"{layout.IMPORTS}/lock"):
            return []
        return [Finding(kind="tmp", path=path, detail="its import did not come to its end")]
    ours = path == layout.HANDOVER or path.endswith(("/lock", "/left", ".taken", ".json"))
    return paths.rights(path) if ours else paths.foreign(path)


def _worker(paths: Paths, path: str) -> list[Finding]:
    if layout.worker_lock(os.path.basename(path)) is None:
        return paths.foreign(path)
    left = _is_left(paths, path, path)
    gone = [Finding(kind="worker", path=path, detail="nobody holds it")] if left else []
    return paths.rights(path) + gone


def _is_left(paths: Paths, path: str, lock: str) -> bool:
    """Tell whether a path was not written for long, and nobody holds its lock."""
    return paths.unwritten_for(path) is not None and not is_locked(f"{paths.reader.root}/{lock}")


def _link(paths: Paths, path: str) -> list[Finding]:
    folder, name = os.path.split(path)
    item_id = layout.parse_id(name)
    if item_id is None:
        return paths.foreign(path)
    before = layout.parse_id(os.path.basename(folder))
    try:
        if before in ties(paths.reader.find(item_id)):
            return []
    except (NoSuchItemError, DamagedItemError):
        pass
    detail = f"item {item_id} does not wait for item {before}"
    return [Finding(kind="follower", path=path, id=item_id, detail=detail)]


def untold(paths: Paths) -> Iterator[Look | None]:
    """Yield a look at each mark of an item whose followers were not told."""
    return paths.walk(layout.UNTOLD, (), partial(paths.each, partial(_untold, paths)))


def _untold(paths: Paths, path: str) -> list[Finding]:
    item_id = layout.parse_id(os.path.basename(path))
    if item_id is None:
        return paths.foreign(path)
    detail = "those that follow it may not know how it ended"
    return [Finding(kind="untold", path=path, id=item_id, detail=detail)]
