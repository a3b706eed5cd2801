"""A dirq QueueSimple: `DIR/ELEMENT`, names of 8 and 14 hexadecimal digits, `.lck` while in use.

Small digits only, as dirq writes them and its programs look for: anything else was put there by
somebody else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import tzinfo
from pathlib import Path

from pq_cli.migrate.files import files_in, join
from pq_cli.migrate.model import (
    Entry,
    LegacyItem,
    Reported,
    SourceUnreadableError,
    Stamp,
    Verbatim,
    Why,
)
from pq_cli.migrate.readers import values
from pq_cli.migrate.readers.flat import folders_in, try_stamp, unnamed
from pq_cli.migrate.readers.index import NameIndex
from pq_cli.migrate.traces import Evidence, Format, Traces

_DIR = re.compile(r"[0-9a-f]{8}")
_ELEMENT = re.compile(r"([0-9a-f]{14})(\.lck)?")
_ELEMENT_TAG, _LOCK_TAG = 0, 1


def looks_like(traces: Traces) -> Evidence | None:
    """See Format."""
    if not traces.hex_folders:
        return None
    strong = any(_has_elements(traces, name) for name in traces.hex_folders)
    return Evidence(strong, f"folders such as {traces.hex_folders[0]}")


def read(root: Path, tz: tzinfo | None) -> Iterator[Entry]:
    """See Format; no time of this format needs `tz`."""
    with NameIndex() as index:
        yield from _fill(index, root)
        for owner, members in index.groups():
            yield from _element(root, owner, members)


def _has_elements(traces: Traces, folder: str) -> bool:
    try:
        return any(_ELEMENT.fullmatch(name) for name in traces.peek_names(folder))
    except SourceUnreadableError:
        return False


def _fill(index: NameIndex, root: Path) -> Iterator[Reported]:
    for folder in folders_in(root, _DIR.fullmatch):
        if isinstance(folder, Reported):
            yield folder
            continue
        try:
            yield from _fill_folder(index, root, folder)
        except SourceUnreadableError as error:
            yield Reported(folder, Why.UNREADABLE, str(error))


def _fill_folder(index: NameIndex, root: Path, folder: str) -> Iterator[Reported]:
    for name in files_in(root, folder):
        if isinstance(name, Reported):
            yield name
        elif match := _ELEMENT.fullmatch(name):
            tag = _LOCK_TAG if match[2] else _ELEMENT_TAG
            index.add(join(folder, match[1]), tag, join(folder, name))
        else:
            yield unnamed(join(folder, name))


def _element(root: Path, owner: str, members: dict[int, str]) -> Iterator[Entry]:
    path, lock = members.get(_ELEMENT_TAG), members.get(_LOCK_TAG)
    if path is None:
        yield from (Reported(each, Why.ORPHAN_LOCK, "being removed") for each in members.values())
        return
    stamp = try_stamp(root, path)
    if isinstance(stamp, Reported):
        yield stamp
        if lock is not None:
            yield Reported(lock, Why.META_OF_BAD_PAYLOAD)
        return
    yield LegacyItem(
        source=(path,) if lock is None else (path, lock),
        payload=Verbatim(path),
        payload_size=stamp.size,
        stamp=stamp,
        state="pending",
        created_us=created_us(owner[-14:], stamp),
        legacy_id=owner,
        legacy={"locked": lock is not None},
    )


def created_us(element: str, stamp: Stamp) -> int:
    """Return the time in an element's name, else (no microseconds) the file's mtime."""
    us = values.epoch_us(int(element[:8], 16), int(element[8:13], 16))
    return values.mtime_us(stamp) if us is None else us


FORMAT = Format("dirq", looks_like, read)
