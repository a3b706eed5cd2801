"""Items as rows: what stands in which column, and back."""

from __future__ import annotations

from operator import attrgetter, is_
from typing import TYPE_CHECKING

from pq_cli.core.events import name_of, parsed
from pq_cli.core.item import ACTIVE, Item, State, valid_limit
from pq_cli.core.jsonio import to_json
from pq_cli.core.meta import as_dict, decode
from pq_cli.core.timefmt import MAX_TIME, MIN_TIME
from pq_cli.errors import DamagedItemError

if TYPE_CHECKING:
    from typing import Any

COLUMNS = "id, state, priority, limited_by, kept_until, fixed, moving, awaited"
"""What `item_of` is made of."""
OUT_OF_RANGE = "a time is out of range"
_MOVING = (
    "state", "priority", "updated_at", "not_before", "attempts", "claims", "lease_until", "holder",
    "claim",
)  # fmt: skip
_fixed = attrgetter(
    "max_attempts", "timeout", "limit", "name", "size", "checksum", "last_error", "metadata",
    "history", "after", "if_failed", "follows", "extra",
)  # fmt: skip
"""Fields of an Item that may change all the same; then that text is written anew."""


def fits(at: float | None) -> bool:
    """Tell whether a time can be written; none can, too."""
    return MIN_TIME <= (at or 0.0) <= MAX_TIME


def sql_fits(column: str) -> str:
    """Return the same as a condition: also for the server NaN is out of range."""
    return f"coalesce({column}, 0) between {MIN_TIME} and {MAX_TIME}"


def texts(item: Item, before: Item | None = None) -> tuple[str | None, str]:
    """Return the two halves of an item's meta: what a claim leaves alone, and what it writes.

    before: what its row says; None for the first half: that is the same.
    """
    values = as_dict(item)
    values["id"] = 0  # the column says it: who writes the text of a new one does not know it yet
    if item.was is not None:
        values["state"] = item.was.value
    moving = to_json({name: values.pop(name) for name in _MOVING}).decode()
    if before is not None and all(map(is_, _fixed(before), _fixed(item))):
        return None, moving
    return to_json(values).decode(), moving


def called(item: Item) -> str:
    """Return what events call an item, as JSON; empty: nothing."""
    name = name_of(item)
    return to_json(name).decode() if name else ""


def worker_of(item: Item) -> int | None:
    """Return the number of the worker on whose presence a claim depends, or None."""
    lock = item.holder.lock if item.state is ACTIVE and item.holder is not None else None
    return int(lock) if lock is not None and lock.isdigit() else None


def item_of(row: tuple[Any, ...]) -> Item:
    """Return the item of a row of `COLUMNS`. Raises DamagedItemError."""
    item_id, state, priority, limited_by, kept_until, fixed, moving = row[:7]
    text = f"{fixed[:-1]},{moving[1:]}".encode()
    try:
        if item_id <= 0:
            raise ValueError("its id is not one")
        place = State(state)
        limit = valid_limit(limited_by) if limited_by else None
        if not fits(kept_until):
            raise ValueError(OUT_OF_RANGE)
    except ValueError as wrong:
        raise DamagedItemError(f"item {item_id}: its row in pq.item: {wrong}") from None
    item = decode(text, item_id=item_id, state=place, priority=priority, where="its row in pq.item")
    return item.replace(kept_until=kept_until, limit=limit)


def event_of(row: tuple[Any, ...]) -> dict[str, Any] | None:
    """Return the event of a row: number, what was said, and the id of a new item, not said yet.

    None: it makes no sense.
    """
    number, text, item_id = row
    said = parsed(text)
    if said is None:
        return None
    event = {"number": number, **said}
    return event if item_id is None else {**event, "id": item_id}
