"""Events: what happened to an item or a queue, as JSON values. Pure.

They are derived and may be lost; nothing that matters is known only there.
"""

from __future__ import annotations

from pq_cli.core.item import ACTIVE, Item, State, printable
from pq_cli.core.jsonio import parse_own
from pq_cli.core.timefmt import format_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

EVENTS = (
    "enqueued", "claimed", "done", "failed", "deferred", "lost", "released", "retried", "held",
    "changed", "cancelled", "removed", "restored", "imported", "paused", "resumed",
)  # fmt: skip
"""What can happen. `failed` with state `failed` is a dead letter, with `delayed` it is retried."""
_MAX_TEXT = 200


def event_of(event: str, item: Item, at: float) -> dict[str, Any]:
    """Return the event that at `at` (Unix seconds) made the item what it is."""
    said: dict[str, Any] = {
        "at": format_time(at),
        "event": event,
        "id": item.id,
        "priority": item.priority,
        "state": item.state.value,
    }
    name = name_of(item)
    if name:
        said["name"] = name
    return said


def parsed(text: bytes | str) -> dict[str, Any] | None:
    """Return the event that was written so; None for what makes no sense: that is passed over."""
    try:
        said = parse_own(text)
    except ValueError:
        return None
    return said if isinstance(said, dict) and isinstance(said.get("event"), str) else None


def name_of(item: Item) -> str:
    """Return what events call an item; empty: nothing."""
    name = item.name or item.key
    return printable(name, _MAX_TEXT) if name else ""


def transition(before: Item, after: Item, *, own: bool = False) -> dict[str, Any] | None:
    """Return the event of a transition, or None for one that is not worth telling (renew).

    own: the claim is that of the `submit` which has just made the item: nobody waited for it.
    `waited` is seconds from enqueue to claim, `took` seconds from claim to the attempt's end.
    """
    event = _event(before, after)
    if event is None:
        return None
    at = after.updated_at
    said = event_of(event, after, at)
    if event == "claimed":
        said["claim"] = after.claim
        said |= {"own": True} if own else {"waited": round(max(0.0, at - after.created_at), 3)}
    elif before.state is ACTIVE:
        said["claim"] = before.claim
        if before.holder is not None:
            said["by"] = printable(f"{before.holder.host}:{before.holder.pid}", _MAX_TEXT)
            said["took"] = round(max(0.0, at - before.holder.since), 3)
        if event != "released" and "exit" in after.history[-1]:
            said["exit"] = after.history[-1]["exit"]
    if event in ("failed", "deferred", "lost", "cancelled") and after.last_error:
        said["error"] = printable(after.last_error, _MAX_TEXT)
    return said


def pause(event: str, at: float, reason: str | None) -> dict[str, Any]:
    """Return the event `paused` or `resumed` at `at` (Unix seconds)."""
    said = {"at": format_time(at), "event": event}
    return said if reason is None else {**said, "reason": reason}


def _event(before: Item, after: Item) -> str | None:
    if after.state is ACTIVE:
        return "claimed" if before.claims != after.claims else None
    if before.state is ACTIVE:
        last = after.history[-1] if after.history else {}
        return str(last["outcome"]) if last.get("claim") == before.claim else "released"
    if after.state is before.state or after.state is State.DELAYED:
        return "changed" if after != before else None
    if after.follows and before.state is State.HELD and after.state is State.PENDING:
        return "released"
    return {State.HELD: "held", State.FAILED: "cancelled"}.get(after.state, "retried")
