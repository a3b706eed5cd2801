"""What a reader of an older queue yields.

Paths are text relative to the source folder, with `/` between parts; bytes of a name that are
not UTF-8 are held as lone surrogates (`surrogateescape`), so `os.fsencode` gives the name back.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from pq_cli.errors import UsageError

LegacyState = Literal["pending", "held", "failed", "done"]
Json = dict[str, Any]

DEFAULT_PRIORITY = 5


class Why(StrEnum):
    """Why a file was left where it is. The words are stable: scripts may look for them."""

    UNKNOWN_FILE = "unknown-file"
    TMP_LEFTOVER = "tmp-leftover"
    HIDDEN_FILE = "hidden-file"
    IN_SUBFOLDER = "in-a-subfolder"
    NOT_A_FILE = "not-a-file"
    UNREADABLE = "unreadable"
    TOO_LARGE = "too-large"
    BAD_META = "bad-meta"
    BAD_PAYLOAD = "bad-payload"
    BAD_ENVELOPE = "bad-envelope"
    META_OF_BAD_PAYLOAD = "meta-of-bad-payload"
    ORPHAN_META = "orphan-meta"
    ORPHAN_LOCK = "orphan-lock"
    METADATA_TOO_LARGE = "metadata-too-large"
    CHANGED = "changed-while-reading"
    REFUSED = "refused"


class MigrateError(UsageError):
    """The source cannot be read as a whole; the text is for people, on one line."""


class SourceUnreadableError(MigrateError):
    """A folder that must be listed to know the items cannot be listed."""

    exit_code = 74


class SourceChangedError(MigrateError):
    """A file of the source changed or vanished after it was read: something still writes there."""

    exit_code = 75


class FileProblemError(Exception):
    """One file cannot be used; carries the `reason` and `detail` of its `Reported`."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Stamp:
    """A file as it was when it was read: bytes, nanoseconds since the epoch, inode."""

    size: int
    mtime_ns: int
    inode: int


@dataclass(frozen=True, slots=True)
class Embedded:
    """The payload is the canonical JSON of `key` in an envelope; `size` in bytes."""

    key: str
    size: int


@dataclass(frozen=True, slots=True)
class Warned:
    """A recorded `value` that was no use and gave way to a default; the item is kept."""

    path: str
    field: str
    value: Any


@dataclass(frozen=True, slots=True)
class Reported:
    """A file that is left where it is; `reason` is one of the words above, `detail` for people."""

    path: str
    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class LegacyItem:
    """One item of an older queue, without its payload's bytes.

    `source` names every file the item was made of, the payload's (or envelope's, which `embedded`
    tells) first, whose `stamp` it has; a sidecar may be named by several items. `created_us` is
    microseconds since the epoch, UTC.
    `max_attempts` is None where the old queue did not say. `legacy` is the old metadata as it
    was (of an envelope: all but the payload, which is the payload); `earlier` holds the older
    metas of the same item, or its losing copies, likewise.
    """

    source: tuple[str, ...]
    stamp: Stamp
    state: LegacyState
    created_us: int
    legacy_id: str
    priority: int = DEFAULT_PRIORITY
    attempts: int = 0
    max_attempts: int | None = None
    last_error: str | None = None
    legacy: Json = field(default_factory=dict)
    earlier: tuple[Json, ...] = ()
    warnings: tuple[Warned, ...] = ()
    embedded: Embedded | None = None

    @property
    def payload_size(self) -> int:
        """The payload's bytes."""
        return self.stamp.size if self.embedded is None else self.embedded.size


Entry = LegacyItem | Reported
