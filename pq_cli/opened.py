"""Open files: an error of the system that came of one names it.

What the kernel says of a descriptor ("Input/output error") has no name in it, and whoever reads
the message needs one. So whatever reads, writes or syncs a descriptor does so in one of these.
"""

from __future__ import annotations

import errno
import os
import stat
import zlib

from pq_cli.core.arguments import valid_chunk
from pq_cli.core.item import checksum_text, printable
from pq_cli.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

CHUNK = 256 * 1024
"""Bytes that are read at once."""
FOUND = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
"""How what was found in a folder is opened, to read it: a link is an error (ELOOP), and a pipe that
took the place of a file waits for nobody."""
_PERMISSION = (errno.EACCES, errno.EPERM, errno.EROFS)
_STANDARD = ("standard input", "standard output", "standard error")


class About:
    """A context in which an OSError that names nothing gets the name of a descriptor's file.

    name: what people call it; default: what /proc says when it is needed.
    """

    __slots__ = ("_fd", "_name")

    def __init__(self, fd: int, name: str | None = None) -> None:
        self._fd = fd
        self._name = name

    def __enter__(self) -> int:
        return self._fd

    def __exit__(self, _kind: object, error: object, _trace: object) -> None:
        if isinstance(error, OSError):
            named(error, self._fd, self._name)


class Opened(About):
    """As `About`, and the descriptor is closed at the end."""

    __slots__ = ()

    def __exit__(self, _kind: object, error: object, _trace: object) -> None:
        if isinstance(error, OSError):
            named(error, self._fd, self._name)
        try:
            os.close(self._fd)
        except OSError as late:  # some file systems tell here only that a write has failed
            if error is None:
                late.filename = self._name
                raise


def present_folder() -> str:
    """Return the present folder. Raises UsageError: somebody has removed it."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        raise UsageError("the present folder is gone: cd to one that is there") from None


def open_file(path: str, *, pipes: bool = True) -> int:
    """Return a descriptor of a FILE that somebody named: a regular file, or a pipe, which ends.

    Raises UsageError for a device (it may have no end, and to open one may do something), a
    socket, or unless `pipes` a pipe; IsADirectoryError, OSError.
    """
    mode = os.stat(path).st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    if stat.S_ISFIFO(mode) and not pipes:
        raise UsageError(f"{printable(path)} is a pipe: --move takes whole FILEs")
    if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
        what = "socket" if stat.S_ISSOCK(mode) else "device"
        raise UsageError(
            f"{printable(path)} is a {what}, no FILE: what it yields can come on standard input"
        )
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY)


def named(error: OSError, fd: int, name: str | None = None) -> OSError:
    """Return the error; if it names nothing, it gets this name, or that of the descriptor now."""
    if error.filename is None:
        error.filename = name or name_of(fd)
    return error


def name_of(fd: int) -> str:
    """Return what people call what a descriptor is open on: a path, or one of the standard three.

    Looked up in /proc when it is needed, so that nobody has to carry names along.
    """
    if 0 <= fd < len(_STANDARD):
        return _STANDARD[fd]
    try:
        return os.readlink(f"/proc/self/fd/{fd}").removesuffix(" (deleted)")
    except OSError:
        return f"descriptor {fd}"


def read_part(source: About) -> bytes:
    """Return what an open file or pipe gives next, or nothing at its end."""
    with source as fd:
        return os.read(fd, CHUNK)


class Reading:
    """A context in which an OSError that names nothing gets the name of this stream."""

    __slots__ = ("_stream",)

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: object, _trace: object) -> None:
        if isinstance(error, OSError) and error.filename is None:
            error.filename = _stream_name(self._stream)


def read_some(stream: BinaryIO) -> bytes:
    """Return the next bytes of a payload's stream, or none at its end."""
    # read1 gives what a pipe has; read would wait for a full chunk.
    read = getattr(stream, "read1", stream.read)
    with Reading(stream):
        chunk = read(CHUNK)
    return chunk if isinstance(chunk, bytes) else bytes(valid_chunk(chunk))


def lines_of(stream: BinaryIO) -> Iterator[bytes]:
    """Yield the lines of a stream."""
    while True:
        with Reading(stream):
            line = stream.readline()
        if not line:
            return
        yield line


def _stream_name(stream: BinaryIO) -> str:
    try:
        return name_of(stream.fileno())
    except (OSError, ValueError, AttributeError):
        return printable(str(getattr(stream, "name", "the stream of a payload")))


def checksum_of(fd: int) -> str:
    """Return the checksum of an open file from its start; the offset is left at the start."""
    crc = 0
    with About(fd):
        os.lseek(fd, 0, os.SEEK_SET)
        while chunk := os.read(fd, CHUNK):
            crc = zlib.crc32(chunk, crc)
        os.lseek(fd, 0, os.SEEK_SET)
    return checksum_text(crc)


def os_error_text(error: Exception) -> str:
    """Return what and where, without Python's decoration; of any other error its own text.

    Of two names (a rename, a link) the second is meant where there is no room.
    """
    if not isinstance(error, OSError):
        return str(error)
    what = error.strerror or " ".join(map(str, error.args))
    second = error.filename2 if error.errno in (errno.ENOSPC, errno.EDQUOT) else None
    name = second or error.filename
    if not isinstance(name, str | bytes):
        return what
    return f"{printable(os.fsdecode(name)) or repr('')}: {what}"


def os_error_status(error: OSError) -> int:
    """Return the exit status of an error of the operating system: 77 permission, else 74 I/O."""
    return 77 if error.errno in _PERMISSION else 74
