"""Logs: `SPOOL/log`, what happened lately, and `SPOOL/logs/`, what the attempts at items wrote.

Both are derived, bounded and never synced. A verb never fails because what happened could not be
written, and readers pass over what is torn. Neither takes a block while the spool's spare is not
whole: work must be able to end.

Each event is a line of JSON, and has a number that costs no write: where its line ends, counted in
bytes from a line `{"from":N}` that says at which number the next line begins. Such a line heads
each file, so the numbers go on where the older half was dropped; and it is written in each new
boot, for what a power loss has rolled back was read by others. What it says is the time in
microseconds, unless that is behind: so it is above all numbers that were ever given, also in a log
that was lost.

What an attempt wrote is one file, kept as long as the item: a line of JSON that says how the
attempt ended, then its output.
"""

from __future__ import annotations

import errno
import os
import time

from pq_cli.core.item import MAX_HISTORY
from pq_cli.core.jsonio import to_json
from pq_cli.opened import Reading
from pq_cli.spool.disk import layout
from pq_cli.spool.disk.durable import Disk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, BinaryIO

MAX_LOG_BYTES = 4 * 1024 * 1024
"""Above this size the older half of the log is dropped."""
_PIECE = 256 * 1024
_BLOCK = 4096
_FROM = b'{"from":'


class Log:
    """The log of one spool, to write; used under the lock only.

    has_room: whether it may take a block.
    """

    def __init__(self, disk: Disk, has_room: Callable[[], bool]) -> None:
        self._disk = disk
        self._has_room = has_room
        self._fd = -1
        self._size = -1  # what it was when this object had written last

    def note(self, *events: dict[str, Any] | None) -> None:
        """Append events, a line of JSON each; trouble is swallowed: no log stops a queue."""
        lines = b"".join(to_json(event) + b"\n" for event in events if event is not None)
        if not lines:
            return
        try:
            size = self._opened()
            if size != self._size:
                lines = self._front(size) + lines
            after = size + len(lines)
            if after // _BLOCK > size // _BLOCK and not self._has_room():
                return
            if self._disk.append(self._fd, lines) < len(lines):
                return  # a line is torn: whoever writes next begins a new one
            self._size = after
            if after > MAX_LOG_BYTES:
                self._drop_older_half()
        except OSError:
            self.close()

    def _opened(self) -> int:
        """Open the log, unless it is open and no process has put a shorter one there; its size."""
        info = os.fstat(self._fd) if self._fd >= 0 else None
        if info is None or not info.st_nlink:
            self.close()
            self._fd = self._disk.open_to_append(layout.LOG)
            self._size = -1
            info = os.fstat(self._fd)
        return info.st_size

    def _front(self, size: int) -> bytes:
        """Return what must come before the next event, where others have written last."""
        if not size:
            return _mark(now_number())
        return b"" if os.pread(self._fd, 1, size - 1) == b"\n" else b"\n"

    def go_on_above(self) -> None:
        """Begin a new boot: numbers go on above all that were given, whatever was rolled back.

        A log in which that cannot be written is removed.
        """
        written, end = 0, b""
        try:
            size = self._opened()
            end = self._front(size)
            if size:
                with open(f"{self._disk.root}/{layout.LOG}", "rb") as file, Reading(file):
                    last, _ = _number_at(file, size)
                end += _mark(max(now_number(), last + len(end)))
            written = self._disk.append(self._fd, end)
        except OSError:
            pass
        self.close()
        if not written or written < len(end):
            try:
                self._disk.discard(layout.LOG)
            except OSError:
                pass  # something else lies in its place, which is no log

    def _drop_older_half(self) -> None:
        tmp = layout.tmp_name("log")
        with open(f"{self._disk.root}/{layout.LOG}", "rb") as file, Reading(file):
            first, start = _number_at(file, self._size - MAX_LOG_BYTES // 2)
            self._disk.write_new(tmp, _mark(first), sync=False)
            try:
                file.seek(start)
                while piece := file.read(_PIECE):  # in pieces: a worker is small
                    self._disk.append_lines(tmp, piece)
                self._disk.rename(tmp, layout.LOG)
            except OSError:
                self._disk.discard(tmp)
                raise
        self.close()

    def close(self) -> None:
        """Close the descriptor; the next note opens it again."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def now_number() -> int:
    """Return the number with which a log begins that is begun now."""
    return time.time_ns() // 1000


def _mark(number: int) -> bytes:
    return b"%b%d}\n" % (_FROM, number)


def mark_of(line: bytes) -> int | None:
    """Return the number that a line says is where the next one begins, if it says so."""
    digits = line[len(_FROM) : -2]
    if line.startswith(_FROM) and line.endswith(b"}\n") and digits.isdigit() and len(digits) < 19:
        return int(digits)
    return None


def _number_at(file: BinaryIO, least: int) -> tuple[int, int]:
    """Return (number, offset) where the first line begins at or behind the offset `least`."""
    number = offset = 0
    for line in file:
        if offset >= least:
            break
        mark = mark_of(line)
        number = number + len(line) if mark is None else mark
        offset += len(line)
    return number, offset


def remove_empty(disk: Disk, folder: str) -> None:
    """Remove a folder if it is empty, and then the one that it was in."""
    if disk.remove_dir(folder):
        disk.remove_dir(os.path.dirname(folder))


class AttemptLogs:
    """What the attempts wrote; written under the lock only. has_room: whether they may take any."""

    def __init__(self, disk: Disk, has_room: Callable[[], bool]) -> None:
        self._disk = disk
        self._has_room = has_room
        self._none = False

    def write(self, item_id: int, claim: int, content: bytes) -> None:
        """Keep the log of one attempt; the oldest goes when an item has more than its history.

        Raises OSError (ENOSPC) when only the spare is left, which settling may need.
        """
        folder, path = layout.log_folder(item_id), layout.log_path(item_id, claim)
        if not self._has_room():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), f"{self._disk.root}/{path}")
        if not self.any():
            self._disk.tell_others()  # others remember that there is none
            self._none = False
        try:
            self._disk.make_dir(folder, durable=False)
            for old in self.claims(item_id)[: 1 - MAX_HISTORY]:
                self._disk.discard(layout.log_path(item_id, old))
            # Not synced: a torn log after a power loss says little less than none.
            self._disk.write_new(path, content, sync=False)
        except OSError:
            remove_empty(self._disk, folder)
            raise

    def claims(self, item_id: int) -> list[int]:
        """Return the claim numbers that have a log, oldest first."""
        try:
            names = os.listdir(f"{self._disk.root}/{layout.log_folder(item_id)}")
        except (FileNotFoundError, NotADirectoryError):
            return []
        claims = (layout.parse_log_name(name) for name in names)
        return sorted(claim for claim in claims if claim is not None)

    def path(self, item_id: int, claim: int) -> str:
        """Return where the log of one attempt lies."""
        return f"{self._disk.root}/{layout.log_path(item_id, claim)}"

    def open(self, item_id: int, claim: int) -> BinaryIO:
        """Return the log of one attempt, from its start. Raises FileNotFoundError."""
        return open(self.path(item_id, claim), "rb")

    def any(self) -> bool:
        """Tell whether there may be a log of any item."""
        self._none = self._none or not os.path.lexists(f"{self._disk.root}/{layout.LOGS}")
        return not self._none

    def remove(self, item_id: int) -> None:
        """Remove an item's logs."""
        if not self.any():
            return
        claims = self.claims(item_id)
        if not claims:
            return
        for claim in claims:
            self._disk.discard(layout.log_path(item_id, claim))
        remove_empty(self._disk, layout.log_folder(item_id))
