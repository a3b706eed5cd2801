"""How far something has come: in words, and as one line on stderr that is drawn anew."""

from __future__ import annotations

import os
import time
from collections import deque

from pq_cli.core.timefmt import format_duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rich.progress import Progress

_MOST, _LEAST = 40, 8
"""The bar's width in columns; where there is room for less, the words stand alone."""
_WINDOW = 30.0
"""Seconds over which the rate is taken: what is going on now, not since the start."""


class Tally:
    """Counts of attempts; `left` is the number of items that wait (None: not counted yet)."""

    def __init__(self) -> None:
        self.done = self.failed = self.running = 0
        self.left: int | None = None
        self._marks: deque[tuple[float, int]] = deque([(time.monotonic(), 0)])

    def mark(self, now: float) -> None:
        """Note how many have ended by `now` (monotonic seconds); call it now and then."""
        self._marks.append((now, self.ended))
        while len(self._marks) > 2 and now - self._marks[1][0] >= _WINDOW:
            self._marks.popleft()

    @property
    def rate(self) -> float:
        """Attempts ended a second, of late."""
        (then, before), (now, ended) = self._marks[0], self._marks[-1]
        return (ended - before) / (now - then) if now > then else 0.0

    def text(self) -> str:
        """Return it all as one line."""
        parts = [f"{self.done} done", f"{self.failed} failed", f"{self.running} running"]
        if self.left is not None:
            parts.append(f"{self.left} left")
        parts.append(f"{self.rate:.1f}/s")
        if self.left and self.rate:
            parts.append(f"{format_duration(self.left / self.rate)} to go")
        return ", ".join(parts)

    @property
    def total(self) -> int | None:
        """Attempts there will be, so far as that is known."""
        return None if self.left is None else self.ended + self.running + self.left

    @property
    def ended(self) -> int:
        """Attempts that ended, well or badly."""
        return self.done + self.failed


class Bar:
    """A bar, or a spinner, and words. Draws only when told to, so that other output can go
    between: `clear` makes way for it.
    """

    def __init__(self) -> None:
        self._progress: Progress | None = None

    def draw(self, words: str, completed: int, total: int | None) -> None:
        """Draw the line anew; without a total, as a spinner."""
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn
        from rich.table import Column

        if self._progress is None:
            self._progress = Progress(
                console=Console(stderr=True, highlight=False), auto_refresh=False, transient=True,
                redirect_stdout=False, redirect_stderr=False,
            )  # fmt: skip
            self._progress.add_task("", words="")
            self._progress.start()
        progress = self._progress
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

    def clear(self) -> None:
        """Clear the line, before something else is written; the next `draw` brings it back.

        Also without a bar on it: a `^C` that the terminal echoed may stand there.
        """
        os.write(2, b"\r\x1b[2K")

    def close(self) -> None:
        """Remove the line."""
        if self._progress is not None:
            self._progress.stop()
