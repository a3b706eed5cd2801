"""Which files are still being written, by the habits of those who write. Pure: names only."""

from __future__ import annotations

_OTHERS = (".tmp", ".temp", ".swp", "~")
_MARKS = (
    ".part", ".partial", ".filepart", ".crdownload", ".opdownload", ".download", ".aria2", ".!ut",
    ".!qb", ".!bt", ".bc!", ".lftp-pget-status", ".writing", ".uploading", ".incomplete",
    ".inprogress", ".lock", ".lck",
)  # fmt: skip
"""Also set beside a file while that is not whole: aria2 keeps its account in `x.iso.aria2`."""


def looks_unfinished(name: str) -> bool:
    """Tell whether a file of this name is one that is still being written, or belongs to one."""
    return name.startswith((".", "#")) or name.lower().endswith((*_OTHERS, *_MARKS))


def marks(name: str) -> str | None:
    """Return the name of the file that is not whole while there is one of this name; or None.

    A backup, `x~`, or a new version in the making, `x.tmp`, says nothing about `x` itself.
    """
    lower = name.lower()
    ending = next((mark for mark in _MARKS if lower.endswith(mark)), None)
    return None if ending is None else name[: -len(ending)]
