"""Ends: how items have ended, and waiting until they have."""

from __future__ import annotations

import time
from contextlib import suppress

from pq_cli.core.arguments import valid_reference, valid_wait, wrong
from pq_cli.core.item import PENDING, Item, State
from pq_cli.core.record import Record
from pq_cli.core.timefmt import parse_time
from pq_cli.errors import NoSuchItemError, TryAgainError, UsageError
from pq_cli.queue.looking import POLL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Sequence
    from typing import Any

    from pq_cli.queue.store import Store

_AT_WORK = (State.ACTIVE, PENDING, State.DELAYED)
_ENDED = (State.DONE, State.FAILED, State.REMOVED)
_UNTOLD = 5
"""Looks after which an item that is gone without a word in the log counts as removed: between its
end and the word of it there is a moment, and a log may lack an event."""
_NAMED = 5


class Ended(Record):
    """How an item ended: `done`, `failed` for good, or `removed` before it came to that.

    at: Unix seconds, None where nobody knows. status: the exit status of its command, None without
    one. error: the text of the last attempt that failed, None where there was none.
    """

    id: int
    how: State
    at: float | None = None
    name: str | None = None
    status: int | None = None
    error: str | None = None


def ends(store: Store, items: Iterable[Item | int | str], wait: float) -> Iterator[Ended]:
    """Yield how each of the items ended; see `Queue.ends`."""
    if isinstance(items, str | bytes | Item | int) or not hasattr(items, "__iter__"):
        raise wrong("items", items, "a list of Items, ids or claims")
    wanted = dict.fromkeys(valid_reference(item)[0] for item in items)
    return _ends(store, list(wanted), valid_wait(wait))


def _ends(store: Store, wanted: Sequence[int], wait: float) -> Iterator[Ended]:
    deadline = time.monotonic() + wait
    waiting = dict.fromkeys(wanted)
    seen: dict[int, Item] = {}
    gone: dict[int, int] = {}  # with the looks since then

    def find(ids: Iterable[int]) -> dict[int, dict[str, Any]]:
        for item_id in ids:
            seen.pop(item_id, None)
            try:
                seen[item_id] = store.find(item_id)
            except NoSuchItemError:
                gone.setdefault(item_id, 0)
        return _last_events(store, gone) if gone else {}

    told = find(wanted)
    for item_id in gone:
        if item_id not in told:
            raise NoSuchItemError(f"there is no item {item_id}, and the log tells of none")
    while True:
        told = find([item.id for item in store.lost([seen[i] for i in waiting if i in seen])])
        for item_id in list(waiting):
            end = _end_of(seen[item_id]) if item_id in seen else None
            if item_id in gone:
                gone[item_id] += 1
                end = _as_told(told.get(item_id))
                if end is None and gone[item_id] >= _UNTOLD:
                    end = Ended(id=item_id, how=State.REMOVED)
            if end is not None:
                del waiting[item_id]
                gone.pop(item_id, None)
                yield end
        left = deadline - time.monotonic()
        if not waiting:
            return
        if left <= 0:
            raise TryAgainError(_unended(waiting))
        time.sleep(min(POLL, left))


def drained(store: Store, wait: float) -> bool:
    """Tell whether nothing is left to do; see `Queue.drained`."""
    deadline = time.monotonic() + valid_wait(wait)
    # First what is quick however much there is, but may look at a part only.
    while any(store.suggest(_AT_WORK, "")) or store.count(_AT_WORK):
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        time.sleep(min(POLL, left))
    return True


def _last_events(store: Store, ids: Container[int]) -> dict[int, dict[str, Any]]:
    """Return the last event of each of the items that the log knows."""
    with suppress(OSError):  # who may not read the log is told the rest
        return {r["id"]: r for r in store.events() if r.get("id") in ids}
    return {}


def told_ends(store: Store, ids: Container[int]) -> dict[int, Ended]:
    """Return how those of the items ended of whose end the log tells, by id."""
    told = {i: _as_told(event) for i, event in _last_events(store, ids).items()}
    return {i: end for i, end in told.items() if end is not None}


def _end_of(item: Item) -> Ended | None:
    """Return how an item that is there ended, None if it has not; what was removed since, too."""
    how = item.was if item.state is State.REMOVED and item.was in _ENDED else item.state
    if how not in _ENDED:
        return None
    last = item.history[-1] if item.history else {}
    at = None if item.state is State.REMOVED and how is State.REMOVED else item.updated_at
    error = None if how is State.DONE else item.last_error
    status = None if how is State.REMOVED else last.get("exit")
    name = item.name or item.key
    return Ended(id=item.id, how=how, at=at, name=name, status=status, error=error)


def _as_told(event: dict[str, Any] | None) -> Ended | None:
    """Return the end of which an item's last event tells, if it does."""
    event = event or {}
    what, state = event.get("event"), event.get("state")
    if what not in ("done", "failed", "cancelled", "removed"):
        return None
    how = next((s for s in _ENDED if s == state), State.REMOVED)
    if what != "removed" and how is State.REMOVED:
        return None  # a failed attempt, to be made again
    at = None
    with suppress(UsageError):
        at = parse_time(str(event.get("at")))
    said = {n: event.get(n) if isinstance(event.get(n), str) else None for n in ("name", "error")}
    status = event.get("exit") if isinstance(event.get("exit"), int) else None
    return Ended(id=event["id"], how=how, at=at, status=status, **said)


def _unended(ids: Iterable[int]) -> str:
    texts = [str(item_id) for item_id in ids]
    named = ", ".join(texts[:_NAMED]) + ("" if len(texts) <= _NAMED else ", ...")
    if len(texts) == 1:
        return f"item {named} has not ended: `pq explain {named}` says what it waits for"
    return f"{len(texts):,} items have not ended: {named}"
