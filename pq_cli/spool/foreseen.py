"""What an item is about to become, written and synced before the lock: nobody waits for the disk.

The new meta lies in `tmp/` like that of an enqueue, and is renamed over the old one under the lock
if the item is then what it was when it was looked at. If not, it is written there and then. That an
item is done is told, where there is room, by a sector of the meta that is there: then only its new
folder is made before.
"""

from __future__ import annotations

from contextlib import contextmanager

from pq_cli.core.item import State
from pq_cli.core.meta import claim_over, encode
from pq_cli.errors import PqError
from pq_cli.spool.disk import layout
from pq_cli.spool.files import Files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pq_cli.core.item import Item

    Look = Callable[[], tuple[Item, Item]]


@contextmanager
def foreseen(files: Files, look: Look) -> Iterator[tuple[Item, Item] | None]:
    """Do ahead what can be; see `Store.foreseen`. In "fast" there is nothing to wait for."""
    meta = layout.tmp_name("meta")
    seen = _written(files, look, meta) if files.disk.sync else None
    if seen is None:
        yield None
        return
    files.foreseen[id(seen[1])] = meta
    try:
        yield seen
    finally:
        # Unless it was used, there is a file left: the item has changed, or something has failed.
        files.foreseen.pop(id(seen[1]), None)
        _discard(files, meta)


def _written(files: Files, look: Look, meta: str) -> tuple[Item, Item] | None:
    """Write what an item becomes, and make its new folder; None where that cannot be."""
    try:
        seen = look()
        files.disk.make_dir(layout.folder_of(seen[1]))
        if seen[1].state is State.DONE and _fits(files, *seen):
            return None
        files.disk.write_new(meta, encode(seen[1]), sync=True)
    except (PqError, OSError):
        return None  # whoever does it all under the lock is told, or has the spare
    return seen


def _fits(files: Files, before: Item, after: Item) -> bool:
    """Tell whether a sector of the meta that is there can say what the item becomes."""
    text = files.reader.meta_text(files.place(before) + layout.META, before.id)
    return claim_over(text, after, True) is not None


def _discard(files: Files, meta: str) -> None:
    try:
        files.disk.discard(meta)
    except OSError:
        pass  # it lies in tmp/ for `check`
