"""How far a pool has come: counts, rate and time left, in words."""

from __future__ import annotations

import time
from collections import deque

from pq_cli.core.timefmt import format_duration

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
