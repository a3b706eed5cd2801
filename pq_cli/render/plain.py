"""Values to text for programs: plain columns and JSON Lines, on stdout."""

from __future__ import annotations

import os
import sys

from pq_cli import messages
from pq_cli.core.item import Item, printable
from pq_cli.core.jsonio import to_json, to_safe_json
from pq_cli.core.meta import as_dict
from pq_cli.core.policy import QueueConfig, effective
from pq_cli.core.timefmt import format_time
from pq_cli.errors import OutputError
from pq_cli.opened import About, read_part

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any


def check_stdout() -> None:
    """Raise OutputError when stdout is closed: call before doing what must then be printed."""
    if sys.stdout is None:
        raise OutputError("standard output is closed")


def emit(line: str) -> None:
    """Write one line of data to stdout. Buffered; `flush` or the end of the program sends it.

    Like all that writes here, raises BrokenPipeError when nobody reads any more, and OutputError
    for everything else that stdout may have against it.
    """
    _write(line.encode("utf-8", "surrogateescape") + b"\n")


def emit_json(value: dict[str, Any]) -> None:
    """Write one JSON Lines record to stdout, what could drive a terminal as `\\u` escapes."""
    _write(to_safe_json(value) + b"\n")


def _write(data: bytes) -> None:
    check_stdout()
    if messages.make_way is not None and stdout_is_terminal():
        messages.make_way()
    try:
        sys.stdout.buffer.write(data)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError.because(error) from None


def flush() -> None:
    """Send what was emitted."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError.because(error) from None


def copy_to_stdout(fd: int) -> None:
    """Copy an open file to stdout, all of it; what was emitted before goes first."""
    flush()
    source = About(fd)
    while chunk := read_part(source):
        view = memoryview(chunk)
        while view:
            view = view[_write_some(view) :]


NOT_TEXT = "not text, and this is a terminal"
_LOOKED_AT = 64 * 1024
"""Bytes by which it is told whether a payload is text."""


def unfit_for_terminal(fd: int) -> bool:
    """Tell whether stdout is a terminal and what an open file begins with is not text.

    Text is UTF-8 without control characters, but for tab, newline, form feed and carriage return.
    """
    if not stdout_is_terminal():
        return False
    from codecs import getincrementaldecoder

    try:
        text = getincrementaldecoder("utf-8")().decode(os.pread(fd, _LOOKED_AT, 0))
    except UnicodeDecodeError:
        return True
    return any((c < " " and c not in "\t\n\f\r") or "\x7f" <= c < "\xa0" for c in text)


def end_line(fd: int) -> None:
    """End the last line of a file that was copied to a terminal, if it does not do so itself."""
    size = os.fstat(fd).st_size
    if stdout_is_terminal() and size and os.pread(fd, 1, size - 1) != b"\n":
        emit("")


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


class Stdout:
    """stdout as a text file, for those who draw pictures: by the same rules as `emit`."""

    encoding = "utf-8"

    def write(self, text: str) -> int:
        """Write text; it may wait for `flush`."""
        _write(text.encode("utf-8", "surrogateescape"))
        return len(text)

    def flush(self) -> None:
        """Send what was written."""
        flush()

    def isatty(self) -> bool:
        """Tell whether people are looking."""
        return stdout_is_terminal()

    def fileno(self) -> int:
        """Return the descriptor."""
        return 1


class StdoutBytes:
    """stdout as a binary file, for those who write a stream: by the same rules as `emit`."""

    def write(self, data: bytes) -> int:
        """Write bytes; they may wait for `flush`."""
        _write(data)
        return len(data)

    def flush(self) -> None:
        """Send what was written."""
        flush()


def item_json(item: Item, config: QueueConfig, t: float) -> dict[str, Any]:
    """Return an item as `--json` shows it: the meta's names, with `effective` and `path`.

    Of a removed item also what it `was`, and the time until which it is kept.
    """
    values = as_dict(item)
    if item.was is not None and item.kept_until is not None:
        values |= {"was": item.was.value, "kept_until": format_time(item.kept_until)}
    values["path"] = item.path
    values["effective"] = effective(config, item.priority, item.created_at, t)
    return values


def item_columns(item: Item, config: QueueConfig, t: float) -> str:
    """Return the tab-separated columns of `pq ls` in a pipe.

    id, state, priority, effective, created_at, attempts, size, key, name; absent ones are empty.
    """
    columns = (
        str(item.id),
        str(item.state),
        str(item.priority),
        str(effective(config, item.priority, item.created_at, t)),
        format_time(item.created_at),
        str(item.attempts),
        str(item.size),
        printable(item.key or ""),
        printable(item.name or ""),
    )
    return "\t".join(columns)


def stdout_is_terminal() -> bool:
    """Tell whether people are looking at stdout."""
    return sys.stdout is not None and os.isatty(1)


def item_fields(item: Item, config: QueueConfig, t: float) -> Iterable[tuple[str, str]]:
    """Yield (field, value) of everything known about an item, escaped."""
    for name, value in item_json(item, config, t).items():
        if value is None or value == {} or value == []:
            continue
        text = value if isinstance(value, str) else to_json(value).decode()
        yield name, printable(text)
