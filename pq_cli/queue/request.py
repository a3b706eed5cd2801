"""What somebody asks to be enqueued, checked; how it becomes an item, and whether it may live here.

Pure.
"""

from __future__ import annotations

from pq_cli.core.arguments import (
    valid_duration,
    valid_reference,
    valid_text,
    valid_time,
    valid_whole,
    wrong,
)
from pq_cli.core.item import (
    IF_FAILED,
    LIVE,
    MAX_AFTER,
    MAX_METADATA_BYTES,
    MAX_NAME_BYTES,
    Item,
    State,
    printable,
    valid_key,
    valid_limit,
    valid_priority,
)
from pq_cli.core.jsonio import JsonError, parse_python, to_strict_json
from pq_cli.core.policy import QueueConfig
from pq_cli.core.record import Record
from pq_cli.core.transitions import changed, stamp, told
from pq_cli.errors import KeyTakenError, QueueFullError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, Self

    from pq_cli.errors import PqError


IF_EXISTS = ("skip", "fail", "replace", "raise")


class Request(Record):
    """One item to be enqueued, without its payload. None means the queue's default.

    `delay` (seconds from now) and `at` (Unix seconds) exclude each other. `timeout`: seconds after
    which a worker stops an attempt (None: when its own time is over). `limit` names what only so
    many items may use at once, as the policy says (None: nothing of that kind). `if_exists` says
    what happens when a live item has `key`: `skip` returns that item (without its claim: who
    works on it is another), `raise` does so too and lets it have the more urgent of both
    priorities while it waits, `fail` raises KeyTakenError, `replace` puts this one in its stead
    (KeyTakenError while it is active). `after`: items (ids, claims or Items) that must be done
    before this one is served; until then it is held. `if_failed` says what becomes of it when one
    of them fails, is cancelled or removed: `fail` (the default) fails it too, `hold` leaves it held
    until somebody retries it, `run` serves it all the same.
    """

    priority: int | None = None
    key: str | None = None
    if_exists: str = "skip"
    delay: float | None = None
    at: float | None = None
    max_attempts: int | None = None
    timeout: float | None = None
    limit: str | None = None
    name: str | None = None
    metadata: dict[str, Any] | None = None
    after: Sequence[Item | int | str] = ()
    if_failed: str | None = None

    @property
    def ids_before(self) -> tuple[int, ...]:
        """Of a request that was checked: the ids of `after`."""
        return tuple(self.after)  # type: ignore[arg-type]


class Admitted(Record):
    """What became of a batch of staged payloads, in its order.

    items: the items, durable, up to what stopped it. found: those among them that were there
    already, under keys that are taken, as bystanders may have them. differing: those of found
    whose payload is certainly not the one given. error: what stopped it, or None; from there on
    nothing of the batch is left.
    """

    items: list[Item]
    found: list[Item]
    differing: list[Item]
    error: PqError | OSError | None = None

    @classmethod
    def nothing(cls, error: PqError | OSError | None = None) -> Self:
        """Return what is to be filled, or what it is when nothing went in."""
        return cls(items=[], found=[], differing=[], error=error)

    def stand(
        self, other: Item, item: Item, rule: str, put: Callable[[Item, Item], Item]
    ) -> Item | None:
        """Return the item that stands for `item` from now on; None: `item` goes in.

        other: what `check_key` gave by this rule. put: keeps what becomes of it: with `raise` one
        that waits has the more urgent of both priorities, and its place by id.
        """
        if rule not in _STANDS:
            return None
        after = raised(other, item) if rule == "raise" else None
        if after is not None:
            other = put(other, after)
        # Who did not claim it cannot end or renew its claim by it: no claim has the number 0.
        found = other.replace(claims=0) if other.state is State.ACTIVE else other
        self.items.append(found)
        self.found.append(found)
        known = None not in (other.checksum, item.checksum)
        if other.size != item.size or (known and other.checksum != item.checksum):
            self.differing.append(found)
        return other


def raised(other: Item, item: Item) -> Item | None:
    """Return what the item that has a key becomes for `item`, by `raise`; None: it stays."""
    if other.state is State.ACTIVE or item.priority >= other.priority:
        return None
    return changed(other, item.created_at, item.priority, None)


def checked(request: Request) -> Request:
    """Return the request, if every field is acceptable. Raises UsageError naming the field.

    Its metadata are a copy, as they will be read again.
    """
    if not isinstance(request, Request):
        raise wrong("request", request, "a Request")
    if request.priority is not None:
        if isinstance(request.priority, str):  # a priority on the command line, not in an item
            raise wrong("priority", request.priority, "a whole number from 1 (most urgent) to 10")
        valid_priority(request.priority)
    if request.key is not None:
        valid_key(valid_text("key", request.key))
    if request.if_exists not in IF_EXISTS:
        raise wrong("if_exists", request.if_exists, f"one of {', '.join(IF_EXISTS)}")
    if request.delay is not None and request.at is not None:
        raise UsageError("delay and at exclude each other")
    if request.delay is not None:
        valid_duration("delay", request.delay)
    if request.at is not None:
        valid_time("at", request.at)
    if request.max_attempts is not None:
        valid_whole("max_attempts", request.max_attempts, 1, 1_000_000)
    if request.timeout is not None and not valid_duration("timeout", request.timeout):
        raise wrong("timeout", request.timeout, "seconds, above 0")
    if request.limit is not None:
        valid_limit(valid_text("limit", request.limit))
    if request.name is not None:
        size = len(valid_text("name", request.name).encode("utf-8", "replace"))
        if size > MAX_NAME_BYTES:
            raise UsageError(f"a name has at most {MAX_NAME_BYTES} bytes")
    if request.after != () or request.if_failed is not None:
        request = request.replace(after=_after(request))
    if request.metadata is None:
        return request
    return request.replace(metadata=_as_stored(request.metadata))


def _after(request: Request) -> tuple[int, ...]:
    """Return the ids of the items that a request is to come after."""
    after, rule = request.after, request.if_failed
    if not isinstance(after, list | tuple):
        raise wrong("after", after, "a list of Items, ids or claims")
    if rule is not None and rule not in IF_FAILED:
        raise wrong("if_failed", rule, f"one of {', '.join(IF_FAILED)}")
    if not after and rule is not None:
        raise UsageError("if_failed is about the items of after: give after, too")
    ids = tuple(dict.fromkeys(valid_reference(each)[0] for each in after))
    if len(ids) > MAX_AFTER:
        raise UsageError(f"an item comes after {MAX_AFTER} others at most, not after {len(ids)}")
    return ids


def changes(item: Item, new: Request) -> dict[str, Any]:
    """Return the fields of an item that a checked request says anew. Raises UsageError."""
    known = {"max_attempts": new.max_attempts, "name": new.name}
    fields: dict[str, Any] = {name: value for name, value in known.items() if value is not None}
    if new.metadata:
        fields["metadata"] = _as_stored({**item.metadata, **new.metadata})
    return fields


def valid_records(records: Sequence[tuple[bytes, Request]]) -> Sequence[tuple[bytes, Request]]:
    """Return records if they are pairs of bytes and a Request. Raises UsageError."""
    for record in records if isinstance(records, list | tuple) else (records,):
        if not isinstance(record, tuple) or tuple(map(type, record)) != (bytes, Request):
            raise wrong("records", record, "a list of pairs: (bytes, Request(...))")
    return records


def _as_stored(metadata: object) -> dict[str, Any]:
    """Return metadata as it will be read again: a copy, in the types that JSON has."""
    if not isinstance(metadata, dict) or not all(isinstance(k, str) for k in metadata):
        raise UsageError("metadata must be an object with text keys")
    try:
        text = to_strict_json(metadata)
    except JsonError as error:
        raise UsageError(f"metadata cannot be written as JSON: {error}") from None
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_METADATA_BYTES:
        raise UsageError(f"metadata has {size} bytes; at most {MAX_METADATA_BYTES} are allowed")
    values: dict[str, Any] = parse_python(text)
    return values


def new_item(
    request: Request,
    item_id: int,
    now: float,
    config: QueueConfig,
    ends: Mapping[int, State] | None = None,
    **said: Any,
) -> Item:
    """Return the item that a checked request becomes: pending, or delayed until it is due.

    ends: how those that it comes after have ended (see `transitions.standing`); the others are
    still to be done, so it is held. said: fields that tell of its payload.
    """
    due = request.at if request.delay is None else now + request.delay
    waits = due is not None and due > now
    created_at = stamp(now)
    state = State.HELD if request.after else State.DELAYED if waits else State.PENDING
    item = Item(
        id=item_id,
        state=state,
        priority=config.default_priority if request.priority is None else request.priority,
        created_at=created_at,
        updated_at=created_at,
        not_before=stamp(due) if due is not None and waits else None,
        max_attempts=config.max_attempts if request.max_attempts is None else request.max_attempts,
        timeout=request.timeout,
        limit=request.limit,
        key=request.key,
        name=request.name,
        metadata={} if request.metadata is None else request.metadata,
        after=request.ids_before,
        if_failed=request.if_failed or ("fail" if request.after else None),
        follows=bool(request.after),
        **said,
    )
    if not item.after:
        return item
    return told(item, dict.fromkeys(item.after, State.PENDING) | dict(ends or {}), now)


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


def check_room(limit: int, live: int) -> None:
    """Raise QueueFullError if no item fits beside `live` ones; a limit of 0 is none."""
    if limit and live >= limit:
        raise QueueFullError(f"the queue is full: {live} items, max_items = {limit}")
