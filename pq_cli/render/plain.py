"""Items and payloads as text: plain columns and JSON for programs."""

from __future__ import annotations

import os

from pq_cli.core.item import Item, printable
from pq_cli.core.jsonio import to_json
from pq_cli.core.meta import as_dict
from pq_cli.core.policy import QueueConfig, effective
from pq_cli.core.timefmt import format_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from pq_cli.screen import Screen

NOT_TEXT = "not text, and this is a terminal"
_LOOKED_AT = 64 * 1024
"""Bytes by which it is told whether a payload is text."""


def unfit_for_terminal(screen: Screen, fd: int) -> bool:
    """Tell whether stdout is a terminal and what an open file begins with is not text.

    Text is UTF-8 without control characters, but for tab, newline, form feed and carriage return.
    """
    if not screen.is_terminal():
        return False
    from codecs import getincrementaldecoder

    try:
        text = getincrementaldecoder("utf-8")().decode(os.pread(fd, _LOOKED_AT, 0))
    except UnicodeDecodeError:
        return True
    return any((c < " " and c not in "\t\n\f\r") or "\x7f" <= c < "\xa0" for c in text)


def end_line(screen: Screen, fd: int) -> None:
    """End the last line of a file that was copied to a terminal, if it does not do so itself."""
    size = os.fstat(fd).st_size
    if screen.is_terminal() and size and os.pread(fd, 1, size - 1) != b"\n":
        screen.emit("")


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


def fields_of(values: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """Yield (field, value) of everything that is known about an item, escaped."""
    for name, value in values.items():
        if value is None or value == {} or value == []:
            continue
        text = value if isinstance(value, str) else to_json(value).decode()
        yield name, printable(text)
