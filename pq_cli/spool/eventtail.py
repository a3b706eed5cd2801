"""Reading `SPOOL/log` without a lock: all of it, or from one event on, as it grows.

`disk.logs` says what the number of an event is.
"""

from __future__ import annotations

import os

from pq_cli.core.events import parsed
from pq_cli.errors import EventsGoneError
from pq_cli.opened import FOUND, Reading
from pq_cli.spool.disk import layout
from pq_cli.spool.disk.logs import mark_of, now_number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, BinaryIO

_MAX_LINE = 64 * 1024


class LogTail:
    """See `queue.following.Tail`. after: the number of the last event that is known."""

    def __init__(self, root: str, after: int) -> None:
        self._path = f"{root}/{layout.LOG}"
        self._after = after
        self._file: BinaryIO | None = None
        self._number = 0  # where in the numbers the file is being read

    def read(self) -> Iterator[dict[str, Any]]:
        """Yield what came since, also where the older half was dropped meanwhile."""
        fresh = self._file is None
        yield from self.read_file()
        while self._is_replaced():
            yield from self.read_file()  # what was still written before that
            self.close()
            yield from self.read_file()
        if fresh and self._after > max(self._number, now_number()):
            raise EventsGoneError.after(self._after, self._number)

    def read_file(self) -> Iterator[dict[str, Any]]:
        """Yield what came since, from the file that is there or is being read."""
        file = self._file or self._opened()
        if file is None:
            return
        with Reading(file):
            while line := file.readline(_MAX_LINE):
                if line[-1:] != b"\n" and len(line) < _MAX_LINE:
                    file.seek(-len(line), os.SEEK_CUR)  # it is being written, or was torn
                    return
                mark = mark_of(line)
                self._number = self._number + len(line) if mark is None else mark
                if self._number <= self._after:
                    continue
                self._after = self._number
                record = parsed(line) if mark is None else None
                if record is not None:
                    yield {"number": self._number, **record}

    def _opened(self) -> BinaryIO | None:
        """Open the file, whose events must go on where the last ones were. Raises EventsGoneError.

        None when there is no log; that is an error, too, where there was one.
        """
        try:
            file = open(self._path, "rb", opener=_found)  # noqa: SIM115  kept: it is read on
        except FileNotFoundError:
            if self._after:
                raise EventsGoneError.after(self._after, 0) from None
            return None
        with Reading(file):
            first = mark_of(file.readline(_MAX_LINE)) or 0
            file.seek(0)
        if 0 < self._after < first:
            file.close()
            raise EventsGoneError.after(self._after, first)
        self._file, self._number = file, 0
        return file

    def _is_replaced(self) -> bool:
        """Tell whether another file, or a shorter one, is the log now."""
        if self._file is None:
            return False
        mine = os.fstat(self._file.fileno())
        try:
            there = os.stat(self._path, follow_symlinks=False)
        except FileNotFoundError:
            return False  # whoever writes next makes another
        return (there.st_dev, there.st_ino) != (mine.st_dev, mine.st_ino) or (
            there.st_size < self._file.tell()
        )

    def close(self) -> None:
        """Close the file."""
        file, self._file = self._file, None
        if file is not None:
            file.close()


def _found(path: str, _: int) -> int:
    return os.open(path, FOUND)
