"""Serving: the item that is next, if it can be served."""

from __future__ import annotations

from pq_cli.core.item import Item
from pq_cli.core.order import choose
from pq_cli.errors import DamagedItemError
from pq_cli.spool.payload import needs_proof, open_verified
from pq_cli.spool.store import Store


def next_servable(store: Store, t: float) -> Item | None:
    """Return the pending item that is next at `t`, or None. Called under the lock.

    Items whose payload is missing or torn are reported and passed over.
    """
    index = store.index
    while True:
        found = choose(index.lanes(), store.config, store.floors, t, index.head)
        for folder in index.empty_folders:
            store.tidy(folder)
        index.empty_folders.clear()
        if found is None:
            return None
        item = index.head_item(found[1])
        if _servable(store, item):
            return item


def _servable(store: Store, item: Item) -> bool:
    """Tell whether a head can be served; if not it is reported, or removed as superseded."""
    if item.key is not None and store.keys.superseded(item):
        store.erase(item)
        return False
    path = store.place(item)
    size = store.reader.size_of(path)
    if size is None and store.fetch_payload(item.id, path):
        size = store.reader.size_of(path)
    try:
        if size is None:
            raise DamagedItemError(f"item {item.id}: its payload is missing")
        if size != item.size or needs_proof(item):
            open_verified(item).close()
    except DamagedItemError as error:
        store.report(error)
        store.index.drop(item.priority, item.id)
        return False
    return True
