"""The checksum that metas have of payloads: it tells torn bytes, not forged ones."""

from __future__ import annotations

import os
import zlib

from pq_cli.opened import CHUNK, About


def checksum_text(crc: int) -> str:
    """Return a CRC-32 as metas write it."""
    return f"crc32:{crc:08x}"


def checksum_of(fd: int) -> str:
    """Return the checksum of an open file from its start; the offset is left at the start."""
    crc = 0
    with About(fd):
        os.lseek(fd, 0, os.SEEK_SET)
        while chunk := os.read(fd, CHUNK):
            crc = zlib.crc32(chunk, crc)
        os.lseek(fd, 0, os.SEEK_SET)
    return checksum_text(crc)
