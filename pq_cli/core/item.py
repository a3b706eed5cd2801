"""The item: a frozen value, its states, and its `.meta.json` text.

`encode` and `decode` are the only code that knows how an item looks as JSON; the names are
the same in metas, in `--json` output and in this class.
"""

from __future__ import annotations

import json
from enum import StrEnum

from pq_cli.core.record import Record
from pq_cli.core.timefmt import format_time, parse_time
from pq_cli.errors import DamagedItemError, PqError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

MIN_PRIORITY = 1
MAX_PRIORITY = 10
MAX_KEY_BYTES = 200
MAX_NAME_BYTES = 1024
MAX_ERROR_CHARS = 2000
MAX_METADATA_BYTES = 256 * 1024
MAX_META_BYTES = 1024 * 1024
"""No `.meta.json` larger than this is ever read: a hostile one must not fill memory."""
MAX_HISTORY = 20
"""Attempts remembered in an item; the oldest are dropped first."""


class State(StrEnum):
    """Where an item stands. On disk the folder says it, and the folder is right."""

    ACTIVE = "active"
    PENDING = "pending"
    DELAYED = "delayed"
    HELD = "held"
    FAILED = "failed"
    DONE = "done"


LIVE = (State.ACTIVE, State.PENDING, State.DELAYED, State.HELD)
"""The states in which an item counts for `key` and `max_items`."""
ORDER = (*LIVE, State.FAILED, State.DONE)
"""The states in the order in which they are listed."""


class Holder(Record):
    """Who holds a claim, and how others can tell that this process is gone.

    host: node name. pid: process id. boot: the boot and pid namespace in which `pid` means
    something. started: the process's start in clock ticks since boot, or None for a claim that
    lives by its lease alone (the claiming process was not meant to stay). since: Unix seconds.
    lock: the name of a lock that is held as long as somebody works on the claim, or None.
    """

    host: str
    pid: int
    boot: str | None
    started: int | None
    since: float
    lock: str | None = None


class Item(Record):
    """One item: everything known about it but its payload. Frozen; `replace` makes variants.

    `id` is the spool's own number, `key` unique among live items, `name` only shown. `priority` is
    1 (most urgent) to 10 and never changes by itself; `state` says where the item stands.
    `created_at`, `updated_at` (the last transition), `not_before` (while delayed) and
    `lease_until` (while active, with the `holder`) are Unix seconds in whole microseconds.
    `size` is that of the payload in bytes, `checksum` its CRC-32 where that was cheap,
    `written_boot` the boot in which it was written unsynced. `attempts` counts those begun
    since the item was enqueued or retried, without released ones, against `max_attempts`;
    `claims` counts every claim ever made and makes the fence: the claim is written `ID.CLAIMS`.
    `history` holds the last attempts that ended, oldest first, `last_error` the text of the
    last that failed. `metadata` is the producer's own, JSON; `extra` keeps fields that a newer
    pq wrote. `path` is where the payload lies, None in memory.
    """

    id: int
    priority: int
    created_at: float
    updated_at: float
    state: State = State.PENDING
    not_before: float | None = None
    attempts: int = 0
    max_attempts: int = 3
    claims: int = 0
    key: str | None = None
    name: str | None = None
    size: int = 0
    checksum: str | None = None
    written_boot: str | None = None
    last_error: str | None = None
    metadata: dict[str, Any] = {}
    lease_until: float | None = None
    holder: Holder | None = None
    history: tuple[dict[str, Any], ...] = ()
    extra: dict[str, Any] = {}
    path: str | None = None

    @property
    def claim(self) -> str | None:
        """The fenced claim, `ID.N`, while the item is active; else None."""
        return f"{self.id}.{self.claims}" if self.state is State.ACTIVE else None


_STORED = (
    "id", "state", "priority", "created_at", "updated_at", "not_before", "attempts",
    "max_attempts", "key", "name", "size", "checksum", "written_boot", "last_error", "metadata",
    "claims", "lease_until", "holder", "history",
)  # fmt: skip
_TIMES = ("created_at", "updated_at", "not_before", "lease_until")
_TYPES: dict[str, tuple[type, ...]] = {
    "id": (int,), "priority": (int,), "attempts": (int,), "max_attempts": (int,), "claims": (int,),
    "size": (int,), "key": (str, type(None)), "name": (str, type(None)),
    "checksum": (str, type(None)), "written_boot": (str, type(None)),
    "last_error": (str, type(None)), "metadata": (dict,), "history": (list,),
}  # fmt: skip
_CLAIMED = (
    "state", "priority", "updated_at", "not_before", "attempts", "claims", "lease_until", "holder",
)  # fmt: skip
"""Fields that a claim changes, or that the place of the meta may have overruled before it."""
_END = b"\n}\n"
_CLAIM = b',"state":"active",'
_LARGEST = 10**17
"""The largest number believed in a meta: an id or claim number must fit into a file name."""
_REQUIRED = ("id", "priority", "created_at")
_compact = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_ascii = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode


def to_json(value: object) -> bytes:
    """Return compact UTF-8 JSON; lone surrogates (names that are not UTF-8) as `\\udcxx`."""
    try:
        return _compact(value).encode()
    except UnicodeEncodeError:
        return _ascii(value).encode()


def to_safe_json(value: object) -> bytes:
    """Return `to_json`, but with everything that could drive a terminal as an escape."""
    text = _compact(value)
    return (text if text.isprintable() else _ascii(value).replace("\x7f", "\\u007f")).encode()


def as_dict(item: Item) -> dict[str, Any]:
    """Return what a meta holds, JSON-ready: times as RFC 3339."""
    values = _values(item, _STORED)
    values["history"] = list(item.history)
    values.update(item.extra)
    return values


def _values(item: Item, names: tuple[str, ...]) -> dict[str, Any]:
    """Return some fields as a meta holds them, and the claim behind them."""
    fields = item.__dict__
    values: dict[str, Any] = {name: fields[name] for name in names}
    for name in _TIMES:
        if values.get(name) is not None:
            values[name] = format_time(values[name])
    values["state"] = item.state.value
    if item.holder is not None:
        values["holder"] = {**item.holder.__dict__, "since": format_time(item.holder.since)}
    values["claim"] = item.claim
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
    line = b"," + to_json(_values(item, _CLAIMED))[1:]
    return start, line.ljust(len(old) - 1) + b"\n"


def parse_meta(text: bytes) -> Any:
    """Return the JSON value of a meta's text; without a second line that was cut short.

    Raises ValueError or RecursionError.
    """
    try:
        return json.loads(text)
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
        values = parse_meta(text)
    except (ValueError, RecursionError):
        raise DamagedItemError(f"item {item_id}: {path} is not JSON") from None
    if not isinstance(values, dict):
        raise DamagedItemError(f"item {item_id}: {path} is not a JSON object")
    try:
        return _build(values, item_id, state, priority, path)
    except _WrongError as wrong:
        raise DamagedItemError(f"item {item_id}: {path}: {wrong}") from None


class _WrongError(PqError):
    """A field of a meta is missing or has a wrong type."""


def _build(
    values: dict[str, Any], item_id: int, state: State, priority: int | None, path: str
) -> Item:
    fields = _checked(values)
    if fields["id"] != item_id:
        raise _WrongError(f"says id {fields['id']}")
    if values.get("state") == "active" != state:
        fields["attempts"] = max(0, fields.get("attempts", 0) - 1)
    if priority is not None:
        fields["priority"] = priority
    if not MIN_PRIORITY <= fields["priority"] <= MAX_PRIORITY:
        raise _WrongError(f"priority {fields['priority']} is not between 1 and 10")
    if state is not State.ACTIVE:
        fields["holder"] = fields["lease_until"] = None
    if state is not State.DELAYED:
        fields["not_before"] = None
    if fields.get("updated_at") is None:
        fields["updated_at"] = fields["created_at"]
    return Item(state=state, path=path, **fields)


def _checked(values: dict[str, Any]) -> dict[str, Any]:
    """Return the known fields with checked types, the rest under `extra`."""
    fields: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for name in _REQUIRED:
        if name not in values:
            raise _WrongError(f"{name} is missing")
    for name, value in values.items():
        if name in _TYPES:
            if not isinstance(value, _TYPES[name]) or value is True or value is False:
                raise _WrongError(f"{name} has a wrong type")
            if isinstance(value, int) and not 0 <= value <= _LARGEST:
                raise _WrongError(f"{name} is out of range")
            fields[name] = value
        elif name in _TIMES:
            fields[name] = _time(name, value)
        elif name == "holder":
            fields[name] = _holder(value)
        elif name not in ("state", "claim", "path", "effective"):
            extra[name] = value
    history = fields.get("history", [])
    if not all(isinstance(entry, dict) for entry in history):
        raise _WrongError("history has a wrong type")
    fields["history"] = tuple(history)
    fields["extra"] = extra
    if fields.get("key") is not None:
        try:
            valid_key(fields["key"])
        except UsageError as error:
            raise _WrongError(str(error)) from None
    return fields


def _time(name: str, value: object) -> float | None:
    if value is None and name != "created_at":
        return None
    if not isinstance(value, str):
        raise _WrongError(f"{name} has a wrong type")
    try:
        return parse_time(value)
    except UsageError:
        raise _WrongError(f"{name} is not a time") from None


def _holder(value: object) -> Holder | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise _WrongError("holder has a wrong type")
    host, pid, since = value.get("host"), value.get("pid"), value.get("since")
    boot, started, lock = value.get("boot"), value.get("started"), value.get("lock")
    if (
        not isinstance(host, str)
        or not isinstance(pid, int)
        or not isinstance(boot, str | None)
        or not isinstance(started, int | None)
        or not isinstance(lock, str | None)
    ):
        raise _WrongError("holder has a wrong type")
    seconds = _time("holder.since", since)
    if seconds is None:
        raise _WrongError("holder.since is missing")
    return Holder(host=host, pid=pid, boot=boot, started=started, since=seconds, lock=lock)


def parse_reference(text: str) -> tuple[int, int | None]:
    """Return (id, claim number or None) of `1742` or `1742.2`. Raises UsageError."""
    number, dot, claim = text.partition(".")
    if _is_number(number) and (not dot or _is_number(claim)):
        return int(number), int(claim) if dot else None
    raise UsageError(f"{printable(text)} is not an item: give an id (1742) or a claim (1742.2)")


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 18


def printable(text: str, limit: int = 0) -> str:
    """Return `text` with every character that could drive a terminal written as an escape.

    With `limit`, longer results are cut and end in an ellipsis. Bidirectional controls count
    as unprintable too: they reorder what the operator reads.
    """
    if not text.isprintable():
        text = "".join(c if c.isprintable() else _escaped(c) for c in text)
    return text if not limit or len(text) <= limit else text[: limit - 1] + "…"


def _escaped(char: str) -> str:
    if "\udc80" <= char <= "\udcff":
        return f"\\x{ord(char) - 0xDC00:02x}"
    return char.encode("unicode_escape").decode("ascii")


def valid_priority(value: object) -> int:
    """Return `value` as a priority. Raises UsageError unless it is a whole number 1 to 10."""
    number = int(value) if isinstance(value, str) and _is_number(value) else value
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= MAX_PRIORITY:
        shown = printable(str(value), 40)
        raise UsageError(f"priority {shown!r}: give a whole number from 1 (most urgent) to 10")
    return number


def valid_key(key: str) -> str:
    """Return `key`. Raises UsageError when empty, over 200 bytes, or with control characters."""
    size = len(key.encode("utf-8", "surrogatepass"))
    if not 1 <= size <= MAX_KEY_BYTES:
        raise UsageError(f"a key has 1 to {MAX_KEY_BYTES} bytes, this one has {size}")
    if any(ord(c) < 32 or 127 <= ord(c) < 160 or 0xD800 <= ord(c) < 0xE000 for c in key):
        raise UsageError(f"key '{printable(key)}': control characters are not allowed")
    return key
