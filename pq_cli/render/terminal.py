"""The terminal as it is: its width, its colours, and lines of styled cells for it."""

from __future__ import annotations

from typing import cast

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import IO

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
    if color == "always":
        return Console(
            force_terminal=True, no_color=False, highlight=False, color_system="standard",
            width=width, legacy_windows=False, file=out,
        )  # fmt: skip
    return Console(
        file=out, highlight=False, color_system=None if color == "never" else "auto", width=width
    )


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
    return _stdout_size()[0]


def stdout_height() -> int | None:
    """Return the lines of the terminal on stdout, or None where it is not one, or tells none."""
    return _stdout_size()[1]


def _stdout_size() -> tuple[int | None, int | None]:
    import os

    try:
        size = os.get_terminal_size(1)
    except (OSError, ValueError):
        return None, None
    return size.columns or None, size.lines or None


def say(out: Console, text: str, style: str = "") -> None:
    """Print one line of text, cut at the terminal's width; nothing in it is markup."""
    from rich.text import Text

    out.print(Text(text, style=style), no_wrap=True, overflow="ellipsis", crop=True)


Cell = tuple[str, str]
"""A text and its style."""


def cell_width(text: str) -> int:
    """Return how many columns a text takes: two for each wide character."""
    from rich.cells import cell_len

    return cell_len(text)


def print_row(
    out: Console, cells: Sequence[Cell], widths: Sequence[int], right: Sequence[bool], gap: int
) -> None:
    """Print one line of cells, each cut or padded to its width; a width of 0 leaves it out."""
    from rich.text import Text

    line = Text(no_wrap=True, end="")
    shown = [entry for entry in zip(cells, widths, right, strict=True) if entry[1] > 0]
    for number, ((text, style), width, to_right) in enumerate(shown):
        cell = Text(text, style=style)
        cell.truncate(width, overflow="ellipsis")
        space = " " * (width - cell.cell_len)
        line.append(space if to_right else "")
        line.append_text(cell)
        if number < len(shown) - 1:
            line.append(("" if to_right else space) + " " * gap)
    line.rstrip()
    out.print(line, no_wrap=True, crop=True)
