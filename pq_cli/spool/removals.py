"""Removed items: room for them, letting go of what was kept long enough, and of what is left."""

from __future__ import annotations

from itertools import islice

from pq_cli.core.item import Item, State
from pq_cli.spool.disk import layout
from pq_cli.spool.disk.spare import is_full
from pq_cli.spool.files import Files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

AT_ONCE = 500
"""Items let go of under one lock: others wait for it."""
_MINUTE = 60.0


def with_room(files: Files, item: Item) -> Item:
    """Return an item to remove or to try again, with a folder to lie in: on a full disk, a shared.

    Each second has a folder: a row of failures or removals would eat up the spare. So it is the
    latest of the removed ones, which go at once, and the end of the minute for a delayed one.
    """
    try:
        files.make_folder(layout.folder_of(item))
    except OSError as error:
        if not is_full(error):
            raise
        if item.not_before is not None and item.state is State.DELAYED:
            return item.replace(not_before=-(-item.not_before // _MINUTE) * _MINUTE)
        for folder, _ in files.reader.of(item.state, latest_first=True):
            return item.replace(kept_until=float(layout.second_of(folder)))
    return item


def expire(files: Files, now: float) -> int:
    """Erase items that were kept until `now` at the latest, some hundreds; return how many.

    Under the lock. What cannot be read is left for `check`.
    """
    for folder, _ in list(files.reader.of(State.REMOVED)):
        if layout.second_of(folder) > now:
            break
        found = files.reader.items(folder, State.REMOVED, report=files.report)
        items = list(islice(found, AT_ONCE))
        if items:
            files.erase(*items)
            return len(items)
        sweep_ended(files, [folder])  # or the folder, and what is in it, would stay for ever
        files.tidy(folder)
    return 0


def sweep_ended(files: Files, folders: Iterable[str]) -> None:
    """Let the payloads and metas go that a dead process has not settled, and their keys."""
    gone = {}
    for folder in folders:
        for name in files.reader.names(folder):
            item_id = layout.parse_ended(name)
            if item_id is not None and not any(files.reader.places(item_id)):
                gone[folder, name] = item_id
    if not gone:
        return
    if files.disk.sync:
        for folder in sorted({folder for folder, _ in gone}):
            files.disk.sync_dir(folder)  # whoever ended them may not have come to it
    files.keys.free_all(set(gone.values()))
    for folder, name in gone:
        files.disk.discard(f"{folder}/{name}")
