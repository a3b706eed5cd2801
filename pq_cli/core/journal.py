"""What the spool's log says: one record for each thing that happened to an item. Pure.

The log is derived and may be lost; nothing that matters is known only there.
"""

from __future__ import annotations

from pq_cli.core.item import Item, State, printable, to_json
from pq_cli.core.timefmt import format_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

EVENTS = (
    "enqueued", "claimed", "done", "failed", "deferred", "lost", "released", "retried", "held",
    "changed", "removed", "restored", "imported", "paused", "resumed",
)  # fmt: skip
"""What can happen. `failed` with state `failed` is a dead letter, with `delayed` it is retried."""
_MAX_TEXT = 200


def record(event: str, item: Item, at: float) -> dict[str, Any]:
    """Return the log record of an event at `at` (Unix seconds) that left the item as it is."""
    values: dict[str, Any] = {
        "at": format_time(at),
        "event": event,
        "id": item.id,
        "priority": item.priority,
        "state": str(item.state),
    }
    name = item.name or item.key
    if name:
        values["name"] = printable(name, _MAX_TEXT)
    return values


class EnqueuedLines:
    """The log lines of many items enqueued at once; for those that are alike worked out once.

    at: when, Unix seconds.
    """

    def __init__(self, at: float) -> None:
        self._at = at
        self._halves: dict[tuple[int, State, str | None], tuple[bytes, bytes]] = {}

    def line(self, item: Item) -> bytes:
        """Return `record("enqueued", item, at)` as a line of JSON."""
        kind = (item.priority, item.state, item.name or item.key)
        halves = self._halves.get(kind)
        if halves is None:
            text = to_json(record("enqueued", item.replace(id=0), self._at))
            before, after = text.split(b'"id":0,', 1)
            halves = self._halves[kind] = (before, after)
        return b'%s"id":%d,%s\n' % (halves[0], item.id, halves[1])


def transition(before: Item, after: Item) -> dict[str, Any] | None:
    """Return the log record of a transition, or None for one that is not worth a line (renew).

    `waited` is seconds from enqueue to claim, `took` seconds from claim to the attempt's end.
    """
    event = _event(before, after)
    if event is None:
        return None
    values = record(event, after, after.updated_at)
    if event == "claimed":
        values["claim"] = after.claim
        values["waited"] = round(max(0.0, after.updated_at - after.created_at), 3)
    elif before.state is State.ACTIVE:
        values["claim"] = before.claim
        if before.holder is not None:
            values["by"] = printable(f"{before.holder.host}:{before.holder.pid}", _MAX_TEXT)
            values["took"] = round(max(0.0, after.updated_at - before.holder.since), 3)
        if event in ("failed", "deferred", "lost") and after.last_error:
            values["error"] = printable(after.last_error, _MAX_TEXT)
    return values


def _event(before: Item, after: Item) -> str | None:
    if after.state is State.ACTIVE:
        return "claimed" if before.claims != after.claims else None
    if before.state is State.ACTIVE:
        last = after.history[-1] if after.history else {}
        return str(last["outcome"]) if last.get("claim") == before.claim else "released"
    if after.state is before.state or after.state is State.DELAYED:
        return "changed" if after != before else None
    return "held" if after.state is State.HELD else "retried"
