"""Times as people read them."""

from __future__ import annotations

import time

from pq_cli.core.item import printable
from pq_cli.core.policy import Pause
from pq_cli.core.timefmt import format_duration


def whole_duration(seconds: float) -> str:
    """Return a duration in its two largest units, without fractions of a second: `3h12m`, `0s`."""
    return format_duration(float(int(max(0.0, seconds))))


def short_duration(seconds: float) -> str:
    """Return a duration in its largest unit only: `3h`, not `3h12m`; below a second `0s`."""
    text = whole_duration(seconds)
    return text[: next(at for at, char in enumerate(text) if char.isalpha()) + 1]


def wall_time(at: float, now: float) -> str:
    """Return a Unix time as the clock on the wall shows it; of another day than now's with date."""
    there = time.localtime(at)
    today = there[:3] == time.localtime(now)[:3]
    return time.strftime("%H:%M:%S" if today else "%Y-%m-%d %H:%M:%S", there)


def pause_line(pause: Pause, now: float) -> str:
    """Return one line: that the queue is paused, since when, why, and what ends it."""
    why = f": {printable(pause.reason)}" if pause.reason else ""
    return f"paused for {short_duration(now - pause.since)}{why}  (`pq resume` ends it)"


def short_number(count: int) -> str:
    """Return a count in at most five characters: whole, in thousands (`12k`), in millions."""
    if count < 100_000:
        return str(count)
    return f"{count // 1000}k" if count < 10_000_000 else f"{count // 1_000_000}M"
