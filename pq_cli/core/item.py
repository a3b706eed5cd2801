"""The item: a frozen value, its states, what may be in its fields, and how texts are shown."""

from __future__ import annotations

from enum import StrEnum

from pq_cli.core.record import Record
from pq_cli.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MIN_PRIORITY = 1
MAX_PRIORITY = 10
MAX_KEY_BYTES = 200
MAX_NAME_BYTES = 1024
MAX_LIMIT_CHARS = 64
MAX_ERROR_CHARS = 2000
MAX_METADATA_BYTES = 256 * 1024
MAX_AFTER = 100
"""Items that one may come after."""
MAX_HISTORY = 20
"""Attempts remembered in an item; the oldest are dropped first."""
IF_FAILED = ("fail", "hold", "run")
"""What may become of an item when one that it comes after failed or was removed."""
META = ".meta.json"
"""Ending of the file beside a payload that lies in a folder of its own; see `Item.path`."""


class State(StrEnum):
    """Where an item stands. On disk the folder says it, and the folder is right."""

    ACTIVE = "active"
    PENDING = "pending"
    DELAYED = "delayed"
    HELD = "held"
    FAILED = "failed"
    DONE = "done"
    REMOVED = "removed"


ACTIVE = State.ACTIVE
PENDING = State.PENDING
"""For what every claim asks many times: Python 3.11 takes ten times as long for `State.ACTIVE`."""

LIVE = (State.ACTIVE, State.PENDING, State.DELAYED, State.HELD)
"""The states in which an item counts for `key` and `max_items`."""
ORDER = (*LIVE, State.FAILED, State.DONE)
"""The states in the order in which they are listed."""
EVERY = (*ORDER, State.REMOVED)
"""The same with what was removed, which is shown only to those who ask for it."""


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
    since the item was enqueued or retried, without released ones, against `max_attempts`; one that
    takes longer than `timeout` seconds is stopped (None: it may take its time); of all items with
    the same `limit` only so many are active at once;
    `claims` counts every claim ever made and makes the fence: the claim is written `ID.CLAIMS`
    (of an active item, 0 says that the claim is another's; see `Admitted.stand`).
    `history` holds the last attempts that ended, oldest first, `last_error` the text of the
    last that failed. `after` are the items that must be done before this one and are not yet,
    `if_failed` what becomes of it when one of them ends otherwise (IF_FAILED), and `follows`
    whether it goes by them: what a person has held, cancelled or retried since does not.
    `metadata` is the producer's own, JSON; `extra` keeps fields that a newer pq wrote. `path` is
    where the payload lies, None in memory. Of a removed item `was` is the state it had and
    `kept_until` the Unix second at which it goes for good.
    """

    id: int
    state: State = State.PENDING
    priority: int
    created_at: float
    updated_at: float
    key: str | None = None
    name: str | None = None
    size: int = 0
    checksum: str | None = None
    not_before: float | None = None
    attempts: int = 0
    max_attempts: int = 3
    timeout: float | None = None
    limit: str | None = None
    written_boot: str | None = None
    last_error: str | None = None
    metadata: dict[str, Any] = {}
    after: tuple[int, ...] = ()
    if_failed: str | None = None
    follows: bool = False
    claims: int = 0
    lease_until: float | None = None
    holder: Holder | None = None
    history: tuple[dict[str, Any], ...] = ()
    # The fields above stand in a meta, in this order.
    extra: dict[str, Any] = {}
    path: str | None = None
    was: State | None = None
    kept_until: float | None = None

    @property
    def claim(self) -> str | None:
        """The fenced claim, `ID.N`, while the item is active; else None."""
        return f"{self.id}.{self.claims}" if self.state is ACTIVE and self.claims else None

    @property
    def lane(self) -> tuple[int, str]:
        """The lane in which the item waits while it is pending: base priority, and limit or ""."""
        return self.priority, self.limit or ""


def parse_reference(text: str) -> tuple[int, int | None]:
    """Return (id, claim number or None) of `1742` or `1742.2`. Raises UsageError."""
    number, dot, claim = text.partition(".")
    item_id, count = whole(number), whole(claim)
    if item_id is not None and (not dot or count is not None):
        return item_id, count
    raise UsageError(
        f"{printable(text) or repr('')} is not an item: give an id (1742) or a claim (1742.2)"
    )


def whole(text: str, digits: int = 18) -> int | None:
    """Return the whole number that a text is, of at most so many digits, or None.

    Without sign, spaces or the digits of other scripts: `int` would take those.
    """
    return int(text) if text.isascii() and text.isdigit() and len(text) <= digits else None


def checksum_text(crc: int) -> str:
    """Return the CRC-32 of a payload as items have it: it tells torn bytes, not forged ones."""
    return f"crc32:{crc:08x}"


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
    number = whole(value) if isinstance(value, str) else value
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


NO_LIMIT = "none"
"""The word for no limit, where one is asked for; so no limit has this name."""
_LIMIT_CHARS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


def valid_limit(name: str) -> str:
    """Return `name` if a limit can have it: it stands in names of folders. Raises UsageError."""
    fits = 1 <= len(name) <= MAX_LIMIT_CHARS and _LIMIT_CHARS.issuperset(name)
    if not fits or name[0] in "._-" or name == NO_LIMIT:
        raise UsageError(
            f"limit '{printable(name, 80)}': give 1 to {MAX_LIMIT_CHARS} of A-Z a-z 0-9 . _ -,"
            f" a letter or digit first, and not the word {NO_LIMIT}"
        )
    return name
