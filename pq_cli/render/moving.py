"""Many items on the move: a line of a plan, and a progress bar."""

from __future__ import annotations

import os

from pq_cli.core.item import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import TypeVar

    T = TypeVar("T")

_PLAN_WIDTHS = (7, 14, 3, 27, 3, 12)


def plan_line(columns: tuple[str, ...], *, aligned: bool) -> str:
    """Return a line of a migration's plan: in columns for people, else separated by tabs.

    A line is made by itself, so a plan of a million lines needs the memory of one.
    """
    clean = [printable(column) for column in columns]
    if not aligned:
        return "\t".join(clean)
    padded = [text.ljust(width) for text, width in zip(clean, _PLAN_WIDTHS, strict=False)]
    return "  ".join([*padded, clean[-1]])


def progress(
    events: Iterable[T], total: int, unit: str, counts: Callable[[T], bool]
) -> Iterator[T]:
    """Pass the events on; on a terminal, show on stderr how many that count have come by."""
    if not os.isatty(2):
        yield from events
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn(unit), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total)
        for event in events:
            if counts(event):
                bar.advance(task)
            yield event
