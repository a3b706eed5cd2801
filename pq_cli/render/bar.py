"""One line on the terminal at stderr that is drawn anew: a bar, or a spinner, and words."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rich.progress import Progress

_MOST, _LEAST = 40, 8
"""The bar's width in columns; where there is room for less, the words stand alone."""


class Bar:
    """Draws only when told to, so that other output can go between: `clear` makes way for it."""

    def __init__(self) -> None:
        self._progress: Progress | None = None

    def draw(self, words: str, completed: int, total: int | None) -> None:
        """Draw the line anew; without a total, as a spinner."""
        from rich.progress import BarColumn, SpinnerColumn, TextColumn
        from rich.table import Column

        progress = self._progress = self._progress or self._start()
        room = progress.console.width - len(words) - 4  # with room for the ^C that is echoed
        one_line = Column(no_wrap=True, overflow="crop")
        text = TextColumn("{task.fields[words]}", markup=False, table_column=one_line)
        if total is None:
            progress.columns = (SpinnerColumn(), text)
        elif room >= _LEAST:
            progress.columns = (BarColumn(min(_MOST, room)), text)
        else:
            progress.columns = (text,)
        progress.update(progress.task_ids[0], completed=completed, total=total, words=words)
        progress.refresh()

    def _start(self) -> Progress:
        from rich.console import Console
        from rich.progress import Progress

        progress = Progress(
            console=Console(stderr=True, highlight=False), auto_refresh=False, transient=True,
            redirect_stdout=False, redirect_stderr=False,
        )  # fmt: skip
        progress.add_task("", words="")
        progress.start()
        return progress

    def clear(self) -> None:
        """Clear the line, before something else is written; the next `draw` brings it back.

        Also without a bar on it: a `^C` that the terminal echoed may stand there.
        """
        os.write(2, b"\r\x1b[2K")

    def close(self) -> None:
        """Remove the line."""
        if self._progress is not None:
            self._progress.stop()
