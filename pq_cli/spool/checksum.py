"""The checksum that metas have of payloads: it tells torn bytes, not forged ones."""

from __future__ import annotations

import os
import zlib

from pq_cli.core.arguments import valid_chunk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

CHUNK = 256 * 1024
"""Bytes that are read at once."""


def checksum_text(crc: int) -> str:
    """Return a CRC-32 as metas write it."""
    return f"crc32:{crc:08x}"


def checksum_of(fd: int) -> str:
    """Return the checksum of an open file from its start; the offset is left at the start."""
    crc = 0
    os.lseek(fd, 0, os.SEEK_SET)
    while chunk := os.read(fd, CHUNK):
        crc = zlib.crc32(chunk, crc)
    os.lseek(fd, 0, os.SEEK_SET)
    return checksum_text(crc)


def read_some(stream: BinaryIO) -> bytes:
    """Return what `stream` has: `read` of a pipe would wait for a full chunk."""
    read1 = getattr(stream, "read1", None)
    return bytes(valid_chunk(read1(CHUNK) if read1 is not None else stream.read(CHUNK)))
