"""Serving: the item that is next, if it can be served."""

from __future__ import annotations

from pq_cli.core.item import Item
from pq_cli.core.order import choose, lane_of
from pq_cli.errors import DamagedItemError
from pq_cli.spool.disk.payload import needs_proof, open_verified
from pq_cli.spool.files import Files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def next_servable(files: Files, t: float, full: Callable[[str], bool]) -> Item | None:
    """Return the pending item that is next at `t`, or None. Called under the lock.

    full: see `core.order.choose`. Items whose payload is missing or torn are reported and passed
    over.
    """
    index = files.index
    while True:
        found = choose(index.lanes(), files.config, files.floors, t, index.head, full)
        for folder in index.empty_folders:
            files.tidy(folder)
        index.empty_folders.clear()
        files.clear_ended()
        if found is None:
            return None
        item = index.head_item(found[1])
        if _servable(files, item):
            return item


def _servable(files: Files, item: Item) -> bool:
    """Tell whether a head can be served; if not it is reported, or removed as superseded."""
    if item.key is not None and files.keys.superseded(item):
        files.erase(item)
        return False
    path = files.place(item)
    size = files.reader.size_of(path)
    if size is None and files.fetch_payload(item.id, path):
        size = files.reader.size_of(path)
    try:
        if size is None:
            raise DamagedItemError(f"item {item.id}: its payload is missing")
        if size != item.size or needs_proof(item):
            open_verified(item).close()
    except DamagedItemError as error:
        files.report(error)
        files.index.pass_over(lane_of(item), item.id)
        return False
    return True
