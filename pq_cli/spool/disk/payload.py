"""Payloads: staged on the way in, verified on the way out."""

from __future__ import annotations

import errno
import os
import stat
from zlib import crc32

from pq_cli.core.item import Item, checksum_text, printable
from pq_cli.core.record import Record
from pq_cli.errors import DamagedItemError, SpoolIOError
from pq_cli.host import is_over
from pq_cli.opened import FOUND, About, Opened, checksum_of, open_file
from pq_cli.queue.request import Request
from pq_cli.spool.disk import layout
from pq_cli.spool.disk.durable import SMALL, Disk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO


class Staged(Record):
    """A payload that lies whole in `tmp/`, unsynced, waiting for its id.

    outside: the user's file to remove once the item is committed (`--move`), or None. adopted:
    whether that file and this one are the same.
    """

    tmp: str
    size: int
    checksum: str | None
    request: Request
    outside: str | None = None
    adopted: bool = False


def stage_bytes(disk: Disk, content: bytes, request: Request) -> Staged:
    """Stage a payload that is in memory."""
    tmp = layout.tmp_name("in")
    disk.write_new(tmp, content, sync=False)
    checksum = checksum_text(crc32(content))
    return Staged(tmp=tmp, size=len(content), checksum=checksum, request=request)


def stage_stream(disk: Disk, stream: BinaryIO, request: Request) -> Staged:
    """Stage what a stream yields, in bounded memory."""
    tmp = layout.tmp_name("in")
    size, checksum = disk.receive(stream, tmp)
    return Staged(tmp=tmp, size=size, checksum=checksum, request=request)


def stage_file(disk: Disk, path: str, request: Request, *, move: bool) -> Staged:
    """Stage a FILE: by a second name when it is to be moved and may be, else by the cheapest copy.

    Raises OSError, SpoolIOError when it changes while
    it is copied, or UsageError like `open_file`.
    """
    tmp = layout.tmp_name("in")
    outside = path if move else None
    if move and disk.adopt(path, tmp):
        size, checksum = _measure(f"{disk.root}/{tmp}", read=not disk.sync)
        return Staged(
            tmp=tmp, size=size, checksum=checksum, request=request, outside=path, adopted=True
        )
    with Opened(open_file(path, pipes=not move), path) as fd:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            with os.fdopen(os.dup(fd), "rb") as stream:
                return stage_stream(disk, stream, request)
        try:
            size, checksum = disk.copy_in(fd, tmp, name=path)
        except OSError as error:
            if error.errno == errno.ESTALE:
                raise SpoolIOError(f"{printable(path)}: {error.strerror}") from None
            raise
    return Staged(tmp=tmp, size=size, checksum=checksum, request=request, outside=outside)


def _measure(path: str, *, read: bool) -> tuple[int, str | None]:
    with Opened(os.open(path, FOUND), path) as fd:
        size = os.fstat(fd).st_size
        return size, checksum_of(fd) if read or size <= SMALL else None


def open_verified(item: Item) -> BinaryIO:
    """Return the item's payload as an open file, from its start, or raise DamagedItemError.

    The size is always compared. The checksum is where reading is cheap, and where it is the only
    proof: the payload was written without a sync and the machine has rebooted since.
    """
    fd = _open_sized(item)
    try:
        look = item.checksum is not None and (is_over(item.written_boot) or item.size <= SMALL)
        if look and checksum_of(fd) != item.checksum:
            raise _damage(item, "fails its checksum")
        os.set_blocking(fd, True)
    except BaseException:
        os.close(fd)
        raise
    return open(item.path or "", "rb", opener=lambda *_: fd)


def read_verified(item: Item) -> bytes:
    """Return the item's payload, or raise DamagedItemError.

    Size and checksum are compared with what was read.
    """
    with Opened(_open_sized(item), item.path) as fd:
        content = os.read(fd, item.size)
        while len(content) < item.size and (more := os.read(fd, item.size - len(content))):
            content += more
    _check_size(item, len(content))
    if item.checksum is not None and checksum_text(crc32(content)) != item.checksum:
        raise _damage(item, "fails its checksum")
    return content


def _damage(item: Item, what: str) -> DamagedItemError:
    return DamagedItemError(f"item {item.id}: payload {item.path} {what}")


def _check_size(item: Item, found: int) -> None:
    if found != item.size:
        raise _damage(item, f"has {found} bytes, should have {item.size}")


def _open_sized(item: Item) -> int:
    """Return a descriptor of the item's payload, a regular file of the right size."""
    path = item.path or ""
    try:
        fd = os.open(path, FOUND)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise DamagedItemError(f"item {item.id}: payload {path}: {error.strerror}") from None
    try:
        with About(fd, path):
            info = os.fstat(fd)
        if not stat.S_ISREG(info.st_mode):
            raise _damage(item, "is not a regular file")
        _check_size(item, info.st_size)
    except BaseException:
        os.close(fd)
        raise
    return fd
