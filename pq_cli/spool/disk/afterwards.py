"""Afterwards: what a transaction leaves to be done when the lock is free: nobody waits for a disk.

First the folders are synced in which metas have moved; then goes what may only go when its meta is
durably gone: the payload of an item that has ended, and its key, which else a power loss
could leave without the one or the other.
"""

from __future__ import annotations

from pq_cli.spool.disk.durable import MANY, Disk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pq_cli.core.item import Item


class Afterwards:
    """What one transaction leaves to be done.

    ended: items whose metas are gone, each with where its payload lies. metas: those that say
    that their items have ended, to be removed when that is durable. freed: items that give up their
    keys. untied: ids of items, with those for which they wait no longer. told: marks of items
    whose followers know. take_back: called under the lock if what was put could not be made
    durable.
    """

    def __init__(self) -> None:
        self.folders: dict[str, None] = {}
        self.ended: list[tuple[Item, str]] = []
        self.metas: list[str] = []
        self.freed: list[Item] = []
        self.untied: list[tuple[int, Sequence[int]]] = []
        self.told: dict[int, str] = {}
        self.take_back: Callable[[], None] | None = None

    @property
    def more(self) -> bool:
        """Tell whether more than what has ended is to be done under the lock again."""
        return bool(self.freed or self.untied or self.told)

    def sync(self, folder: str) -> None:
        """Have a folder synced."""
        self.folders[folder] = None

    def sync_now(self, disk: Disk) -> None:
        """Sync the metas and folders, in "full"."""
        if self.metas:
            disk.sync_files(self.metas, data=True)
        if not disk.sync or not self.folders:
            return
        if len(self.folders) < MANY:
            try:
                for folder in self.folders:
                    disk.sync_dir(folder)
                return
            except FileNotFoundError:
                pass  # others have moved all that was in it, and tidied it away
        disk.sync_file_system()
