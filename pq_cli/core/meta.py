"""The meta: the text of an item's `.meta.json`, written and read.

`encode` and `decode` are the only code that knows how an item looks as JSON; the names are
the same in metas, in `--json` output and in `Item`.
"""

from __future__ import annotations

import json
from functools import lru_cache
from operator import itemgetter

from pq_cli.core.item import (
    ACTIVE,
    MAX_PRIORITY,
    MIN_PRIORITY,
    Holder,
    Item,
    State,
    to_json,
    valid_key,
)
from pq_cli.core.timefmt import format_time, parse_time
from pq_cli.errors import DamagedItemError, PqError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

MAX_META_BYTES = 1024 * 1024
"""No `.meta.json` larger than this is ever read: a hostile one must not fill memory."""
_OWN = (
    "id", "state", "priority", "created_at", "updated_at", "key", "name", "size", "checksum",
)  # fmt: skip
"""What differs from item to item."""
_REST = (
    "not_before", "attempts", "max_attempts", "written_boot", "last_error", "metadata", "claims",
    "lease_until", "holder", "history",
)  # fmt: skip
"""What follows: the same text in the metas of many new items."""
_STORED = (*_OWN, *_REST)
_TIMES = ("created_at", "updated_at", "not_before", "lease_until")
_NUMBERS = ("id", "priority", "attempts", "max_attempts", "claims", "size")
_NONE = type(None)
_TYPES: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(_NUMBERS, (int,)),
    **dict.fromkeys(("key", "name", "checksum", "written_boot", "last_error"), (str, _NONE)),
    **dict.fromkeys(_TIMES, (str, _NONE)),
    "created_at": (str,), "metadata": (dict,), "holder": (dict, _NONE), "history": (list,),
}  # fmt: skip
_MISSING = {
    **dict.fromkeys((*_STORED, "claim", "path", "effective")),
    **{name: value for name, value in Item._defaults.items() if name in _STORED},
    "history": [],
}  # fmt: skip
"""What is read for a field that a meta lacks; of those without which there is no item, None."""
_END = b"\n}\n"
_CLAIM = b',"state":"active",'
_LARGEST = 10**17
"""The largest number believed in a meta: an id or claim number must fit into a file name."""
_REQUIRED = ("id", "priority", "created_at")
_CUT = b',"not_before":'
"""Where the rest begins. Within a string a quote has its backslash, so this is no part of one."""
_LONGEST_REST = 1024
"""Bytes of the longest rest that is remembered."""
_from_json = json.JSONDecoder().raw_decode


class _Part:
    """Some of the fields, checked together."""

    def __init__(self, fields: tuple[str, ...]) -> None:
        self._names = tuple(name for name in _TYPES if name in fields)  # numbers first
        self._numbers = tuple(name for name in _NUMBERS if name in fields)
        self._times = tuple(name for name in _TIMES if name in fields)
        self._row = itemgetter(*self._names)
        self._right: set[tuple[type, ...]] = set()

    def check(self, fields: dict[str, Any]) -> None:
        """Turn times into Unix seconds. Raises _WrongError unless every field is what it must be.

        Rows of types that were right are remembered: a million metas have a handful of them.
        """
        row = self._row(fields)
        types = tuple(map(type, row))
        if types not in self._right:
            self._check_types(types)
        numbers = row[: len(self._numbers)]
        if min(numbers) < 0 or max(numbers) > _LARGEST:
            wrong = next(n for n in self._numbers if not 0 <= fields[n] <= _LARGEST)
            raise _WrongError(f"{wrong} is out of range")
        for name in self._times:
            if fields[name] is not None:
                fields[name] = _time(name, fields[name])

    def _check_types(self, types: tuple[type, ...]) -> None:
        # Compared, not asked with isinstance: `true` is no number.
        for name, kind in zip(self._names, types, strict=True):
            if kind not in _TYPES[name]:
                missing = kind is _NONE and name in _REQUIRED
                raise _WrongError(f"{name} is missing" if missing else f"{name} has a wrong type")
        self._right.add(types)


_own_part, _rest_part = _Part(_OWN), _Part(_REST)


def as_dict(item: Item) -> dict[str, Any]:
    """Return what a meta holds, JSON-ready: times as RFC 3339."""
    fields = item.__dict__
    values: dict[str, Any] = {name: fields[name] for name in _STORED}
    for name in _TIMES:
        if values[name] is not None:
            values[name] = format_time(values[name])
    values["state"] = item.state.value
    if item.holder is not None:
        values["holder"] = {**item.holder.__dict__, "since": format_time(item.holder.since)}
    values["history"] = list(item.history)
    values["claim"] = item.claim
    values.update(item.extra)
    return values


def encode(item: Item) -> bytes:
    """Return the text of the item's `.meta.json`: UTF-8 JSON, its last brace on a second line."""
    return to_json(as_dict(item))[:-1] + _END


def claim_patch(text: bytes, item: Item) -> tuple[int, bytes] | None:
    """Return (offset, bytes) that make the present `text` of a meta that of a claimed `item`.

    The second line is written anew: not the brace alone, but the fields that a claim changes,
    again; of a field that comes twice the readers of JSON take the last. The first line is left as
    it is, so that a claim which is cut short is read as none (`parse_meta`). None where the text
    is not of our making.
    """
    start = text.find(b"\n") + 1
    old = text[start:]
    if not start or not (old == _END[1:] or (old.startswith(_CLAIM) and old.endswith(_END[-2:]))):
        return None
    return start, _claim_line(item).ljust(len(old) - 1) + b"\n"


def _claim_line(item: Item) -> bytes:
    """Return what a claim changes, or the place of the meta may have overruled before it.

    By hand: every item that is worked on pays for it.
    """
    holder = item.holder
    if holder is None:
        held = "null"
    else:
        lock = "null" if holder.lock is None else to_json(holder.lock).decode()
        who = _holder_start(holder.host, holder.pid, holder.boot, holder.started)
        held = f'{who},"since":"{format_time(holder.since)}","lock":{lock}}}'
    return (
        f',"state":"active","priority":{item.priority},"updated_at":"{format_time(item.updated_at)}"'
        f',"not_before":{_time_or_null(item.not_before)},"attempts":{item.attempts}'
        f',"claims":{item.claims},"lease_until":{_time_or_null(item.lease_until)},"holder":{held}'
        f',"claim":"{item.claim}"}}'
    ).encode()


@lru_cache(maxsize=4)
def _holder_start(host: str, pid: int, boot: str | None, started: int | None) -> str:
    values = {"host": host, "pid": pid, "boot": boot, "started": started}
    return to_json(values)[:-1].decode()


def _time_or_null(seconds: float | None) -> str:
    return "null" if seconds is None else f'"{format_time(seconds)}"'


def parse_meta(text: bytes) -> Any:
    """Return the JSON value of a meta's text; without a second line that was cut short.

    Raises ValueError or RecursionError.
    """
    try:
        whole = text.decode()
        value, end = _from_json(whole)
        if not whole[end:].strip(" \n"):
            return value  # as we write it, and without what json.loads does for others first
    except ValueError:
        pass
    try:
        return json.loads(text)  # as an editor may have left it: in UTF-16, or with a mark before
    except ValueError:
        first, newline, _ = text.partition(b"\n")
        if not newline:
            raise
        return json.loads(first + b"}")


def encoder_like(sample: Item) -> Callable[[int, int, str], bytes]:
    """Return `encode` for items that differ from a new one only in (id, size, checksum).

    The text is cut where these stand, which is unambiguous: before them the only free text is in
    strings, where a quote is never without its backslash.
    """
    text = encode(sample.replace(id=0, size=0, checksum=None))
    start, cut = b'{"id":0,', b',"size":0,"checksum":null,'
    middle, end = text.removeprefix(start).split(cut, 1)

    def encoded(item_id: int, size: int, checksum: str) -> bytes:
        return b'{"id":%d,%s,"size":%d,"checksum":"%s",%s' % (
            item_id, middle, size, checksum.encode(), end,
        )  # fmt: skip

    return encoded


def decode(text: bytes, *, item_id: int, state: State, priority: int | None, path: str) -> Item:
    """Return the item of a `.meta.json`; its place (`state`, `priority`) wins over what it says.

    A meta that says `active` but lies elsewhere belongs to a claim that never came about:
    its attempt is taken back. Raises DamagedItemError naming what is wrong.
    """
    try:
        fields = _of_a_new_item(text) or _checked(parse_meta(text))
        return _build(fields, item_id, state, priority, path)
    except (ValueError, RecursionError):
        raise DamagedItemError(f"item {item_id}: {path} is not JSON") from None
    except _WrongError as wrong:
        raise DamagedItemError(f"item {item_id}: {path}: {wrong}") from None


class _WrongError(PqError):
    """A field of a meta is missing or has a wrong type."""


def _build(
    fields: dict[str, Any], item_id: int, state: State, priority: int | None, path: str
) -> Item:
    said = fields["state"]
    if fields["id"] != item_id:
        raise _WrongError(f"says id {fields['id']}")
    fields["state"], fields["path"] = state, path
    if priority is not None:
        fields["priority"] = priority
    if not MIN_PRIORITY <= fields["priority"] <= MAX_PRIORITY:
        raise _WrongError(f"priority {fields['priority']} is not between 1 and 10")
    if state is not ACTIVE:
        fields["holder"] = fields["lease_until"] = None
        if said == "active":
            fields["attempts"] = max(0, fields["attempts"] - 1)
    if state is not State.DELAYED:
        fields["not_before"] = None
    if fields["updated_at"] is None:
        fields["updated_at"] = fields["created_at"]
    return Item.of(fields)


def _of_a_new_item(text: bytes) -> dict[str, Any] | None:
    """Return the fields of a meta as `encode` writes it of an item that is new; of others None.

    Nearly every claim reads such a one. Where a text is cut between two members both parts are
    objects by themselves, and together they are the object: so what comes after the item's own
    fields, the same in many metas, is read once.
    """
    own, _, rest = text.partition(_CUT)
    shared = _shared(rest) if len(rest) <= _LONGEST_REST else None
    if shared is None:
        return None
    try:
        begun = own.decode()
        fields, end = _from_json(begun + "}")
    except ValueError:
        return None
    if end <= len(begun) or tuple(fields) != _OWN:
        return None
    _check_own(fields)
    return {**shared, **fields, "metadata": {}, "extra": {}}


@lru_cache(maxsize=64)
def _shared(text: bytes) -> dict[str, Any] | None:
    """Return what comes after an item's own fields; None where something in it is not shared."""
    try:
        values = parse_meta(b"{" + _CUT[1:] + text)
        if tuple(values) != (*_REST, "claim"):
            return None
        if values["metadata"] or values["history"] or values["holder"]:
            return None
        fields = {**_MISSING, **values}
        _rest_part.check(fields)
    except (ValueError, _WrongError):
        return None  # the text as a whole will tell what is wrong
    fields["history"] = ()
    del fields["claim"], fields["effective"]
    return fields


def _checked(values: Any) -> dict[str, Any]:
    """Return the known fields, of the right types, those of a newer pq under `extra`."""
    if not isinstance(values, dict):
        raise _WrongError("is not a JSON object")
    fields = {**_MISSING, **values}
    _check_own(fields)
    _rest_part.check(fields)
    if fields["holder"] is not None:
        fields["holder"] = _holder(fields["holder"])
    history = fields["history"] = tuple(fields["history"])
    if history and not all(isinstance(entry, dict) for entry in history):
        raise _WrongError("history has a wrong type")
    fields["extra"] = {} if len(fields) == len(_MISSING) else _taken_out(fields)
    del fields["claim"], fields["effective"]
    return fields


def _taken_out(fields: dict[str, Any]) -> dict[str, Any]:
    """Take what a newer pq wrote out of the fields, and return it."""
    return {name: fields.pop(name) for name in list(fields) if name not in _MISSING}


def _check_own(fields: dict[str, Any]) -> None:
    _own_part.check(fields)
    if fields["key"] is not None:
        try:
            valid_key(fields["key"])
        except UsageError as error:
            raise _WrongError(str(error)) from None


def _time(name: str, text: str) -> float:
    try:
        return parse_time(text)
    except UsageError:
        raise _WrongError(f"{name} is not a time") from None


def _holder(value: dict[str, Any]) -> Holder:
    host, pid, since = value.get("host"), value.get("pid"), value.get("since")
    boot, started, lock = value.get("boot"), value.get("started"), value.get("lock")
    if (
        not isinstance(host, str)
        or type(pid) is not int
        or not isinstance(boot, str | None)
        or not isinstance(started, int | None)
        or not isinstance(lock, str | None)
    ):
        raise _WrongError("holder has a wrong type")
    if since is None:
        raise _WrongError("holder.since is missing")
    if not isinstance(since, str):
        raise _WrongError("holder.since has a wrong type")
    seconds = _time("holder.since", since)
    return Holder(host=host, pid=pid, boot=boot, started=started, since=seconds, lock=lock)
