"""The terminal as it is: its width, its colours, and lines of styled cells for it."""

from __future__ import annotations

import os
from typing import cast

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from typing import IO, Any

    from rich.console import Console as Console

    from pq_cli.screen import Screen

STATE_STYLE = {
    "active": "bold green",
    "pending": "",
    "delayed": "cyan",
    "held": "magenta",
    "failed": "bold red",
    "done": "dim",
}
"""Colours that can be read on light and on dark; every one goes with a word that says the same."""


def console(screen: Screen, color: str = "auto", width: int | None = None) -> Console:
    """Return a rich console on stdout; `color` is one of options.COLORS.

    "auto" colours a terminal unless NO_COLOR is set or TERM is dumb. width: columns; None asks the
    terminal.
    """
    from rich.console import Console as RichConsole

    class Console(RichConsole):
        """A console that lets a broken pipe be one: rich would exit with status 1."""

        def on_broken_pipe(self) -> None:
            raise  # noqa: PLE0704  called while it is handled

    screen.check()
    out = cast("IO[str]", _Text(screen))
    width = width if width is not None else stdout_width()
    colours: dict[str, Any] = {"color_system": None if color == "never" else "auto"}
    if color == "always":
        colours = {"color_system": "standard", "force_terminal": True, "no_color": False}
    return Console(file=out, highlight=False, width=width, legacy_windows=False, **colours)


class _Text:
    """stdout as a text file."""

    encoding = "utf-8"

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self.flush = screen.flush
        self.isatty = screen.is_terminal

    def write(self, text: str) -> int:
        self._screen.write(text.encode("utf-8", "surrogateescape"))
        return len(text)

    def fileno(self) -> int:
        return 1


def stdout_width() -> int | None:
    """Return the columns of the terminal on stdout, or None where it is not one."""
    return _stdout_size("columns")


def stdout_height() -> int | None:
    """Return the lines of the terminal on stdout, or None where it is not one, or tells none."""
    return _stdout_size("lines")


def _stdout_size(side: str) -> int | None:
    try:
        return getattr(os.get_terminal_size(1), side) or None
    except (OSError, ValueError):
        return None


def say(out: Console, text: str, style: str = "") -> None:
    """Print one line of text, cut at the terminal's width; nothing in it is markup."""
    from rich.text import Text

    out.print(Text(text, style=style), no_wrap=True, overflow="ellipsis", crop=True)


Cell = str | tuple[str, str]
"""A text, or a text and its style."""


def column_widths(rows: Iterable[Sequence[Cell]]) -> list[int]:
    """Return how wide each column of a table is: a wide character takes two."""
    from rich.cells import cell_len

    columns = zip(*rows, strict=True)
    return [
        max(cell_len(cell if isinstance(cell, str) else cell[0]) for cell in column)
        for column in columns
    ]


NARROW = 50
"""Columns below which a terminal is narrow."""


def gap_on(out: Console) -> int:
    """Return how many spaces stand between two columns of a table: one where it is narrow."""
    return 1 if out.width < NARROW else 2


def print_row(
    out: Console, cells: Sequence[Cell], widths: Sequence[int], right: Collection[int], gap: int
) -> None:
    """Print one line of cells, each cut or padded to its width; a width of 0 leaves it out.

    right: the numbers of the columns that are aligned there.
    """
    from rich.text import Text

    line = Text(no_wrap=True, end="")
    for number, (cell, width) in enumerate(zip(cells, widths, strict=True)):
        if width > 0:
            text = Text.assemble(cell, overflow="ellipsis")
            text.align("right" if number in right else "left", width)
            line.append_text(text).append(" " * gap)
    line.rstrip()
    out.print(line, no_wrap=True, crop=True)
