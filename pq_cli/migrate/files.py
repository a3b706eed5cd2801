"""Listing folders and reading single files of a source: never following, never blocking.

A source is other people's data on other people's disks: links may lead anywhere, a pipe would
block an open for ever, a file may vanish between listing and reading, or be huge.
"""

from __future__ import annotations

import errno
import io
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from pq_cli.core.jsonio import canonical_json, check_depth, parse_kept
from pq_cli.migrate.model import (
    FileProblemError,
    Json,
    LegacyItem,
    Reported,
    SourceChangedError,
    SourceUnreadableError,
    Stamp,
    Why,
)
from pq_cli.opened import FOUND

T = TypeVar("T")

MAX_META = 1 << 20
"""Bytes of the largest meta or sidecar that is read; real ones have a few hundred."""

MAX_DOCUMENT = 64 << 20
"""Bytes of the largest payload or envelope that must be parsed, which costs several times that."""


class FileKind(Enum):
    """What a folder entry is, links not followed."""

    FILE = "file"
    FOLDER = "folder"
    OTHER = "other"


def join(folder: str, name: str) -> str:
    """Return the path of `name` in `folder`; the source folder itself is the empty text."""
    return f"{folder}/{name}" if folder else name


def _kind(entry: os.DirEntry[str]) -> FileKind:
    with suppress(OSError):
        if entry.is_file(follow_symlinks=False):
            return FileKind.FILE
        if entry.is_dir(follow_symlinks=False):
            return FileKind.FOLDER
    return FileKind.OTHER


def scan(root: Path, folder: str = "") -> Iterator[tuple[str, FileKind]]:
    """Yield (name, kind) of each entry of a folder as the system lists it.

    Raises SourceUnreadableError, also half way: an incomplete listing would look like a
    complete one with fewer items.
    """
    path = os.path.join(root, folder) if folder else str(root)
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                yield entry.name, _kind(entry)
    except OSError as error:
        where = folder or str(root)
        raise SourceUnreadableError(f"cannot list {where!r}: {error.strerror}") from error


def report_tree(root: Path, folder: str) -> Iterator[Reported]:
    """Yield every file below a folder that no rule names; links are reported, not followed."""
    todo = [folder]
    while todo:
        here = todo.pop()
        try:
            for name, kind in scan(root, here):
                path = join(here, name)
                if kind is FileKind.FOLDER:
                    todo.append(path)
                else:
                    yield Reported(
                        path, Why.IN_SUBFOLDER if kind is FileKind.FILE else Why.NOT_A_FILE
                    )
        except SourceUnreadableError as error:
            yield Reported(here, Why.UNREADABLE, str(error))


def unnamed(path: str) -> Reported:
    """Return the report of a regular file that no rule names."""
    return Reported(path, Why.TMP_LEFTOVER if path.endswith(".tmp") else Why.UNKNOWN_FILE)


def files_in(
    root: Path,
    wanted: Callable[[str], object] | None = None,
    *,
    apart: bool = False,
    folder: str = "",
) -> Iterator[str | Reported]:
    """Yield the path of each regular file in a folder, and a report for everything else.

    wanted: chooses the folders in it whose files are yielded instead of its own. apart: of these
    one that cannot be listed is reported, for what is in the others is known without it.
    """
    for name, kind in scan(root, folder):
        path = join(folder, name)
        if kind is FileKind.OTHER:
            yield Reported(path, Why.NOT_A_FILE, "a link or special file")
        elif kind is FileKind.FILE:
            yield path if wanted is None else unnamed(path)
        elif wanted is not None and wanted(name):
            try:
                yield from files_in(root, folder=path)
            except SourceUnreadableError as error:
                if not apart:
                    raise
                yield Reported(path, Why.UNREADABLE, str(error))
        else:
            yield from report_tree(root, path)


def _problem(error: OSError) -> FileProblemError:
    if error.errno in (errno.ELOOP, errno.ENXIO):
        return FileProblemError(Why.NOT_A_FILE, "a link or special file took its place")
    if error.errno == errno.ENOENT:
        return FileProblemError(Why.UNREADABLE, "vanished while reading")
    return FileProblemError(Why.UNREADABLE, error.strerror or str(error))


def open_file(root: Path, path: str) -> tuple[int, Stamp]:
    """Open a regular file for reading; return its descriptor and what it is now.

    The caller closes the descriptor. Raises FileProblemError.
    """
    try:
        fd = os.open(os.path.join(root, path), FOUND)
    except OSError as error:
        raise _problem(error) from error
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise FileProblemError(Why.NOT_A_FILE, "not a regular file")
    except BaseException:
        os.close(fd)
        raise
    return fd, Stamp(status.st_size, status.st_mtime_ns, status.st_ino)


def stamp_of(root: Path, path: str) -> Stamp:
    """Return what a file is now, and that it can be opened; raises FileProblemError."""
    fd, stamp = open_file(root, path)
    os.close(fd)
    return stamp


def read_file(root: Path, path: str, limit: int) -> tuple[bytes, Stamp]:
    """Return all bytes of a file, at most `limit`; raises FileProblemError."""
    fd, stamp = open_file(root, path)
    try:
        with os.fdopen(fd, "rb") as stream:
            data = b"" if stamp.size > limit else stream.read(limit + 1)
    except OSError as error:
        raise _problem(error) from error
    if max(stamp.size, len(data)) > limit:
        raise FileProblemError(Why.TOO_LARGE, f"more than {limit} bytes")
    return data, stamp


@contextmanager
def refusing(reason: str, words: str = "") -> Iterator[None]:
    """Turn what a text or value raises into a FileProblemError: `words`, and what is wrong."""
    try:
        yield
    except RecursionError as error:
        raise FileProblemError(reason, "nested too deep") from error
    except ValueError as error:
        raise FileProblemError(reason, f"{words}{error}") from error


def read_json(root: Path, path: str, limit: int, reason: str) -> tuple[Any, Stamp]:
    """Return the value of JSON in UTF-8, as another queue wrote it (NaN and big integers too).

    Raises FileProblemError, with `reason` for what could not be kept as it is.
    """
    data, stamp = read_file(root, path, limit)
    with refusing(reason):
        return parse_kept(data.decode("utf-8-sig")), stamp


def read_object(root: Path, path: str) -> tuple[Json, Stamp]:
    """Return a meta's or sidecar's JSON object; raises FileProblemError."""
    value, stamp = read_json(root, path, MAX_META, Why.BAD_META)
    if not isinstance(value, dict):
        raise FileProblemError(Why.BAD_META, "not a JSON object")
    with refusing(Why.BAD_META):
        check_depth(value)
    return value, stamp


def tried(look: Callable[[Path, str], T], root: Path, path: str) -> T | Reported:
    """Return what a look at a file gives, or the report of why it is no use."""
    try:
        return look(root, path)
    except FileProblemError as error:
        return Reported(path, error.reason, error.detail)


def open_payload(root: Path, item: LegacyItem) -> BinaryIO:
    """Return a stream of the payload's bytes; `item.payload_size` of them, if all is well.

    Raises SourceChangedError if the file is not the one the reader saw. One that changes
    while it is copied is noticed by `check_unchanged` afterwards.
    """
    check_unchanged(root, item)
    path = item.source[0]
    try:
        if item.embedded is None:
            return os.fdopen(open_file(root, path)[0], "rb")
        envelope, _ = read_json(root, path, MAX_DOCUMENT, Why.BAD_ENVELOPE)
        return io.BytesIO(canonical_json(envelope[item.embedded.key]))
    except (FileProblemError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise SourceChangedError(f"{path!r}: {error}") from error


def check_unchanged(root: Path, item: LegacyItem) -> None:
    """Raise SourceChangedError if the payload's file is not as the reader saw it."""
    path = item.source[0]
    try:
        stamp = stamp_of(root, path)
    except FileProblemError as error:
        raise SourceChangedError(f"{path!r}: {error}") from error
    if stamp != item.stamp:
        raise SourceChangedError(f"{path!r} changed since it was read")
