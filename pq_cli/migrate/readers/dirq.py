"""A dirq QueueSimple: `DIR/ELEMENT`, names of 8 and 14 hexadecimal digits, `.lck` while in use.

Small digits only, as dirq writes them and its programs look for: anything else was put there by
somebody else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import tzinfo
from pathlib import Path

from pq_cli.migrate.files import Kind, files_in, join, report_tree, scan, stamp_of
from pq_cli.migrate.model import (
    META_OF_BAD_PAYLOAD,
    NOT_A_FILE,
    ORPHAN_LOCK,
    UNREADABLE,
    Entry,
    FileProblemError,
    LegacyItem,
    Reported,
    SourceUnreadableError,
    Stamp,
    Verbatim,
)
from pq_cli.migrate.readers import values
from pq_cli.migrate.readers.flat import unnamed
from pq_cli.migrate.readers.index import NameIndex
from pq_cli.migrate.traces import Evidence, Reader, Traces

_DIR = re.compile(r"[0-9a-f]{8}")
_ELEMENT = re.compile(r"([0-9a-f]{14})(\.lck)?")
_ELEMENT_TAG, _LOCK_TAG = 0, 1


class DirqReader:
    """Reads a directory queue of the simple kind."""

    name = "dirq"

    def looks_like(self, traces: Traces) -> Evidence | None:
        """See Reader."""
        if not traces.hex_folders:
            return None
        strong = any(_has_elements(traces, name) for name in traces.hex_folders)
        return Evidence(strong, f"folders such as {traces.hex_folders[0]}")

    def read(self, root: Path, tz: tzinfo | None) -> Iterator[Entry]:
        """See Reader; no time of this format needs `tz`."""
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
    for name, kind in scan(root):
        if kind is Kind.OTHER:
            yield Reported(name, NOT_A_FILE, "a link or special file")
        elif kind is Kind.FILE:
            yield unnamed(name)
        elif not _DIR.fullmatch(name):
            yield from report_tree(root, name)
        else:
            try:
                yield from _fill_folder(index, root, name)
            except SourceUnreadableError as error:
                yield Reported(name, UNREADABLE, str(error))


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
        yield from (Reported(each, ORPHAN_LOCK, "being removed") for each in members.values())
        return
    try:
        stamp = stamp_of(root, path)
    except FileProblemError as error:
        yield Reported(path, error.reason, error.detail)
        if lock is not None:
            yield Reported(lock, META_OF_BAD_PAYLOAD)
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


READER: Reader = DirqReader()
