"""What items are about to become, written and synced before the lock: nobody waits for the disk.

Each new meta lies in `tmp/` like that of an enqueue, and is renamed over the old one under the lock
if the item is then what it was when it was looked at. If not, it is written there and then. That an
item is done is told, where there is room, by a sector of the meta that is there: then only its new
folder is made before.

So it goes for those, too, that come after an item which ends, and are told under the same lock; and
for the mark that they are to be told: see `spool.followers`.
"""

from __future__ import annotations

from contextlib import contextmanager

from pq_cli.core.item import State
from pq_cli.core.meta import claim_over, encode
from pq_cli.errors import PqError
from pq_cli.spool.disk import layout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from pq_cli.core.item import Item
    from pq_cli.queue.store import Changes, Foreseen
    from pq_cli.spool.files import Files


@contextmanager
def foreseen(
    files: Files,
    look: Callable[[], Changes],
    lacking: Collection[str],
    foretold: dict[int, tuple[Item, Item]],
    now: Callable[[], float],
) -> Iterator[Foreseen]:
    """Do ahead what can be; see `Store.foreseen`. In "fast" there is nothing to wait for.

    lacking: folders of items that are due, to be there durably before these are renamed into them.
    foretold: has what was done ahead, also of those that come after, as long as it may be used.
    """
    metas: dict[str, tuple[Item, Item]] = {}
    marks: dict[str, str] = {}
    seen: dict[int, tuple[Item, Item]] = {}
    if files.disk.sync:
        try:
            for folder in lacking:
                files.disk.make_dir(folder)
            changes = look()
            if files.state.after:
                from pq_cli.spool.followers import follow, mark_ahead  # start-up: few have any

                mark_ahead(files.disk, follow(files.reader, changes, now), marks)
            for before, after in changes:
                if after is not None:
                    _write(files, before, after, metas)
            files.disk.sync_files(list(metas))
            seen = {before.id: (before, after) for before, after in metas.values()}
            foretold |= seen
            files.foreseen |= {id(after): meta for meta, (_, after) in metas.items()} | marks
        except (PqError, OSError):
            pass  # whoever does it all under the lock is told, or has the spare
    try:
        yield seen
    finally:
        # Unless it was used, there is a file left: the item has changed, or something has failed.
        for meta, (before, after) in metas.items():
            foretold.pop(before.id, None)
            files.foreseen.pop(id(after), None)
            _discard(files, meta)
        for mark in marks:
            files.foreseen.pop(mark, None)
            _discard(files, mark)  # be it another's: who lacks it makes one anew


def _write(files: Files, before: Item, after: Item, metas: dict[str, tuple[Item, Item]]) -> None:
    """Write what an item becomes, unless a sector says it, and make its new folder."""
    files.disk.make_dir(layout.folder_of(after))
    if after.state is State.DONE and _fits(files, before, after):
        return
    meta = layout.tmp_name("meta")
    metas[meta] = before, after
    files.disk.write_new(meta, encode(after), sync=False)


def _fits(files: Files, before: Item, after: Item) -> bool:
    """Tell whether a sector of the meta that is there can say what the item becomes."""
    text = files.reader.meta_text(files.place(before) + layout.META, before.id)
    return claim_over(text, after, True) is not None


def _discard(files: Files, meta: str) -> None:
    try:
        files.disk.discard(meta)
    except OSError:
        pass  # it lies in tmp/ for `check`
