"""Sparklines: the last hour and day in a line each, for the terminal."""

from __future__ import annotations

from pq_cli.core.insight.history import KINDS, merged
from pq_cli.render.terminal import print_row
from pq_cli.render.words import short_number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pq_cli.core.insight.history import History
    from pq_cli.render.terminal import Cell, Console

_BARS = "▁▂▃▄▅▆▇█"
_STYLE = {"in": "cyan", "out": "green", "failed": "red"}
_TITLES = ("LAST HOUR", "LAST DAY")
_MOST = 48
_BESIDE = 60
"""Columns from which on the hour stands beside the day; below, there is the day alone."""


def spark(row: Sequence[int], width: int) -> str:
    """Return at most `width` characters: a bar a bucket, as high as its share of the highest.

    A dot is nothing at all; the last character is now.
    """
    counts = merged(row, width)
    most = max(counts, default=0)
    return "".join(
        _BARS[max(0, -(-count * len(_BARS) // most) - 1)] if count else "." for count in counts
    )


def history_table(history: History, out: Console) -> None:
    """Print what went in, out and failed: all lanes, then each of several; silent if none did."""
    rows = list(_rows(history))
    if not rows:
        return
    both = out.width >= _BESIDE
    numbers = 1 + max(len(short_number(sum(counts))) for *_, windows in rows for counts in windows)
    room = out.width - (4 + 1 + 6 + 1) - (2 if both else 1) * (numbers + 1)
    wide = min(_MOST, (room - 1) // 2 if both else room)
    taken = [
        max(len(title), len(merged(counts, wide)))
        for title, counts in zip(_TITLES, rows[0][2], strict=True)
    ]
    widths = [4, 6, *([taken[0], numbers] if both else [0, 0]), taken[1], numbers]
    right = (0, 3, 5)
    head = ["LANE", "", _TITLES[0], "", _TITLES[1], ""]
    print_row(out, [(text, "bold") for text in head], widths, right, 1)
    for lane, kind, windows in rows:
        cells: list[Cell] = [lane, kind]
        for counts in windows:
            cells += [(spark(counts, wide), _STYLE[kind]), short_number(sum(counts))]
        print_row(out, cells, widths, right, 1)


def _rows(history: History) -> Iterator[tuple[str, str, tuple[Sequence[int], Sequence[int]]]]:
    """Yield lane (empty where it stands above already), kind, and what hour and day hold of it."""
    lanes = history.day.lanes()
    for lane in [None, *lanes] if len(lanes) > 1 else lanes:
        title = "all" if lane is None else str(lane)
        for kind in KINDS:
            hour, day = history.hour.row(kind, lane), history.day.row(kind, lane)
            if any(hour) or any(day):
                yield title, kind, (hour, day)
                title = ""
