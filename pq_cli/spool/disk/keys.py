"""Keys: `keys/NAME` is a symbolic link whose text is the id of the live item with that key.

The link is a hint that is always checked against the item it names. It is there before
the item is (so two can never share a key) and goes after it; a link to an item that is gone
or has ended means that the key is free.
"""

from __future__ import annotations

import os

from pq_cli.core.item import LIVE, Item, parse_reference
from pq_cli.errors import DamagedItemError, NoSuchItemError, UsageError
from pq_cli.spool.disk import layout
from pq_cli.spool.disk.durable import Disk
from pq_cli.spool.disk.reader import Reader


class Keys:
    """The keys of one spool; used under the lock only."""

    def __init__(self, reader: Reader, disk: Disk) -> None:
        self._reader = reader
        self._disk = disk

    def owner(self, key: str) -> Item | None:
        """Return the live item that has `key`, or None when the key is free."""
        item_id = self._named(key)
        item = None if item_id is None else self.live(item_id)
        return item if item is not None and item.key == key else None

    def live(self, item_id: int) -> Item | None:
        """Return the item if there is one that can be read and has not ended."""
        try:
            item = self._reader.find(item_id)
        except (NoSuchItemError, DamagedItemError):
            return None
        return item if item.state in LIVE else None

    def give(self, key: str, item_id: int, *, sync: bool = True) -> None:
        """Let `key` name this item, whatever it named before; if `sync`, durably in "full"."""
        tmp = layout.tmp_name("key")
        self._disk.link_text(layout.key_path(key), str(item_id), tmp, sync=sync)

    def free(self, item: Item) -> None:
        """Free the item's key, if it has one and the link names this item."""
        if item.key is not None and self._named(item.key) == item.id:
            self._disk.discard(layout.key_path(item.key))

    def free_all(self, ids: set[int]) -> None:
        """Free the keys that name one of these ids."""
        for name in self._reader.names(layout.KEYS):
            if self.read_link(f"{layout.KEYS}/{name}") in ids:
                self._disk.discard(f"{layout.KEYS}/{name}")

    def superseded(self, item: Item) -> bool:
        """Tell whether another live item has this item's key: a replace that a crash cut short."""
        if item.key is None or self._named(item.key) == item.id:
            return False
        other = self.owner(item.key)
        if other is None:
            self.give(item.key, item.id, sync=False)  # as little promised as the claim itself
        return other is not None

    def _named(self, key: str) -> int | None:
        return self.read_link(layout.key_path(key))

    def read_link(self, path: str) -> int | None:
        """Return the id that a link in `keys/` names, or None when it names none."""
        try:
            return parse_reference(os.readlink(f"{self._disk.root}/{path}"))[0]
        except (OSError, UsageError):
            return None
