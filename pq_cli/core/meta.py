"""The meta: the text of an item's `.meta.json`, written and read.

`encode` and `decode` are the only code that knows how an item looks as JSON; the names are
the same in metas, in `--json` output and in `Item`.
"""

from __future__ import annotations

from pq_cli.core.item import (
    ACTIVE,
    IF_FAILED,
    MAX_PRIORITY,
    MIN_PRIORITY,
    Holder,
    Item,
    State,
    valid_key,
    valid_limit,
)
from pq_cli.core.jsonio import parse_edited, to_json
from pq_cli.core.timefmt import MAX_SECONDS, format_time, read_times, write_times
from pq_cli.errors import DamagedItemError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAX_META_BYTES = 1024 * 1024
"""No `.meta.json` larger than this is ever read: a hostile one must not fill memory."""
_STORED = Item.FIELDS[: Item.FIELDS.index("extra")]
_TIMES = ("created_at", "updated_at", "not_before", "lease_until")
_NUMBERS = ("id", "priority", "attempts", "max_attempts", "claims", "size")
_WORDS = ("key", "name", "limit", "checksum", "written_boot", "last_error")
_NONE = type(None)
_TYPES: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(_NUMBERS, (int,)),
    **dict.fromkeys(_WORDS, (str, _NONE)),
    **dict.fromkeys(_TIMES, (str, _NONE)),
    "created_at": (str,), "metadata": (dict,), "holder": (dict, _NONE), "history": (list,),
    "timeout": (int, float, _NONE), "after": (list,), "if_failed": (str, _NONE),
    "follows": (bool,), "ending": (dict, _NONE),
}  # fmt: skip
_HOLDER_TYPES: dict[str, tuple[type, ...]] = {
    "host": (str,), "pid": (int,), "since": (str,),
    "boot": (str, _NONE), "started": (int, _NONE), "lock": (str, _NONE),
}  # fmt: skip
_MISSING = {
    **dict.fromkeys((*_STORED, "claim", "path", "effective", "first", "ending")),
    **{name: value for name, value in Item._defaults.items() if name in _STORED},
    "history": [],
    "after": [],
}  # fmt: skip
"""What is read for a field that a meta lacks; of those without which there is no item, None."""
ENDED = "ended"
"""What a meta says in the place of a state when there is no item any more."""
SECTOR = 512
"""Bytes that a power loss leaves old or new, never mixed."""
_CLAIMED = (
    "id", "state", "attempts", "claims", "updated_at", "not_before", "lease_until", "holder",
    "claim",
)  # fmt: skip
"""What stands on the second line: what a claim changes, and the id, which is given last."""
_LARGEST = 10**17
"""The largest number believed in a meta: an id or claim number must fit into a file name."""
_TIED = {State.HELD, State.FAILED}
"""States in which one that follows others keeps the time before which it must not be served."""
_REQUIRED = ("id", "priority", "created_at", "since")


def as_dict(item: Item) -> dict[str, Any]:
    """Return what a meta holds, JSON-ready: times as RFC 3339."""
    fields = item.__dict__
    values: dict[str, Any] = {name: fields[name] for name in _STORED}
    write_times(values, _TIMES)
    values["state"] = item.state.value
    if item.holder is not None:
        values["holder"] = {**item.holder.__dict__, "since": format_time(item.holder.since)}
    values["history"] = list(item.history)
    values["after"] = list(item.after)
    values["claim"] = item.claim
    values.update(item.extra)
    return values


def encode(
    item: Item, *, first: bool = False, said: str | None = None, apart: bool = False
) -> bytes:
    """Return the text of the item's `.meta.json`: one JSON object in UTF-8, on two lines.

    The second line has what a claim changes and is one sector, but for the longest holders; the
    first has all else and ends with a sector. So a claim can be written over the second in place:
    no byte that must survive shares a sector with one that may not. An id of 0 is still to be
    given: the name of the file says it.

    first: whether it is the item's first meta, as it was enqueued, and says so. said: what it says
    instead of the item's state. apart: whether the last entry of the history is on the second line.
    """
    values = as_dict(item)
    if apart:
        values["ending"] = values["history"].pop()
    if first:
        values["first"] = True
    if said is not None:
        values["state"] = said
    lower = _second_line(values)
    for name in (*_CLAIMED, "ending"):
        values.pop(name, None)
    return whole_sectors(to_json(values)[:-1], b"\n") + lower


def second_line(item: Item) -> bytes:
    """Return the second line of what `encode` returns for an item."""
    return _second_line(as_dict(item))


def _second_line(values: dict[str, Any]) -> bytes:
    changing = {name: values[name] for name in (*_CLAIMED, "ending") if name in values}
    return whole_sectors(b"," + to_json(changing)[1:-1], b"}\n")


def whole_sectors(text: bytes, end: bytes) -> bytes:
    """Return text, spaces and end: as many whole sectors as it takes."""
    size = -(-(len(text) + len(end)) // SECTOR) * SECTOR
    return text.ljust(size - len(end)) + end


def claim_over(text: bytes, item: Item, apart: bool = False) -> tuple[int, bytes] | None:
    """Return (offset, one sector) that turn the present `text` of a meta into that of `item`.

    None where more than the second line would change, or it takes more than a sector, or the text
    is not as we write it: then a new meta is needed. apart: see `encode`.
    """
    first = b'"first":true' in text
    over = _over(text, encode(item, first=first, apart=apart))
    return over or _over(text, encode(item, first=not first, apart=apart))


def end_over(text: bytes, item: Item) -> tuple[int, bytes] | None:
    """Return (offset, one sector) that make the present `text` of a meta say that it has ended.

    None where it is not the item's first: a power loss may bring another file back in its place,
    which says nothing of the end.
    """
    return _over(text, encode(item, first=True, said=ENDED))


def _over(text: bytes, new: bytes) -> tuple[int, bytes] | None:
    start = len(new) - SECTOR
    if len(text) != len(new) or text[:start] != new[:start] or text[start - 1 : start] != b"\n":
        return None
    return start, new[start:]


def state_in(text: bytes) -> State:
    """Return the state that a meta names; `pending` where it names none (decode says why)."""
    try:
        return State(parse_edited(text)["state"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return State.PENDING


def decode(
    text: bytes,
    *,
    item_id: int,
    state: State,
    priority: int | None,
    where: str,
    path: str | None = None,
) -> Item:
    """Return the item of a `.meta.json`; its place (`state`, `priority`) wins over what it says.

    where: what errors call the text. path: of the payload. A meta that says `active` but lies
    elsewhere belongs to a claim that never came about: its attempt is taken back. Raises
    DamagedItemError naming what is wrong, EndedError where there is no item any more.
    """
    try:
        fields = _checked(parse_edited(text))
        if fields["state"] == ENDED:
            raise EndedError(f"item {item_id}: {where}: it has ended")
        return _build(fields, item_id, state, priority, path)
    except UsageError as wrong:
        raise DamagedItemError(f"item {item_id}: {where}: {wrong}") from None
    except (ValueError, RecursionError):
        raise DamagedItemError(f"item {item_id}: {where} is not JSON") from None


class EndedError(DamagedItemError):
    """The meta says that its item has ended: its removal was taken back by a power loss."""


def _build(
    fields: dict[str, Any], item_id: int, state: State, priority: int | None, path: str | None
) -> Item:
    said = fields["state"]
    if fields["id"] not in (0, item_id):
        raise UsageError(f"says id {fields['id']}")
    fields["id"], fields["state"], fields["path"] = item_id, state, path
    if priority is not None:
        fields["priority"] = priority
    if not MIN_PRIORITY <= fields["priority"] <= MAX_PRIORITY:
        raise UsageError(f"priority {fields['priority']} is not between 1 and 10")
    if state is not ACTIVE:
        fields["holder"] = fields["lease_until"] = None
        if said == "active":
            fields["attempts"] = max(0, fields["attempts"] - 1)
    fields["was"] = fields["kept_until"] = None
    if state is State.REMOVED:
        fields["was"] = _former(said)
    stands = {state, fields["was"]}
    if State.DELAYED not in stands and not (fields["follows"] and stands & _TIED):
        fields["not_before"] = None
    if fields["updated_at"] is None:
        fields["updated_at"] = fields["created_at"]
    return Item(**fields)


def _former(said: object) -> State:
    """Return the state that a removed item had; one that was claimed had none to lose."""
    try:
        state = State(str(said))
    except ValueError:
        raise UsageError("state is not one") from None
    return State.PENDING if state in (State.ACTIVE, State.REMOVED) else state


def _checked(values: Any) -> dict[str, Any]:
    """Return the known fields, of the right types, those of a newer pq under `extra`."""
    if not isinstance(values, dict):
        raise UsageError("is not a JSON object")
    fields = {**_MISSING, "metadata": {}, **values}  # a new one: each item has its own
    _check_types(fields, _TYPES)
    for name in _NUMBERS:
        if not 0 <= fields[name] <= _LARGEST:
            raise UsageError(f"{name} is out of range")
    if fields["timeout"] is not None and not 0 < fields["timeout"] <= MAX_SECONDS:
        raise UsageError("timeout is out of range")
    read_times(fields, _TIMES)
    for name, valid in (("key", valid_key), ("limit", valid_limit)):
        if fields[name] is not None:
            valid(fields[name])
    if fields["holder"] is not None:
        fields["holder"] = _holder(fields["holder"])
    ending = fields.pop("ending")
    history = (*fields["history"], *([] if ending is None else [ending]))
    fields["history"] = history
    if history and not all(isinstance(entry, dict) for entry in history):
        raise UsageError("history has a wrong type")
    after = fields["after"] = tuple(fields["after"])
    if after and not all(type(i) is int and 0 < i <= _LARGEST for i in after):
        raise UsageError("after has a wrong type")
    if fields["if_failed"] not in (None, *IF_FAILED):
        raise UsageError("if_failed is none that there is")
    fields["extra"] = {name: fields.pop(name) for name in list(fields) if name not in _MISSING}
    del fields["claim"], fields["effective"], fields["first"]
    return fields


def _check_types(fields: dict[str, Any], types: dict[str, tuple[type, ...]], of: str = "") -> None:
    # Compared, not asked with isinstance: `true` is no number.
    for name, kinds in types.items():
        value = fields[name]
        if type(value) not in kinds:
            missing = value is None and name in _REQUIRED
            raise UsageError(f"{of}{name} {'is missing' if missing else 'has a wrong type'}")


def _holder(value: dict[str, Any]) -> Holder:
    fields: dict[str, Any] = {name: value.get(name) for name in Holder.FIELDS}
    _check_types(fields, _HOLDER_TYPES, "holder.")
    read_times(fields, ["since"], "holder.")
    return Holder(**fields)
