"""How far a pool has come: counts, rate and time left, as a line or (rich) as a bar."""

from __future__ import annotations

import os
import time
from collections import deque

from pq_cli.core.timefmt import format_duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rich.progress import Progress

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
        self._marks.append((now, self.done + self.failed))
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


class Bar:
    """A bar on the terminal at stderr. Draws only when told to, so that output can go between."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        self._progress: Progress = Progress(
            BarColumn(), TextColumn("{task.fields[words]}"),
            console=Console(stderr=True), auto_refresh=False, transient=True,
            redirect_stdout=False, redirect_stderr=False,
        )  # fmt: skip
        self._task = self._progress.add_task("", words="")
        self._progress.start()

    def draw(self, tally: Tally) -> None:
        """Draw the bar anew."""
        ended = tally.done + tally.failed
        total = ended + tally.running + tally.left if tally.left is not None else None
        self._progress.update(self._task, completed=ended, total=total, words=tally.text())
        self._progress.refresh()

    def clear(self) -> None:
        """Clear the line, before something else is written; the next `draw` brings it back.

        Also without a bar on it: a `^C` that the terminal echoed may stand there.
        """
        os.write(2, b"\r\x1b[2K")

    def close(self) -> None:
        """Remove the bar."""
        self._progress.stop()
