"""Whether an item may live here: the key rule and the room. Pure."""

from __future__ import annotations

from pq_cli.core.item import LIVE, Item, State, printable
from pq_cli.errors import KeyTakenError, QueueFullError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def check_key(
    item: Item, owner: Callable[[str], Item | None], if_exists: str | None = None
) -> Item | None:
    """Return the other live item that has the key of one that is to live, or None: it is free.

    owner: returns the live item that has a key. if_exists: with `skip` the other one stands for
    this one, with `replace` it makes room for it; `fail`, `replace` while it is active, and None
    (for an item that is here already) raise KeyTakenError.
    """
    other = None if item.key is None or item.state not in LIVE else owner(item.key)
    if other is None or other.id == item.id:
        return None
    if if_exists == "skip" or (if_exists == "replace" and other.state is not State.ACTIVE):
        return other
    who = f"item {item.id}: " if if_exists is None else ""
    key = printable(item.key or "")
    raise KeyTakenError(f"{who}key '{key}' is taken by item {other.id}, {other.state}")


def check_room(limit: int, live: int) -> None:
    """Raise QueueFullError if no item fits beside `live` ones; a limit of 0 is none."""
    if limit and live >= limit:
        raise QueueFullError(f"the queue is full: {live} items, max_items = {limit}")
