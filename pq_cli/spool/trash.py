"""The trash: what `rm` and `purge` took away lies in `trash/BATCH/` for a day, and `undo` finds it.

BATCH is the time of the removal in microseconds, so batches sort by age. Removal renames and
writes nothing, so that it works on a full disk; the meta goes first (the commit instant) and
stays as it was, so what state the item had is read from it.
"""

from __future__ import annotations

import os

from pq_cli.core import transitions
from pq_cli.core.item import LIVE, Item, State, printable
from pq_cli.core.meta import decode, parse_meta
from pq_cli.core.timefmt import parse_time
from pq_cli.errors import ConflictError, DamagedItemError, KeyTakenError, NoSuchItemError
from pq_cli.spool import layout
from pq_cli.spool.reader import Reader
from pq_cli.spool.spare import is_full
from pq_cli.spool.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

KEPT_SECONDS = 24 * 3600.0
"""How long a removed item can be restored."""
AT_ONCE = 1000
"""Files removed in one go under the lock."""


def bury(store: Store, item: Item, batch: float) -> None:
    """Remove an item into the batch of this Unix second; durable like every transition."""
    disk, behind = store.disk, store.spare.behind
    folder = _grave(store, batch)
    source, target = layout.payload_path(item), f"{folder}/{item.id:010d}"
    live = store.uncount(item, None)
    behind(disk.rename, source + layout.META, target + layout.META)
    if disk.sync:
        disk.sync_dir(folder)
        disk.sync_dir(layout.folder_of(item))
    store.payload_follows(item.id, source, target)
    store.keys.free(item)
    store.recount(live)
    store.index.moved(item, None)
    store.left(item, layout.folder_of(item))


def _grave(store: Store, batch: float) -> str:
    """Return the folder to bury in: the batch's own, or on a full disk the newest that is there.

    What is removed frees nothing for a day: a folder for each `rm` would eat up the spare.
    """
    folder = layout.trash_folder(batch)
    try:
        store.disk.make_dir(folder)
    except OSError as error:
        there = batches(store.reader) if is_full(error) else []
        if there:
            return there[0]
        store.spare.behind(store.disk.make_dir, folder)
    return folder


def batches(reader: Reader) -> list[str]:
    """Return the folders of the trash, newest first."""
    names = [n for n in reader.names(layout.TRASH) if layout.parse_number(n, layout.TRASH_DIGITS)]
    return [f"{layout.TRASH}/{name}" for name in sorted(names, reverse=True)]


def buried(reader: Reader) -> Iterator[tuple[float, list[int]]]:
    """Yield (Unix seconds of the removal, ids) of each batch, newest first."""
    for folder in batches(reader):
        ids = sorted(reader.ids(folder))
        if ids:
            yield layout.trash_time(folder), ids


def restore(store: Store, item_id: int, now: float) -> Item:
    """Bring a removed item back into the state it had. Payload first, as on every way in.

    Raises NoSuchItemError when it is not in the trash, KeyTakenError, ConflictError, or
    DamagedItemError when its payload is gone.
    """
    folder = next((f for f in batches(store.reader) if item_id in store.reader.ids(f)), None)
    if folder is None:
        raise NoSuchItemError(f"item {item_id} is not in the trash; `pq undo --list` shows it")
    item = _as_it_was(store, folder, item_id, now)
    target, source = layout.payload_path(item), f"{folder}/{item_id:010d}"
    if os.path.lexists(f"{store.root}/{target}{layout.META}"):
        raise ConflictError(f"item {item_id} is there already")
    if not _has_payload(store, item_id, source, target):
        raise DamagedItemError(f"item {item_id}: its payload is gone; it cannot be restored")
    store.spare.behind(_take_key, store, item)
    disk = store.disk
    live = store.uncount(None, item)
    store.spare.behind(disk.make_dir, layout.folder_of(item))
    store.payload_follows(item_id, source, target)
    if disk.sync:
        disk.sync_dir(layout.folder_of(item))
    disk.rename(source + layout.META, target + layout.META)
    if disk.sync:
        disk.sync_dir(layout.folder_of(item))
        disk.sync_dir(folder)
    store.recount(live)
    disk.remove_dir(folder)
    store.index.moved(None, item)
    return item.replace(path=f"{store.root}/{target}")


def _has_payload(store: Store, item_id: int, *places: str) -> bool:
    """Tell whether the payload is in one of its places, or where a crash may have left it."""
    if any(os.path.lexists(f"{store.root}/{place}") for place in places):
        return True
    return store.reader.stray_payload(item_id, places[0]) is not None


def _as_it_was(store: Store, folder: str, item_id: int, now: float) -> Item:
    text = store.reader.meta_text(f"{folder}/{item_id:010d}{layout.META}", item_id)
    try:
        said = parse_meta(text)
        state = State(said["state"])
        due = parse_time(said["not_before"]) if state is State.DELAYED else None
    except (ValueError, TypeError, KeyError, RecursionError):
        raise DamagedItemError(f"item {item_id}: its meta in {folder} is damaged") from None
    if state is State.ACTIVE or (due is not None and due <= now):
        state = State.PENDING  # the folder said so: a claim cut short, or already due
    item = decode(text, item_id=item_id, state=state, priority=None, path=folder)
    return transitions.due(item) if state is State.PENDING else item


def _take_key(store: Store, item: Item) -> None:
    if item.key is None or item.state not in LIVE:
        return
    owner = store.keys.owner(item.key)
    if owner is not None:
        raise KeyTakenError(
            f"item {item.id}: key '{printable(item.key)}' is taken by item {owner.id}"
        )
    store.keys.give(item.key, item.id)


def sweep(store: Store, before: float) -> bool:
    """Delete batches removed before this Unix second; tell whether none is left.

    Bounded: call again, with the lock released between, until it is True.
    """
    room = AT_ONCE
    for folder in reversed(batches(store.reader)):
        if layout.trash_time(folder) >= before:
            return True
        # Metas first: what has none cannot be restored without its payload.
        names = store.reader.names(folder)
        for name in sorted(names, key=lambda name: not name.endswith(layout.META)):
            if room == 0:
                return False
            room -= 1
            if name.endswith(layout.META):
                _discard_rest(store, name)
            store.disk.discard(f"{folder}/{name}")
        store.disk.remove_dir(folder)
    return True


def _discard_rest(store: Store, meta: str) -> None:
    """Delete a buried item's logs, and its payload if a crash left that in its old place."""
    parsed = layout.parse_meta_name(meta)
    if parsed is None:
        return
    store.attempt_logs.remove(parsed[0])
    stray = store.reader.stray_payload(parsed[0], "")
    if stray is not None and not stray.startswith(layout.TRASH):
        store.disk.discard(stray)
