"""A Maildir: `new/` waits, `cur/` with flags after `:2,`, `tmp/` is being written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import tzinfo
from pathlib import Path

from pq_cli.migrate.files import files_in, stamp_of, tried
from pq_cli.migrate.model import Entry, LegacyItem, LegacyState, Reported, Why
from pq_cli.migrate.readers import values
from pq_cli.migrate.traces import Evidence, Format, Traces

_FOLDERS = frozenset({"new", "cur", "tmp"})
_TIMED_NAME = re.compile(r"([0-9]{1,12})\.(?:[^.]*?M([0-9]{1,6})(?![0-9]))?")


def _looks_like(traces: Traces) -> Evidence | None:
    found = _FOLDERS & traces.known_folders
    if not {"new", "cur"} <= found:
        return None
    return Evidence(found == _FOLDERS, f"folders {', '.join(sorted(found))}")


def _read(root: Path, _: tzinfo | None) -> Iterator[Entry]:
    for path in files_in(root, _FOLDERS.__contains__):
        if isinstance(path, Reported):
            yield path
            continue
        folder, name = path.split("/")
        if folder == "tmp" or name.endswith(".tmp"):
            yield Reported(path, Why.TMP_LEFTOVER)
        elif name.startswith("."):
            yield Reported(path, Why.HIDDEN_FILE)
        else:
            yield _message(root, folder, name)


def _message(root: Path, folder: str, name: str) -> Entry:
    path = f"{folder}/{name}"
    stamp = tried(stamp_of, root, path)
    if isinstance(stamp, Reported):
        return stamp
    unique, _, info = name.partition(":")
    flags = info.removeprefix("2,") if info.startswith("2,") else ""
    state = _state(flags) if folder == "cur" else "pending"
    timed = _TIMED_NAME.match(unique)
    created = values.epoch_us(int(timed[1]), int(timed[2] or 0)) if timed else None
    return LegacyItem(
        source=(path,),
        stamp=stamp,
        state=state,
        created_us=values.mtime_us(stamp) if created is None else created,
        legacy_id=unique,
        attempts=values.attempts({}, state, path, []),
        legacy={"folder": folder, "flags": flags},
    )


def _state(flags: str) -> LegacyState:
    if "S" in flags or "T" in flags:
        return "done"
    return "held" if "D" in flags else "pending"


FORMAT = Format("maildir", _looks_like, _read)
