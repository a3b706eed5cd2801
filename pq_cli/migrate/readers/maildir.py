"""A Maildir: `new/` waits, `cur/` with flags after `:2,`, `tmp/` is being written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import tzinfo
from pathlib import Path

from pq_cli.migrate.files import files_in, join
from pq_cli.migrate.model import Entry, LegacyItem, LegacyState, Reported, Stamp, Verbatim, Why
from pq_cli.migrate.readers import values
from pq_cli.migrate.readers.flat import folders_in, try_stamp
from pq_cli.migrate.traces import Evidence, Format, Traces

_FOLDERS = frozenset({"new", "cur", "tmp"})
_TIMED_NAME = re.compile(r"([0-9]{1,12})\.(?:[^.]*?M([0-9]{1,6})(?![0-9]))?")


def looks_like(traces: Traces) -> Evidence | None:
    """See Format."""
    found = _FOLDERS & traces.known_folders
    if not {"new", "cur"} <= found:
        return None
    return Evidence(found == _FOLDERS, f"folders {', '.join(sorted(found))}")


def read(root: Path, tz: tzinfo | None) -> Iterator[Entry]:
    """See Format; no time of this format needs `tz`."""
    for folder in folders_in(root, _FOLDERS.__contains__):
        if isinstance(folder, Reported):
            yield folder
        else:
            yield from _folder(root, folder)


def _folder(root: Path, folder: str) -> Iterator[Entry]:
    for name in files_in(root, folder):
        if isinstance(name, Reported):
            yield name
            continue
        path = join(folder, name)
        if folder == "tmp" or name.endswith(".tmp"):
            yield Reported(path, Why.TMP_LEFTOVER)
        elif name.startswith("."):
            yield Reported(path, Why.HIDDEN_FILE)
        else:
            yield _message(root, folder, name)


def _message(root: Path, folder: str, name: str) -> Entry:
    path = join(folder, name)
    stamp = try_stamp(root, path)
    if isinstance(stamp, Reported):
        return stamp
    unique, _, info = name.partition(":")
    flags = info.removeprefix("2,") if info.startswith("2,") else ""
    state = _state(flags) if folder == "cur" else "pending"
    return LegacyItem(
        source=(path,),
        payload=Verbatim(path),
        payload_size=stamp.size,
        stamp=stamp,
        state=state,
        created_us=created_us(unique, stamp),
        legacy_id=unique,
        attempts=values.attempts({}, state, path, []),
        legacy={"folder": folder, "flags": flags},
    )


def _state(flags: str) -> LegacyState:
    if "S" in flags or "T" in flags:
        return "done"
    return "held" if "D" in flags else "pending"


def created_us(unique: str, stamp: Stamp) -> int:
    """Return the time that a message's unique name starts with, else the file's mtime."""
    match = _TIMED_NAME.match(unique)
    if match and (us := values.epoch_us(int(match[1]), int(match[2] or 0))) is not None:
        return us
    return values.mtime_us(stamp)


FORMAT = Format("maildir", looks_like, read)
