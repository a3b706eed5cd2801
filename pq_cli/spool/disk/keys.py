"""Keys: `keys/NAME` is a symbolic link whose text is the id of the live item with that key.

The link is a hint that is always checked against the item it names. It is there before the
item is (so two can never share a key) and goes after it; a link to an item that is gone
or has ended means that the key is free.

Of an item that takes the place of another the link names both, the newest first (`18.17`), until
the new one, and then the end of the old one, are durable: a power loss may leave either. The first
of them that lives has the key; see `spool.replacing`.
"""

from __future__ import annotations

import os

from pq_cli.core.item import LIVE, Item, whole
from pq_cli.errors import DamagedItemError, NoSuchItemError
from pq_cli.spool.disk import layout
from pq_cli.spool.disk.durable import Disk
from pq_cli.spool.disk.reader import Reader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


class Keys:
    """The keys of one spool; used under the lock only."""

    def __init__(self, reader: Reader, disk: Disk) -> None:
        self._reader = reader
        self._disk = disk

    def owner(self, key: str) -> Item | None:
        """Return the live item that has `key`, or None when the key is free."""
        ids = self.named(key)
        for item in filter(None, self._alive(key, ids)):
            if item.id == ids[-1] or self._has_payload(item):
                return item
        return None

    def live(self, item_id: int) -> Item | None:
        """Return the item if there is one that can be read and has not ended."""
        try:
            item = self._reader.find(item_id)
        except (NoSuchItemError, DamagedItemError):
            return None
        return item if item.state in LIVE else None

    def replaced_by(self, item: Item) -> list[Item | None]:
        """Return what an item takes the place of, as its key says; None for each that is gone.

        That may not be durable yet.
        """
        key = item.key or ""
        ids = self.named(key)
        if item.id not in ids[:-1] or not self._has_payload(item):
            return []
        return list(self._alive(key, ids[ids.index(item.id) + 1 :]))

    def _has_payload(self, item: Item) -> bool:
        """Tell whether an item has its payload: one that is not durable may come back without."""
        home = layout.payload_path(item)
        there = self._reader.size_of(home) is not None
        return there or self._reader.stray_payload(item.id, home) is not None

    def _alive(self, key: str, ids: Iterable[int]) -> Iterator[Item | None]:
        for item in map(self.live, ids):
            yield item if item is not None and item.key == key else None

    def give(self, key: str, *ids: int, sync: bool = True) -> None:
        """Let `key` name these, whatever it named before; if `sync`, durably in "full"."""
        self._name(layout.key_path(key), ids, sync=sync)

    def free(self, item: Item) -> None:
        """Free the item's key, if it has one and the link names this item."""
        if item.key is not None:
            self._take_out(layout.key_path(item.key), {item.id})

    def free_all(self, ids: set[int]) -> None:
        """Free the keys that name one of these ids."""
        for name in self._reader.names(layout.KEYS):
            self._take_out(f"{layout.KEYS}/{name}", ids)

    def _take_out(self, path: str, ids: set[int]) -> None:
        """Let a link name these no more. It goes if nobody is left who lives."""
        named = self.read_link(path)
        stay = [item_id for item_id in named if item_id not in ids]
        if stay == named:
            return
        if any(map(self.live, stay)):
            self._name(path, stay, sync=False)  # also those that are gone, perhaps not durably
        else:
            self._disk.discard(path)

    def _name(self, path: str, ids: Sequence[int], *, sync: bool) -> None:
        self._disk.link_text(path, ".".join(map(str, ids)), layout.tmp_name("key"), sync=sync)

    def named(self, key: str) -> list[int]:
        """Return the ids that a key names: one, but while that replaces another."""
        return self.read_link(layout.key_path(key))

    def read_link(self, path: str) -> list[int]:
        """Return the ids that a link in `keys/` names; none when it names none."""
        try:
            parts = os.readlink(f"{self._disk.root}/{path}").split(".")
        except OSError:
            return []
        ids = [item_id for item_id in map(whole, parts) if item_id is not None]
        return ids if len(ids) == len(parts) else []
