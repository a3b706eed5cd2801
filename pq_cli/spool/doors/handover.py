"""Handover: a few items on their last step into the spool, safe from a crash at any instant.

`imports/handover/` holds them as `ID` and `ID.meta.json` while, under the lock, they go to their
places: first all key links and payloads, and when these are durable the metas. Whoever takes the
lock next and finds something there knows that its owner died, and finishes: what is there
enters, exactly once. An item whose payload has not come there yet (see `dropbox`) never left
where it was.
"""

from __future__ import annotations

import os

from pq_cli.core.events import event_of
from pq_cli.core.item import LIVE, Item, State
from pq_cli.core.meta import decode, encode, state_in
from pq_cli.errors import DamagedItemError, KeyTakenError
from pq_cli.queue.request import check_key
from pq_cli.spool.disk import layout
from pq_cli.spool.doors import ledger
from pq_cli.spool.files import Files
from pq_cli.spool.quarantine import set_aside

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

SIDECAR = ".sidecar"
"""Ending of a dropped file's own sidecar while the file is handed over."""
ORIGINAL = ".original"
"""Ending of a dropped file of which a copy is handed over."""
_LONGEST = 200
"""Bytes of a name in `new/` that leave room for an id, and a sidecar's ending."""
KEY_LOST = "its key was taken by another item while its import was interrupted"


def finish(files: Files) -> None:
    """Finish the handover that a crash cut short. Under the lock; one look if there is none.

    Also of an empty folder: its items have come to their places, but perhaps not durably.
    """
    names = files.reader.names(layout.HANDOVER)
    if not names and not os.path.lexists(f"{files.root}/{layout.HANDOVER}"):
        return
    metas = sorted(name for name in names if name.endswith(layout.META))
    items = [item for name in metas if (item := _read(files, name)) is not None]
    hand_over(files, [_yielding(files, item) for item in items if _arrived(files, item)])


def hand_over(files: Files, items: Sequence[Item], event: str = "imported") -> None:
    """Bring every item in the folder to its place, durably in "full". Under the lock.

    event: what the log says of it.
    """
    disk = files.disk
    ledger.append(disk, items)
    for place in (_place_payload, _place_meta):
        with disk.together():
            for item in items:
                place(files, item)
    files.log.note(*(event_of(event, item, item.updated_at) for item in items))
    for name in files.reader.names(layout.HANDOVER):
        if name.endswith((SIDECAR, ORIGINAL)):
            disk.discard(f"{layout.HANDOVER}/{name}")  # its item is in
    disk.remove_dir(layout.HANDOVER)


def stem(item: Item) -> str:
    """Return the path of the item's payload in the folder."""
    return f"{layout.HANDOVER}/{layout.stem(item.id)}"


def _place_payload(files: Files, item: Item) -> None:
    home = layout.payload_path(item)
    files.make_folder(layout.folder_of(item))
    if item.key is not None and item.state in LIVE:
        files.keys.give(item.key, item.id)
    try:
        files.disk.rename(stem(item), home)
    except FileNotFoundError:  # a crash came between this and the meta
        if not os.path.lexists(f"{files.root}/{home}"):
            files.fetch_payload(item.id, home)


def _place_meta(files: Files, item: Item) -> None:
    home = layout.payload_path(item)
    files.disk.rename(stem(item) + layout.META, home + layout.META)
    files.index.moved(None, item.replace(path=f"{files.root}/{home}"))


def _read(files: Files, name: str) -> Item | None:
    """Return the item of a meta in the folder; one that cannot be read is set aside."""
    path = f"{layout.HANDOVER}/{name}"
    item_id = layout.parse_id(name.removesuffix(layout.META))
    try:
        if item_id is None:
            raise DamagedItemError(f"{path}: not the name of an item")
        text = files.reader.meta_text(path, item_id)
        return decode(text, item_id=item_id, state=state_in(text), priority=None, where=path)
    except DamagedItemError as error:
        files.report(error)
        set_aside(files.disk, path, str(error), pair=True)
        return None


def _arrived(files: Files, item: Item) -> bool:
    """Tell whether the payload is there; if not the item goes back to where it came from."""
    if os.path.lexists(f"{files.root}/{stem(item)}"):
        files.disk.own(stem(item))  # a dropped file may come with rights for others
        return True
    home = layout.payload_path(item)
    if os.path.lexists(f"{files.root}/{home}") or files.reader.stray_payload(item.id, home):
        return True  # it came so far, or further, and a power loss took its meta back to here
    give_back(files, item)
    return False


def give_back(files: Files, item: Item) -> None:
    """Bring a dropped file that cannot be taken, and its sidecar, back to `new/`.

    Whoever dropped it may have dropped another one of that name since: then it has its id behind
    the name, and of two sidecars for a file that never left `new/` the newer one counts.
    """

    def there(path: str) -> bool:
        return os.path.lexists(f"{files.root}/{path}")

    disk, name, side = files.disk, f"{layout.NEW}/{item.name}", stem(item) + SIDECAR
    moved = next((path for path in (stem(item) + ORIGINAL, stem(item)) if there(path)), None)
    if moved is None and there(name + layout.META):
        disk.discard(side)
    elif moved is not None and (there(name) or (there(side) and there(name + layout.META))):
        short = os.fsdecode(os.fsencode(str(item.name))[:_LONGEST])
        name = f"{layout.NEW}/{short}.{item.id}"
    for source, target in ((side, name + layout.META), (moved, name)):
        if source is not None and there(source):
            disk.rename(source, target)
    if disk.sync:
        disk.sync_dir(layout.NEW)  # without its meta nobody would bring back what a power loss does
    disk.discard(stem(item) + layout.META)


def _yielding(files: Files, item: Item) -> Item:
    """Return the item, as a dead letter if another one has got its key meanwhile."""
    try:
        check_key(item, files.keys.owner)
    except KeyTakenError:
        item = item.replace(state=State.FAILED, last_error=KEY_LOST, not_before=None)
        files.disk.replace(layout.tmp_name("meta"), stem(item) + layout.META, encode(item))
    return item
