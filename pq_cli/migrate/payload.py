"""Getting an item's payload from the source, and noticing when it is not the same any more."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import BinaryIO

from pq_cli.core.jsonio import canonical_json
from pq_cli.migrate.files import MAX_DOCUMENT, open_file, parse_json, read_file
from pq_cli.migrate.model import (
    Embedded,
    FileProblemError,
    LegacyItem,
    SourceChangedError,
    Stamp,
    Why,
)


def open_payload(root: Path, item: LegacyItem) -> BinaryIO:
    """Return a stream of the payload's bytes; `item.payload_size` of them, if all is well.

    Raises SourceChangedError if the file is not the one the reader saw. One that changes
    while it is copied is noticed by `check_unchanged` afterwards.
    """
    try:
        if isinstance(item.payload, Embedded):
            data, stamp = read_file(root, item.payload.path, MAX_DOCUMENT)
            _same(item, stamp)
            envelope = parse_json(data, Why.BAD_ENVELOPE)
            return io.BytesIO(canonical_json(envelope[item.payload.key]))
        fd, stamp = open_file(root, item.payload.path)
    except (FileProblemError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise SourceChangedError(f"{item.source[0]!r}: {error}") from error
    try:
        _same(item, stamp)
    except SourceChangedError:
        os.close(fd)
        raise
    return os.fdopen(fd, "rb")


def check_unchanged(root: Path, item: LegacyItem) -> None:
    """Raise SourceChangedError if the payload's file is not as the reader saw it."""
    try:
        fd, stamp = open_file(root, item.payload.path)
    except FileProblemError as error:
        raise SourceChangedError(f"{item.source[0]!r}: {error}") from error
    os.close(fd)
    _same(item, stamp)


def _same(item: LegacyItem, stamp: Stamp) -> None:
    if stamp != item.stamp:
        raise SourceChangedError(f"{item.source[0]!r} changed since it was read")
