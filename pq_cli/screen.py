"""What this process writes to: stdout, stderr, and the line of progress that makes way for both.

`cli.main` makes the one `Screen` and hands it to the command; whoever prints, warns or counts on
the way was given it.
"""

from __future__ import annotations

import errno
import os
import sys

from pq_cli.core.item import printable
from pq_cli.core.jsonio import to_safe_json
from pq_cli.errors import OutputError, PqError
from pq_cli.opened import os_error_status, os_error_text, read_some

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, BinaryIO

_LOOKED_AT = 64 * 1024
"""Bytes by which it is told whether a payload is text."""


class Screen:
    """stdout for data, stderr for what is said to people.

    clear: takes a line of progress off the terminal, while there may be one; called before
    anything else is written there. command: the name of the command that runs, for `report`.
    """

    def __init__(self) -> None:
        self.clear: Callable[[], None] | None = None
        self.command = ""

    def make_way(self) -> None:
        """Clear a line of progress away: something else is about to be written there."""
        if self.clear is not None:
            self.clear()

    def warn(self, message: object) -> None:
        """Write one line to stderr; nothing in it drives a terminal, or is a password of a URL."""
        self.make_way()
        words = str(message).split()
        if "postgres" in str(message):
            from pq_cli.core.urls import without_secrets

            words = [without_secrets(word) for word in words]
        text = f"pq: {printable(' '.join(words))}\n"
        try:
            os.write(2, text.encode("utf-8", "replace"))
        except OSError:
            pass  # nobody listens

    def report(self, error: PqError | OSError, before: str = "", behind: str = "") -> int:
        """Say what went wrong; return the exit status that it has.

        before: what an error is about that does not name it; those of the system do.
        """
        if isinstance(error, OSError):
            self.warn(_told(error, behind))
            return os_error_status(error)
        self.warn(f"{before}{error.told(self.command, behind)}")
        return error.exit_code

    def passed_over(self, error: PqError) -> None:
        """Say what is wrong with an item without which the command goes on."""
        self.warn(error.told(self.command))

    def is_terminal(self) -> bool:
        """Tell whether people are looking at stdout."""
        return sys.stdout is not None and os.isatty(1)

    def shows_progress(self) -> bool:
        """Tell whether people are looking at stderr, where a line can be drawn anew."""
        return os.isatty(2) and os.environ.get("TERM") != "dumb"

    def check(self) -> None:
        """Raise OutputError when stdout is closed: call before doing what must then be printed."""
        if sys.stdout is None:
            raise OutputError("standard output is closed")

    def emit(self, line: str, *, now: bool = False) -> None:
        """Write one line of data to stdout. Without `now`, `flush` or the program's end sends it.

        Like all that writes here, raises BrokenPipeError when nobody reads any more, and
        OutputError for everything else that stdout may have against it.
        """
        self.write(line.encode("utf-8", "surrogateescape") + b"\n")
        if now:
            self.flush()

    def emit_json(self, value: dict[str, Any]) -> None:
        """Write one JSON Lines record to stdout, what could drive a terminal as `\\u` escapes."""
        self.write(to_safe_json(value) + b"\n")

    def write(self, data: bytes) -> int:
        """Write bytes to stdout; they may wait for `flush`."""
        self.check()
        if self.clear is not None and self.is_terminal():
            self.clear()
        try:
            sys.stdout.buffer.write(data)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OutputError.because(error) from None
        return len(data)

    def need_reader(self) -> None:
        """Raise BrokenPipeError if nobody reads stdout any more: for who has nothing to write."""
        import select

        self.check()
        poll = select.poll()
        poll.register(1, 0)
        if any(said & select.POLLERR for _, said in poll.poll(0)):
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))

    def flush(self) -> None:
        """Send what was written."""
        try:
            if sys.stdout is not None:
                sys.stdout.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OutputError.because(error) from None

    def copy(self, stream: BinaryIO, *, raw: bool, ends: bool = False) -> bool:
        """Copy a stream to stdout, all of it; what was written before goes first.

        raw: also what is not text, to a terminal; else nothing of that is copied, and False is
        returned. ends: on a terminal the last line ends, whether or not it does so itself.
        """
        self.flush()
        for_people = self.is_terminal()
        chunk = last = read_some(stream)
        if for_people and not raw and not _is_text(chunk[:_LOOKED_AT]):
            return False
        while chunk:
            view = memoryview(chunk)
            while view:
                view = view[_write_some(view) :]
            last, chunk = chunk, read_some(stream)
        if ends and for_people and last and not last.endswith(b"\n"):
            self.emit("")
        return True


def _told(error: OSError, behind: str) -> str:
    try:
        from pq_cli.remedies import told
    except (ImportError, OSError):  # no descriptor is left to read it, or no permission
        return f"{os_error_text(error)}{behind}"
    return told(error, behind)


def _is_text(start: bytes) -> bool:
    """Tell whether what begins so is UTF-8 without control characters.

    But for tab, newline, form feed and carriage return.
    """
    from codecs import getincrementaldecoder

    try:
        text = getincrementaldecoder("utf-8")().decode(start)
    except UnicodeDecodeError:
        return False
    return not any((c < " " and c not in "\t\n\f\r") or "\x7f" <= c < "\xa0" for c in text)


def _write_some(view: memoryview) -> int:
    try:
        return os.write(1, view)
    except BlockingIOError:  # somebody who shares this stdout made it non-blocking
        import select

        select.select([], [1], [])
        return 0
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError.because(error) from None
