"""Ties: who waits for whom. Looks for `check`, as in there; and telling whom nobody told."""

from __future__ import annotations

import os
import time
from functools import partial

from pq_cli.core.item import LIVE
from pq_cli.core.transitions import ties
from pq_cli.errors import DamagedItemError, NoSuchItemError
from pq_cli.queue.followers import tell
from pq_cli.spool.check.findings import Finding
from pq_cli.spool.check.paths import Paths
from pq_cli.spool.disk import layout
from pq_cli.spool.eventtail import read_log
from pq_cli.spool.files import Files
from pq_cli.spool.opening import open_state, read_config

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pq_cli.core.item import Item
    from pq_cli.spool.check.paths import Look
    from pq_cli.spool.disk.reader import Reader


def looks(paths: Paths) -> Iterator[Look]:
    """Yield a look at each thing in `after/`."""
    yield partial(paths.top, layout.AFTER)
    for name in sorted(paths.reader.names(layout.AFTER)):
        folder = f"{layout.AFTER}/{name}"
        if folder == layout.UNTOLD:
            for mark in sorted(paths.reader.names(folder)):
                yield partial(_untold, paths, f"{folder}/{mark}")
            continue
        if _id_of(name) is None:
            yield partial(paths.foreign, folder)
            continue
        for link in sorted(paths.reader.names(folder)):
            yield partial(_link, paths, _id_of(name) or 0, f"{folder}/{link}")
        yield partial(paths.folder, folder)


def untold(paths: Paths) -> Iterator[Finding]:
    """Yield the marks of those whose followers were not told."""
    for mark in sorted(paths.reader.names(layout.UNTOLD)):
        yield from (f for f in _untold(paths, f"{layout.UNTOLD}/{mark}") if f.kind == "untold")


def _id_of(name: str) -> int | None:
    parsed = layout.parse_name(name)
    return parsed[0] if parsed is not None and parsed[1] is None else None


def _untold(paths: Paths, path: str) -> list[Finding]:
    item_id = _id_of(os.path.basename(path))
    if item_id is None:
        return paths.foreign(path)
    there = os.path.lexists(f"{paths.reader.root}/{path}")
    detail = "those that follow it may not know how it ended"
    return [Finding(kind="untold", path=path, id=item_id, detail=detail)] if there else []


def _link(paths: Paths, before: int, path: str) -> list[Finding]:
    item_id = _id_of(os.path.basename(path))
    if item_id is None:
        return paths.foreign(path)
    if not os.path.lexists(f"{paths.reader.root}/{path}"):
        return []
    try:
        tied = before in ties(paths.reader.find(item_id))
    except (NoSuchItemError, DamagedItemError):
        tied = False
    detail = f"item {item_id} does not wait for item {before}"
    return [] if tied else [Finding(kind="follower", path=path, id=item_id, detail=detail)]


def unlinked(reader: Reader, item: Item, path: str) -> list[Finding]:
    """Look whether an item that waits is linked with those that it waits for and that are there."""
    missing = [
        before
        for before in ties(item)
        if not os.path.lexists(f"{reader.root}/{layout.follower_path(before, item.id)}")
    ]
    detail = f"waits for item {', '.join(map(str, missing))}, which does not know"
    return [Finding(kind="unlinked", path=path, id=item.id, detail=detail)] if missing else []


class _Telling:
    """What telling needs of a store: the files of one, under its lock."""

    def __init__(self, files: Files) -> None:
        self.untold = files.untold
        self.followers = files.followers
        self.owner = files.keys.owner
        self.now = time.time
        self._files = files

    def find(self, item_id: int, claim: int | None = None) -> Item:
        return self._files.reader.find(item_id, claim)

    def events(self) -> Iterator[dict[str, Any]]:
        return read_log(self._files.root)


def _put(files: Files, before: Item, after: Item) -> Item:
    """Keep what became of a follower: one that is brought back has its key again."""
    if after.key is not None and after.state in LIVE and before.state not in LIVE:
        files.keys.give(after.key, after.id)
    return files.move(before, after)


def tell_all(root: str, lock_timeout: float) -> None:
    """Tell all in the spool at `root` that were not told, for `check --repair`."""
    files = Files(root, read_config(root), open_state(root), lock_timeout, lambda _: None)
    try:
        with files:
            files.followers.look()
            tell(_Telling(files), partial(_put, files))  # type: ignore[arg-type]
    finally:
        files.close()
