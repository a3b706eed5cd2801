"""Listing folders and reading single files of a source: never following, never blocking.

A source is other people's data on other people's disks: links may lead anywhere, a pipe would
block an open for ever, a file may vanish between listing and reading, or be huge.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

from pq_cli.core import jsonio
from pq_cli.migrate.model import FileProblemError, Json, Reported, SourceUnreadableError, Stamp, Why
from pq_cli.opened import open_found

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
    try:
        if entry.is_file(follow_symlinks=False):
            return FileKind.FILE
        if entry.is_dir(follow_symlinks=False):
            return FileKind.FOLDER
    except OSError:
        return FileKind.OTHER
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


def files_in(root: Path, folder: str = "") -> Iterator[str | Reported]:
    """Yield the name of each regular file in a folder, and a report for everything else."""
    for name, kind in scan(root, folder):
        if kind is FileKind.FILE:
            yield name
        elif kind is FileKind.FOLDER:
            yield from report_tree(root, join(folder, name))
        else:
            yield Reported(join(folder, name), Why.NOT_A_FILE, "a link or special file")


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
        fd = open_found(os.path.join(root, path))
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


def parse_json(data: bytes, reason: str) -> Any:
    """Return the value of JSON in UTF-8, as another queue wrote it (NaN and big integers too).

    Raises FileProblemError(reason) for anything else, and for what could not be kept as it is.
    """
    try:
        return jsonio.parse_kept(data.decode("utf-8-sig"))
    except ValueError as error:
        raise FileProblemError(reason, str(error)) from error


def check_json(data: bytes, reason: str) -> None:
    """Raise FileProblemError(reason) unless Python's `json` reads this from UTF-8."""
    try:
        # Decoded here, not by json: it would take UTF-16 and UTF-32 as well.
        jsonio.parse_python(data.decode("utf-8-sig"))
    except RecursionError as error:
        raise FileProblemError(reason, "nested too deep") from error
    except ValueError as error:
        raise FileProblemError(reason, f"not JSON in UTF-8: {error}") from error


def check_depth(value: Any, reason: str) -> None:
    """Raise FileProblemError if lists and objects nest deeper than metadata may."""
    try:
        jsonio.check_depth(value)
    except jsonio.JsonError as error:
        raise FileProblemError(reason, str(error)) from error


def read_object(root: Path, path: str) -> tuple[Json, Stamp]:
    """Return a meta's or sidecar's JSON object; raises FileProblemError."""
    data, stamp = read_file(root, path, MAX_META)
    value = parse_json(data, Why.BAD_META)
    if not isinstance(value, dict):
        raise FileProblemError(Why.BAD_META, "not a JSON object")
    check_depth(value, Why.BAD_META)
    return value, stamp
