"""Values to text for programs: plain columns and JSON Lines, on stdout."""

from __future__ import annotations

import os
import sys

from pq_cli.core.item import Item, as_dict, printable, to_json
from pq_cli.core.policy import QueueConfig, effective
from pq_cli.core.timefmt import format_time
from pq_cli.errors import SpoolIOError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any


def check_stdout() -> None:
    """Raise SpoolIOError when stdout is closed: call before doing what must then be printed."""
    if sys.stdout is None:
        raise SpoolIOError("standard output is closed")


def emit(line: str) -> None:
    """Write one line of data to stdout. Buffered; `flush` or the end of the program sends it."""
    check_stdout()
    sys.stdout.buffer.write(line.encode("utf-8", "surrogateescape") + b"\n")


def flush() -> None:
    """Send what was emitted."""
    if sys.stdout is not None:
        sys.stdout.flush()


def emit_json(value: dict[str, Any]) -> None:
    """Write one JSON Lines record to stdout."""
    check_stdout()
    sys.stdout.buffer.write(to_json(value) + b"\n")


def copy_to_stdout(fd: int) -> None:
    """Copy an open file to stdout, all of it; what was emitted before goes first."""
    flush()
    while chunk := os.read(fd, 256 * 1024):
        view = memoryview(chunk)
        while view:
            view = view[os.write(1, view) :]


def item_json(item: Item, config: QueueConfig, t: float) -> dict[str, Any]:
    """Return an item as `--json` shows it: the meta's names, with `effective` and `path`."""
    values = as_dict(item)
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


def item_details(item: Item, config: QueueConfig, t: float) -> Iterable[str]:
    """Yield `field<TAB>value` lines of everything known about an item, escaped."""
    for name, value in item_json(item, config, t).items():
        if value is None or value == {} or value == []:
            continue
        text = value if isinstance(value, str) else to_json(value).decode()
        yield f"{name}\t{printable(text)}"
