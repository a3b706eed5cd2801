"""What the spool's log says: one line of JSON for each thing that happened to an item. Pure.

The log is derived and may be lost; nothing that matters is known only there.
"""

from __future__ import annotations

from functools import lru_cache

from pq_cli.core.item import ACTIVE, Item, State, printable, to_json
from pq_cli.core.timefmt import format_time

EVENTS = (
    "enqueued", "claimed", "done", "failed", "deferred", "lost", "released", "retried", "held",
    "changed", "removed", "restored", "imported", "paused", "resumed",
)  # fmt: skip
"""What can happen. `failed` with state `failed` is a dead letter, with `delayed` it is retried."""
_MAX_TEXT = 200


def record(event: str, item: Item, at: float, more: str = "") -> bytes:
    """Return the line of JSON for an event at `at` (Unix seconds) that left the item as it is.

    more: further members, each with a comma before it. By hand: of two such lines every item pays.
    """
    name = item.name or item.key
    called = f',"name":{_quoted(name)}' if name else ""
    said = f',"id":{item.id},"priority":{item.priority},"state":"{item.state}"{called}{more}'
    return _line(event, at, said)


def transition(before: Item, after: Item, *, own: bool = False) -> bytes | None:
    """Return the log's line for a transition, or None for one that is not worth a line (renew).

    own: the claim is that of the `submit` which has just made the item: nobody waited for it.
    `waited` is seconds from enqueue to claim, `took` seconds from claim to the attempt's end.
    """
    event = _event(before, after)
    if event is None:
        return None
    at, more = after.updated_at, ""
    if event == "claimed":
        waited = round(max(0.0, at - after.created_at), 3)
        how = '"own":true' if own else f'"waited":{waited}'
        more = f',"claim":"{after.claim}",{how}'
    elif before.state is ACTIVE:
        more = f',"claim":"{before.claim}"'
        holder = before.holder
        if holder is not None:
            took = round(max(0.0, at - holder.since), 3)
            more += f',"by":{_worker(holder.host, holder.pid)},"took":{took}'
        if event in ("failed", "deferred", "lost") and after.last_error:
            more += f',"error":{_quoted(after.last_error)}'
    return record(event, after, at, more)


def pause(event: str, at: float, reason: str | None) -> bytes:
    """Return the log's line for `paused` or `resumed` at `at` (Unix seconds)."""
    why = "" if reason is None else f',"reason":{to_json(reason).decode()}'
    return _line(event, at, why)


def _line(event: str, at: float, more: str) -> bytes:
    return f'{{"at":"{format_time(at)}","event":"{event}"{more}}}\n'.encode()


def _quoted(text: str) -> str:
    """Return a text as JSON: cut, and with nothing in it that could drive a terminal."""
    return to_json(printable(text, _MAX_TEXT)).decode()


@lru_cache(maxsize=4)
def _worker(host: str, pid: int) -> str:
    return _quoted(f"{host}:{pid}")


def _event(before: Item, after: Item) -> str | None:
    if after.state is ACTIVE:
        return "claimed" if before.claims != after.claims else None
    if before.state is ACTIVE:
        last = after.history[-1] if after.history else {}
        return str(last["outcome"]) if last.get("claim") == before.claim else "released"
    if after.state is before.state or after.state is State.DELAYED:
        return "changed" if after != before else None
    return "held" if after.state is State.HELD else "retried"
