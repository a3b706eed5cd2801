"""Where items come from: what tells one that has entered before, and how one from elsewhere enters.

Pure. An item of another queue, or of an older one, has an origin; a queue remembers those that have
entered it, and lets none in twice.
"""

from __future__ import annotations

from pq_cli.core.item import Item, State
from pq_cli.core.record import Record
from pq_cli.core.timefmt import format_time
from pq_cli.core.transitions import stayed

DIGITS = 32
"""Of a digest."""


class Origin(Record):
    """Where an item comes from: a realm, and a name that is unique in it for all time."""

    realm: str
    name: str


def digest(text: str) -> bytes:
    """Return the 32 hexadecimal digits that stand for a realm or a name: half of its SHA-256."""
    from hashlib import sha256  # 2 ms of start-up that only imports need

    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:DIGITS].encode()


def realm_of(uuid: str) -> str:
    """Return the realm of the items of the queue that this uuid tells from all others."""
    return f"spool {uuid}"


def origin_of(item: Item, uuid: str) -> Origin:
    """Return the origin of an item of the queue `uuid`.

    Time and size tell apart the items of two copies of one queue that went on counting.
    """
    name = f"{item.id} {format_time(item.created_at)} {item.size}"
    return Origin(realm=realm_of(uuid), name=name)


def as_sent(item: Item) -> Item:
    """Return the item in the state in which it is to arrive: as it was before it was marked."""
    item = stayed(item)
    item = item.replace(extra={name: v for name, v in item.extra.items() if name != "origin"})
    return item.replace(state=State.PENDING) if item.state is State.ACTIVE else item


def arriving(item: Item, origin: Origin) -> Item:
    """Return an item as it is to be here: nobody has claimed it, and it says where it is from.

    What it waited for has other ids here, if it is here at all: so it is held until somebody says
    that it may go in.
    """
    extra = {**item.extra, "origin": dict(origin.__dict__)}
    came = item.replace(claims=0, holder=None, lease_until=None, extra=extra)
    if came.after and came.state is State.HELD:
        names = ", ".join(map(str, came.after))
        came = came.replace(last_error=f"it came after {names} of the queue that it is from")
    due_at = came.not_before if came.state is State.DELAYED else None
    return came.replace(after=(), if_failed=None, follows=False, not_before=due_at)
