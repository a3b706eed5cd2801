"""`SPOOL/log`: what happened lately, one JSON record a line. Derived, bounded, never synced.

A verb never fails because its line could not be written, and readers pass over what is torn. The
log takes no block while the spool's spare is not whole: work must be able to end.
"""

from __future__ import annotations

import os

from pq_cli.core.jsonio import parse_own, to_json
from pq_cli.opened import Reading, open_found
from pq_cli.spool.disk import layout
from pq_cli.spool.disk.durable import Disk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

MAX_LOG_BYTES = 4 * 1024 * 1024
"""Above this size the older half of the log is dropped."""
_MAX_LINE = 64 * 1024
_PIECE = 256 * 1024
_BLOCK = 4096


class Log:
    """The log of one spool. `note` is called under the lock only; `read_log` needs none.

    has_room: whether it may take a block.
    """

    def __init__(self, disk: Disk, has_room: Callable[[], bool]) -> None:
        self._disk = disk
        self._has_room = has_room
        self._fd = -1

    def note(self, *events: dict[str, Any] | None) -> None:
        """Append events, a line of JSON each; trouble is swallowed: no log stops a queue."""
        lines = b"".join(to_json(event) + b"\n" for event in events if event is not None)
        if not lines:
            return
        try:
            if self._fd >= 0 and not os.fstat(self._fd).st_nlink:
                self.close()  # another process has put a shorter log there
            if self._fd < 0:
                self._fd = self._disk.open_to_append(layout.LOG)
            size = os.fstat(self._fd).st_size
            after = size + len(lines)
            if after // _BLOCK > size // _BLOCK and not self._has_room():
                return
            self._disk.append(self._fd, lines)
            if after > MAX_LOG_BYTES:
                self._drop_older_half()
        except OSError:
            self.close()

    def _drop_older_half(self) -> None:
        tmp = layout.tmp_name("log")
        self._disk.write_new(tmp, b"", sync=False)
        try:
            for piece in _tail(f"{self._disk.root}/{layout.LOG}", MAX_LOG_BYTES // 2):
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


def _tail(path: str, size: int) -> Iterator[bytes]:
    """Yield the last whole lines of a file, at most `size` bytes, in pieces: a worker is small."""
    with open(path, "rb") as file, Reading(file):
        start = max(0, file.seek(0, os.SEEK_END) - size)
        file.seek(start)
        if start:
            file.readline(_MAX_LINE)
        while piece := file.read(_PIECE):
            yield piece


def read_log(root: str) -> Iterator[dict[str, Any]]:
    """Yield the records of a spool's log, oldest first; none when there is no log."""
    try:
        file = os.fdopen(open_found(f"{root}/{layout.LOG}"), "rb")
    except FileNotFoundError:
        return
    with file, Reading(file):
        while line := file.readline(_MAX_LINE):
            try:
                record = parse_own(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(record, dict) and isinstance(record.get("event"), str):
                yield record
