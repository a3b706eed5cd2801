"""What children write: whole lines passed on to pq's own stdout and stderr, or kept for a log.

Nothing here blocks: if whoever reads pq's output is slow, the children wait, and pq goes
on renewing leases.
"""

from __future__ import annotations

import asyncio
import fcntl
import io
import os
import select
import stat
from collections import deque
from collections.abc import Callable

_READ = 64 * 1024
_LONGEST_LINE = 1024 * 1024
"""A longer line is passed on in pieces: memory is bounded, whatever a child writes."""
_MUCH = 1024 * 1024
"""Bytes that wait to be written; above it no more is read from children."""
_LAST_WORDS = 1024 * 1024
"""Bytes read after a child has ended; a process it left behind may write for ever."""
_SURE = 4096
"""Bytes that a descriptor which polls as writable takes without blocking: PIPE_BUF."""


def is_null(fd: int) -> bool:
    """Tell whether what is written to this descriptor goes nowhere."""
    try:
        info = os.fstat(fd)
    except OSError:
        return False  # closed: whoever writes to it shall learn that
    null = stat.S_ISCHR(info.st_mode) and info.st_rdev == os.stat(os.devnull).st_rdev
    # One to read from stands for a stdout that was closed: a write to it fails.
    return null and fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY


def same_file(one: int, other: int) -> bool:
    """Tell whether two descriptors write to the same file, pipe or terminal."""
    try:
        return os.path.sameopenfile(one, other)
    except OSError:
        return False


class Outlet:
    """Writes to a descriptor of this process (1 or 2) without ever blocking the event loop.

    broken: called once with the OSError when writing fails; what follows is thrown away. before:
    called before each write, to clear away what is drawn on the same terminal.
    """

    def __init__(self, fd: int, broken: Callable[[OSError], None]) -> None:
        self._fd = fd
        self._broken = broken
        self.before: Callable[[], None] = lambda: None
        self._dead = False
        self._pending: deque[memoryview] = deque()
        self._size = 0
        self._waiting: list[Callable[[], None]] = []
        self._poll = select.poll()
        self._poll.register(fd, select.POLLOUT)
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def full(self) -> bool:
        """Whether enough waits to be written."""
        return self._size > _MUCH

    def write(self, data: bytes) -> None:
        """Write now what can be written, the rest as soon as it can."""
        if self._dead or not data:
            return
        self._pending.append(memoryview(data))
        self._size += len(data)
        if self._empty.is_set():
            self._flush()

    def when_ready(self, resume: Callable[[], None]) -> None:
        """Call `resume` once when there is room again."""
        self._waiting.append(resume)

    async def drained(self) -> None:
        """Wait until everything was written."""
        await self._empty.wait()

    def _flush(self) -> None:
        try:
            self.before()
            while self._pending and self._poll.poll(0):
                part = self._pending[0]
                written = os.write(self._fd, part[:_SURE])
                self._size -= written
                if written < len(part):
                    self._pending[0] = part[written:]
                else:
                    self._pending.popleft()
        except OSError as error:
            error.filename = "standard output" if self._fd == 1 else "standard error"
            self._dead = True
            self._pending.clear()
            self._size = 0
            self._broken(error)
        if bool(self._pending) is self._empty.is_set():
            self._watch(self._empty.is_set())
        if not self.full and self._waiting:
            waiting, self._waiting = self._waiting, []
            for resume in waiting:
                resume()

    def _watch(self, wanted: bool) -> None:
        loop = asyncio.get_running_loop()
        if wanted:
            self._empty.clear()
            loop.add_writer(self._fd, self._flush)
        else:
            loop.remove_writer(self._fd)
            self._empty.set()


class Lines:
    """Passes whole lines of one stream on to an outlet, each behind `tag`.

    cut: byte for byte instead, as soon as they come.
    """

    def __init__(self, outlet: Outlet, tag: bytes = b"", *, cut: bool = False) -> None:
        self.outlet = outlet
        self._tag = tag
        self._longest = 0 if cut else _LONGEST_LINE
        self._rest = b""

    def write(self, data: bytes) -> None:
        """Take some bytes; pass on the lines that are whole."""
        data = self._rest + data
        end = data.rfind(b"\n") + 1
        if len(data) - end > self._longest:
            end = len(data)
        self._rest = data[end:]
        self._pass_on(data[:end])

    def finish(self) -> None:
        """The stream has ended: end a last line that lacks its newline."""
        if self._rest:
            self._pass_on(self._rest + b"\n")
            self._rest = b""

    def _pass_on(self, data: bytes) -> None:
        if self._tag and data:
            # At newlines only: a progress bar's carriage returns do not end lines.
            data = b"".join(self._tag + line for line in io.BytesIO(data))
        self.outlet.write(data)


class Capture:
    """Keeps the beginning and the end of what a child writes, in bounded memory."""

    outlet = None

    def __init__(self, head: int = 32 * 1024, tail: int = 32 * 1024) -> None:
        self._head, self._tail = head, tail
        self._first = bytearray()
        self._last = bytearray()
        self._cut = 0

    def write(self, data: bytes) -> None:
        """Take some bytes."""
        room = self._head - len(self._first)
        self._first += data[:room]
        self._last += data[room:] if room > 0 else data
        if len(self._last) > 2 * self._tail:
            self._trim()

    def finish(self) -> None:
        """Nothing is held back."""

    def _trim(self) -> None:
        over = max(0, len(self._last) - self._tail)
        self._cut += over
        del self._last[:over]

    def content(self) -> bytes:
        """Return what was kept, with a note where something was left out."""
        self._trim()
        note = b"\n[... %d bytes left out ...]\n" % self._cut if self._cut else b""
        return bytes(self._first + note + self._last)


class Stream:
    """One pipe from a child to a target. Give `write_end` to the child, then call `start`."""

    def __init__(self, target: Lines | Capture) -> None:
        self._target = target
        self._fd, self.write_end = os.pipe()
        os.set_blocking(self._fd, False)
        self._reading = False
        self._ended = False

    def start(self) -> None:
        """The child has its end: close ours and begin to read."""
        self._close_write_end()
        self._resume()

    def finish(self) -> None:
        """The child has ended: take what it left in the pipe, and close it."""
        self._close_write_end()
        self._pause()
        taken = 0
        while not self._ended and taken < _LAST_WORDS:
            count = self._take()
            taken += count
            if not count:
                break
        self._ended = True
        os.close(self._fd)
        self._target.finish()

    def _take(self) -> int:
        try:
            data = os.read(self._fd, _READ)
        except BlockingIOError:
            return 0
        if not data:
            self._ended = True
            self._pause()
        self._target.write(data)
        return len(data)

    def _readable(self) -> None:
        self._take()
        outlet = self._target.outlet
        if outlet is not None and outlet.full:
            self._pause()
            outlet.when_ready(self._resume)

    def _resume(self) -> None:
        if not self._reading and not self._ended:
            asyncio.get_running_loop().add_reader(self._fd, self._readable)
            self._reading = True

    def _pause(self) -> None:
        if self._reading:
            asyncio.get_running_loop().remove_reader(self._fd)
            self._reading = False

    def _close_write_end(self) -> None:
        if self.write_end >= 0:
            os.close(self.write_end)
            self.write_end = -1
