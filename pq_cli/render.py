"""Values to text: plain columns, JSON Lines, and tables; `rich` only inside the table functions."""

from __future__ import annotations

import os
import sys

from pq_cli.core.item import Item, as_dict, printable, to_json
from pq_cli.core.policy import QueueConfig, effective
from pq_cli.core.timefmt import format_duration, format_time
from pq_cli.errors import SpoolIOError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from rich.console import Console


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


def human_size(size: int) -> str:
    """Return a number of bytes in three digits or so: `17`, `4.2k`, `310M`."""
    value = float(size)
    for unit in ("", "k", "M", "G", "T", "P"):
        if value < 999.5 or unit == "P":
            return f"{value:.0f}{unit}" if not unit or value >= 9.95 else f"{value:.1f}{unit}"
        value /= 1024
    raise AssertionError("unreachable")


_STATE_STYLE = {
    "active": "bold green",
    "pending": "",
    "delayed": "blue",
    "held": "magenta",
    "failed": "bold red",
    "done": "dim",
}


def console(color: str) -> Console:
    """Return a rich console on stdout; color is auto, always or never."""
    from rich.console import Console

    if color == "always":
        return Console(force_terminal=True, highlight=False, color_system="standard")
    return Console(highlight=False, no_color=True if color == "never" else None)


def item_table(
    items: Iterable[Item], config: QueueConfig, now: float, t: float, color: str
) -> None:
    """Print items as a table that fits the terminal's width."""
    from rich.table import Table
    from rich.text import Text

    out = console(color)
    wide = out.width >= 60
    table = Table(box=None, pad_edge=False, header_style="bold", expand=False)
    for title, right in (("ID", True), ("STATE", False), ("PRI", True), ("AGE", True)):
        table.add_column(title, justify="right" if right else "left", no_wrap=True)
    if wide:
        table.add_column("TRY", justify="right", no_wrap=True)
        table.add_column("SIZE", justify="right", no_wrap=True)
    table.add_column("NAME", no_wrap=True, overflow="ellipsis", ratio=1)
    for item in items:
        now_at = effective(config, item.priority, item.created_at, t)
        pri = str(item.priority) if now_at == item.priority else f"{item.priority}→{now_at}"
        urgent = "bold yellow" if now_at <= 2 and item.state == "pending" else ""
        row = [
            Text(str(item.id)),
            Text(str(item.state), style=_STATE_STYLE[item.state]),
            Text(pri, style=urgent),
            Text(format_duration(max(0.0, now - item.created_at))),
        ]
        if wide:
            row += [Text(f"{item.attempts}/{item.max_attempts}"), Text(human_size(item.size))]
        table.add_row(*row, Text(_label(item, now)))
    out.print(table)


def _label(item: Item, now: float) -> str:
    """Return what the last column says: name or key, and what matters in this state."""
    name = printable(item.name or item.key or "")
    if item.state == "active" and item.holder is not None:
        since = format_duration(max(0.0, now - item.holder.since))
        return f"{name}  [{printable(item.holder.host)}:{item.holder.pid} for {since}]".strip()
    if item.state == "delayed" and item.not_before is not None:
        return f"{name}  [in {format_duration(max(0.0, item.not_before - now))}]".strip()
    if item.state == "failed" and item.last_error:
        return f"{name}  [{printable(item.last_error)}]".strip()
    return name


def item_details(item: Item, config: QueueConfig, t: float) -> Iterable[str]:
    """Yield `field<TAB>value` lines of everything known about an item, escaped."""
    for name, value in item_json(item, config, t).items():
        if value is None or value == {} or value == []:
            continue
        text = value if isinstance(value, str) else to_json(value).decode()
        yield f"{name}\t{printable(text)}"
