"""Whether what was staged may become an item: the key rule and the room. Pure."""

from __future__ import annotations

from pq_cli.core.item import Item, State, printable
from pq_cli.errors import KeyTakenError, QueueFullError


def standing_for(key: str | None, if_exists: str, owner: Item | None) -> Item | None:
    """Return the item that stands for a new one already, or None: the new one is to enter.

    owner: the live item that has the key. With `skip` it stands for the new one; with `replace` it
    makes room for it. Raises KeyTakenError with `fail`, and with `replace` while it is active.
    """
    if owner is None or if_exists == "skip":
        return owner
    if if_exists == "fail" or owner.state is State.ACTIVE:
        raise taken(key, owner)
    return None


def check_free(item: Item, owner: Item | None) -> None:
    """Raise KeyTakenError if another live item has the key of one that is to live again."""
    if owner is not None and owner.id != item.id:
        raise KeyTakenError(
            f"item {item.id}: key '{printable(item.key or '')}' is taken by item {owner.id}"
        )


def taken(key: str | None, owner: Item) -> KeyTakenError:
    """Return the error of a key that is taken."""
    return KeyTakenError(f"key '{printable(key or '')}' is taken by item {owner.id}, {owner.state}")


def check_room(limit: int, live: int, more: int = 1) -> None:
    """Raise QueueFullError if `more` items do not fit beside `live` ones; a limit of 0 is none."""
    if limit and more and live + more > limit:
        raise QueueFullError(f"the queue is full: {live} items, max_items = {limit}")
