"""Payloads: rows of at most 1 MiB, so that they are streamed both ways in bounded memory."""

from __future__ import annotations

import io
import os
import re
import stat
import time
from contextlib import suppress
from fcntl import LOCK_EX, LOCK_NB, LOCK_SH, flock
from functools import cache
from typing import TYPE_CHECKING
from zlib import crc32

from pq_cli.core.arguments import valid_chunk
from pq_cli.core.item import checksum_text, printable
from pq_cli.errors import DamagedItemError, NoSuchItemError, SpoolIOError, TryAgainError
from pq_cli.opened import Opened, open_file
from pq_cli.postgres.statements import CLOCK, FORGOTTEN
from pq_cli.queue.common import filled

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, BinaryIO

    from pq_cli.core.item import Item
    from pq_cli.postgres.link import Link
    from pq_cli.queue.request import Request

    Ask = Callable[..., list[tuple[Any, ...]]]

CHUNK = 1024 * 1024
_COPY = re.compile(r"pq-payload-[0-9]+-\w{8}")
_YOUNG = 60.0
"""Seconds for which a copy is left alone that nobody has locked."""

_CHUNK_IN = "insert into pq.payload (queue, blob, no, data) values (%s, %s, %s, %s)"
_NEW = f"insert into pq.staging select %s, nextval('pq.blob'), {CLOCK} returning blob"
_TOUCH = f"update pq.staging set touched = {CLOCK} where queue = %s and blob = %s"
_SWEEP = f"""
with old as (delete from pq.staging where queue = %s and touched < (select {CLOCK} - %s)
             returning queue, blob)
delete from pq.payload using old where payload.queue = old.queue and payload.blob = old.blob
"""
_FORGET = """
with old as (delete from pq.staging where queue = %s and blob = any(%s::bigint[])
             returning queue, blob)
delete from pq.payload using old where payload.queue = old.queue and payload.blob = old.blob
"""
_TAKE = "delete from pq.staging where queue = %s and blob = any(%s::bigint[]) returning blob"
_SIZES = """
select item.blob, (select sum(octet_length(data)) from pq.payload
                   where payload.queue = item.queue and payload.blob = item.blob)::bigint,
    (select data from pq.payload
     where payload.queue = item.queue and payload.blob = item.blob and no = 0)
from pq.item where queue = %s and id = %s
"""
_CHUNK_OUT = "select data from pq.payload where queue = %s and blob = %s and no = %s"


class Staged:
    """A payload without an item yet: in memory if one row holds it, else in rows of its own.

    outside: the user's file, which is to go when the item is in. taken: it has become an item.
    """

    outside: str | None = None
    taken = False

    def __init__(
        self, request: Request, size: int, crc: int, content: bytes | None, blob: int | None = None
    ) -> None:
        self.request = request
        self.size = size
        self.checksum = checksum_text(crc)
        self.content = content
        self.blob = blob


def stage(link: Link, queue: int, payload: bytes | BinaryIO, request: Request) -> Staged:
    """Take in a payload. A large one is sent at once, in transactions of one row each."""
    stream = io.BytesIO(payload) if isinstance(payload, bytes) else payload
    first = _full(stream)
    if len(first) < CHUNK:
        return Staged(request, len(first), crc32(first), first)
    link.rows(_SWEEP, queue, FORGOTTEN)
    row = link.row(_NEW, queue)
    assert row is not None
    blob = row[0]
    try:
        size, crc = _send(link, queue, blob, first, stream)
    except BaseException:
        forget(link, queue, [blob])
        raise
    return Staged(request, size, crc, None, blob)


def _send(link: Link, queue: int, blob: int, chunk: bytes, stream: BinaryIO) -> tuple[int, int]:
    """Write a payload, row by row; return its size and checksum."""
    size = number = crc = 0
    while chunk:
        with link.transaction():
            # Written through by the commit of the item, if there is ever one.
            link.rows("set local synchronous_commit = off")
            link.rows(_CHUNK_IN, queue, blob, number, chunk)
            link.rows(_TOUCH, queue, blob)
        size, number, crc = size + len(chunk), number + 1, crc32(chunk, crc)
        chunk = _full(stream)
    return size, crc


def stage_file(link: Link, queue: int, path: str, request: Request, move: bool) -> Staged:
    """Take in a FILE; with `move` it goes when its item is in. Raises SpoolIOError, OSError."""
    with Opened(open_file(path, pipes=not move), path) as fd:
        before = os.fstat(fd)
        with os.fdopen(os.dup(fd), "rb", buffering=0) as stream:
            staged = stage(link, queue, stream, request)
        after = os.fstat(fd)
        changed = (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns)
        if stat.S_ISREG(before.st_mode) and changed:
            forget(link, queue, [] if staged.blob is None else [staged.blob])
            raise SpoolIOError(f"{printable(path)}: it changed while it was read")
    staged.outside = path if move else None
    return staged


def finish(link: Link, queue: int, batch: Sequence[Staged], admitted: int) -> OSError | None:
    """Remove what is left of a batch of which so many were admitted; see `Store.finish`."""
    kept = {id(staged) for staged in batch[:admitted] if staged.taken}
    left = [s.blob for s in batch if s.blob is not None and id(s) not in kept]
    if left:
        forget(link, queue, left)
    stop: OSError | None = None
    for staged in batch:
        if staged.outside is not None and id(staged) in kept:
            try:
                os.unlink(staged.outside)
            except OSError as error:
                stop = error
    return stop


def _full(stream: BinaryIO) -> bytes:
    """Return the next CHUNK bytes of a stream; fewer only at its end."""
    parts: list[bytes] = []
    missing = CHUNK
    while missing:
        part = bytes(valid_chunk(stream.read(missing)))
        if not part:
            break
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def forget(link: Link, queue: int, blobs: list[int]) -> None:
    """Remove staged payloads that are to be no items. What prevents it is left to the sweep."""
    try:
        link.rows(_FORGET, queue, blobs)
    except (TryAgainError, OSError):
        pass


def take(link: Link, queue: int, blobs: list[int]) -> None:
    """Let staged payloads be those of items, in a transaction. Raises TryAgainError."""
    if len(link.rows(_TAKE, queue, blobs)) != len(blobs):
        raise TryAgainError("the payload took more than a day to come and was cleared away")


class _Stream(io.RawIOBase):
    """A payload from its start, one row in memory at a time."""

    def __init__(self, ask: Ask, queue: int, item: Item, blob: int, first: bytes) -> None:
        self._ask = ask
        self._item = item
        self._place = queue, blob
        self._number, self._seen = 1, len(first)
        self._rest = memoryview(first)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill the buffer as far as the present row reaches."""
        if not self._rest and self._seen < self._item.size:
            rows = self._ask(_CHUNK_OUT, *self._place, self._number)
            if not rows:
                raise NoSuchItemError(f"item {self._item.id} has gone while its payload was read")
            self._rest = memoryview(rows[0][0])
            self._number += 1
            self._seen += len(self._rest)
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def open_stream(ask: Ask, queue: int, item: Item) -> BinaryIO:
    """Return an item's payload, its size compared. Raises DamagedItemError, NoSuchItemError."""
    found = ask(_SIZES, queue, item.id)
    if not found:
        raise NoSuchItemError(f"there is no item {item.id}")
    blob, size, first = found[0]
    if (size or 0) != item.size:
        missing = "is missing" if size is None else f"has {size} bytes, not {item.size}"
        raise DamagedItemError(f"item {item.id}: its payload {missing}")
    return io.BufferedReader(_Stream(ask, queue, item, blob, first or b""), CHUNK)


def local_copy(payload: BinaryIO, item_id: int) -> BinaryIO:
    """Return a temporary file with a payload, at its start; it is gone once it is closed.

    Locked meanwhile: of those that nobody has locked, what a killed worker has left goes now.
    """
    from tempfile import NamedTemporaryFile  # start-up: what only puts in or takes out goes without

    file = NamedTemporaryFile(prefix=f"pq-payload-{item_id}-")  # noqa: SIM115
    with suppress(OSError):  # where there are no locks, or no list of what is there
        flock(file.fileno(), LOCK_SH)
        _sweep(os.path.dirname(file.name))
    return filled(file, payload)


@cache
def _sweep(folder: str) -> None:
    """Remove copies that nobody has open, once; what has just been made may not be locked yet."""
    before = time.time() - _YOUNG
    for entry in os.scandir(folder):
        if _COPY.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
            with suppress(OSError), open(entry.path, "rb", opener=_unfollowed) as left:
                state = os.fstat(left.fileno())
                if state.st_uid == os.geteuid() and state.st_mtime < before:
                    flock(left.fileno(), LOCK_EX | LOCK_NB)
                    os.unlink(entry.path)


def _unfollowed(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)
