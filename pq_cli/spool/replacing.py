"""Replacing: an item takes the place of another that has its key.

It enters like any other, named by the key before the old one, and nobody waits for the disk under
the lock. When it is durable, the old one is ended, in a transaction of its own; and when that is
durable, its id goes from the key. Until then the old one is served to nobody, and the new one only
after its end is durable: else a power loss could bring the old one back when the new one is done.
So whoever dies between two of these steps leaves the rest to the claim that comes by.
"""

from __future__ import annotations

from functools import partial

from pq_cli.core.item import ACTIVE, Item
from pq_cli.errors import LockTimeoutError
from pq_cli.spool.disk import layout
from pq_cli.spool.files import Files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def end_replaced(files: Files, items: Sequence[Item]) -> None:
    """End what these items have replaced, now that they are durable. Takes the lock.

    What the lock or the disk refuses is left undone: what was put is told all the same.
    """
    try:
        with files:
            for item in map(files.keys.live, (item.id for item in reversed(items))):
                if item is not None:  # else others have ended it, and with it what it replaced
                    files.end_replaced(item, durable=True)
    except (LockTimeoutError, OSError):
        pass


def may_be_claimed(files: Files, item: Item) -> bool:
    """Tell whether a pending item may be claimed whose key names others, too. Under the lock.

    Then, before the claim is told, all is ended that it has replaced.
    """
    key = item.key or ""
    owner = files.keys.owner(key)
    if owner is None:
        files.keys.give(key, item.id, sync=False)  # as little promised as the claim itself
    elif owner.id == item.id:
        files.after.sync(layout.folder_of(item.replace(state=ACTIVE)))
        files.after.then = partial(end_replaced, files, [item])
    elif item.id in files.keys.named(key):
        files.index.pass_over(item.lane, item.id)  # its successor may not be durable
    else:
        files.erase(item)
    return owner is None or owner.id == item.id
