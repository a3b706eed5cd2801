"""Whether an item may live here: the key rule and the room. Pure."""

from __future__ import annotations

from zlib import crc32

from pq_cli.core.item import LIVE, Item, State, checksum_text, printable
from pq_cli.core.transitions import changed
from pq_cli.errors import KeyTakenError, QueueFullError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_STANDS = ("skip", "raise")
"""Rules under which the item that has the key stands for the new one."""


def check_key(
    item: Item, owner: Callable[[str], Item | None], if_exists: str | None = None
) -> Item | None:
    """Return the other live item that has the key of one that is to live, or None: it is free.

    owner: returns the live item that has a key. if_exists: with `skip` and `raise` the other one
    stands for this one, with `replace` it makes room for it; `fail`, `replace` while it is active
    or `item` is to come after it, and None (for an item that is here already) raise KeyTakenError.
    """
    other = None if item.key is None or item.state not in LIVE else owner(item.key)
    if other is None or other.id == item.id:
        return None
    goes = other.state is not State.ACTIVE and other.id not in item.after
    if if_exists in _STANDS or (if_exists == "replace" and goes):
        return other
    who = f"item {item.id}: " if if_exists is None else ""
    key = printable(item.key or "")
    raise KeyTakenError(f"{who}key '{key}' is taken by item {other.id}, {other.state}")


def standing(other: Item | None, item: Item, if_exists: str) -> Item | None:
    """Return what the other one is from now on if it stands for `item`; None: `item` goes in.

    other: as `check_key` gave it. With `raise` one that waits has the more urgent of both
    priorities, and is else as it was: so it keeps its place by id.
    """
    if other is None or if_exists not in _STANDS:
        return None
    waits = other.state is not State.ACTIVE
    if if_exists == "raise" and waits and item.priority < other.priority:
        return changed(other, item.created_at, item.priority, None)
    return other


def measured(content: bytes) -> tuple[int, str]:
    """Return size and checksum of a payload, as its item has them."""
    return len(content), checksum_text(crc32(content))


def differs(item: Item, size: int, checksum: str | None) -> bool:
    """Tell whether a payload is certainly not that of an item: by size, and checksum if known."""
    known = item.checksum is not None and checksum is not None
    return item.size != size or (known and item.checksum != checksum)


def check_room(limit: int, live: int) -> None:
    """Raise QueueFullError if no item fits beside `live` ones; a limit of 0 is none."""
    if limit and live >= limit:
        raise QueueFullError(f"the queue is full: {live} items, max_items = {limit}")
