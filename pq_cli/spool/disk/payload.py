"""Payloads on the way out: verified; and on the way in: measured."""

from __future__ import annotations

import os
import stat
from zlib import crc32

from pq_cli.core.item import Item, checksum_text
from pq_cli.errors import DamagedItemError
from pq_cli.host import is_over
from pq_cli.opened import FOUND, About, Opened, checksum_of
from pq_cli.spool.disk.durable import SMALL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO


def measure(path: str, *, read: bool) -> tuple[int, str | None]:
    """Return the size of a file and its checksum: of a big one only if that is to be `read`."""
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
