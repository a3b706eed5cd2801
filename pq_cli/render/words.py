"""Small numbers and times as people read them."""

from __future__ import annotations

import time

from pq_cli.core.item import printable
from pq_cli.core.policy import Pause
from pq_cli.core.timefmt import format_duration


def human_size(size: int) -> str:
    """Return a number of bytes in three digits or so: `17`, `4.2k`, `310M`."""
    value = float(size)
    for unit in ("", "k", "M", "G", "T", "P"):
        if value < 999.5 or unit == "P":
            return f"{value:.0f}{unit}" if not unit or value >= 9.95 else f"{value:.1f}{unit}"
        value /= 1024
    raise AssertionError("unreachable")


def short_duration(seconds: float) -> str:
    """Return a duration in its largest unit only: `3h`, not `3h12m`; below a second `0s`."""
    text = format_duration(float(int(max(0.0, seconds))))
    for end, char in enumerate(text):
        if char.isalpha():
            return text[: end + 1]
    return text


def wall_time(at: float, now: float) -> str:
    """Return a Unix time as the clock on the wall shows it; of another day than now's with date."""
    there = time.localtime(at)
    today = there[:3] == time.localtime(now)[:3]
    return time.strftime("%H:%M:%S" if today else "%Y-%m-%d %H:%M:%S", there)


def counted(number: int, noun: str) -> str:
    """Return `1 item`, `2 items`; thousands are set apart."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def lie_in_quarantine(number: int) -> str:
    """Return what is told of things that a repair has set aside, and what to do about them."""
    one = number == 1
    what = f"{number:,} {'lies' if one else 'lie'} in quarantine/"
    return f"{what} (`pq check` lists {'it' if one else 'them'}, --restore NAME brings one back)"


def pause_line(pause: Pause, now: float) -> str:
    """Return one line: that the queue is paused, since when, why, and what ends it."""
    why = f": {printable(pause.reason)}" if pause.reason else ""
    return f"paused for {short_duration(now - pause.since)}{why}  (`pq resume` ends it)"
