"""Short sheets for a terminal: fields with their values, and tables whose last column wraps."""

from __future__ import annotations

import time
from itertools import chain

from pq_cli.core.insight.explain import attempt
from pq_cli.core.item import Item, printable
from pq_cli.core.timefmt import parse_time
from pq_cli.errors import UsageError
from pq_cli.render.explain import sentences
from pq_cli.render.fold import LEAST, fold
from pq_cli.render.log import attempt_columns, log_columns
from pq_cli.render.terminal import Cell, cell_width, print_row
from pq_cli.render.words import wall_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from pq_cli.core.policy import AgedGroup
    from pq_cli.render.terminal import Console
    from pq_cli.selftest import Result

LOG_WIDTHS = (8, 9, 6, 3)
ATTEMPT_WIDTHS = (6, 16, 9, 4, 6, 6, 8, 14)
"""Of columns that are printed as they come: what nearly always fits."""
_LOG_RIGHT = (False, False, True, True, False)
_ATTEMPT_RIGHT = (True, False, False, True, True, True, False, False, False)
_GAP = 2
_NARROW = 50
"""Below so many columns one space stands between two."""
_BELOW = "    "
"""What the last cell begins with where it does not fit beside the others."""


def print_sheet(rows: Sequence[Sequence[Cell]], right: Sequence[bool], out: Console) -> None:
    """Print rows of cells in columns; the last one takes the lines that it needs."""
    widths = [max(cell_width(row[n][0]) for row in rows) for n in range(len(right) - 1)]
    for row in rows:
        _print_folded(row, widths, right, out)


def _print_folded(
    row: Sequence[Cell], widths: Sequence[int], right: Sequence[bool], out: Console
) -> None:
    gap = _GAP if out.width >= _NARROW else 1
    room = out.width - sum(width + gap for width in widths)
    *cells, (text, style) = row
    if room < LEAST:
        print_row(out, cells, widths, right[:-1], gap)
        for line in fold(text, out.width, _BELOW, _BELOW) if text else []:
            print_row(out, [(line, style)], [out.width], [False], gap)
        return
    for number, line in enumerate(fold(text, room)):
        front = [("", "")] * len(cells) if number else cells
        print_row(out, [*front, (line, style)], [*widths, room], right, gap)


def field_sheet(fields: Iterable[tuple[str, str]], item: Item, now: float, out: Console) -> None:
    """Print the fields of an item, one a line; of its history a sentence for each attempt."""
    rows: list[list[Cell]] = []
    for name, text in fields:
        if name != "history":
            rows.append([(name, "bold"), (text, "")])
            continue
        for number, entry in enumerate(item.history):
            [words] = sentences([attempt(entry)], now)
            rows.append([("" if number else name, "bold"), (words.removeprefix("claim "), "")])
    print_sheet(rows, [False, False], out)


def log_sheet(
    records: Iterable[dict[str, Any]], out: Console, widths: Sequence[int] | None = None
) -> None:
    """Print records of the log; times as the clock on the wall shows them.

    widths: of all columns but the last, for records that are printed as they come; None: as wide as
    they need, once all are known.
    """
    titles = [(title, "bold") for title in ("TIME", "EVENT", "ITEM", "PRI", "")]
    _print_as_they_come(titles, map(_log_cells, records), _LOG_RIGHT, out, widths)


def _log_cells(record: dict[str, Any]) -> list[Cell]:
    at, event, *rest = log_columns(record)
    style = {"failed": "red", "lost": "red", "paused": "bold", "done": "green"}.get(event, "")
    return [(_log_time(at, time.time()), "dim"), (event, style), *((text, "") for text in rest)]


def attempt_sheet(
    attempts: Iterable[dict[str, Any]], out: Console, widths: Sequence[int] | None = None
) -> None:
    """Print attempts that have ended, as `log_sheet` prints records."""
    names = ("ITEM", "NAME", "ENDED", "EXIT", "WAITED", "TOOK", "TIME", "BY", "ERROR")
    titles = [(name, "bold") for name in names]
    _print_as_they_come(titles, map(_attempt_cells, attempts), _ATTEMPT_RIGHT, out, widths)


def _attempt_cells(attempt: dict[str, Any]) -> list[Cell]:
    columns = attempt_columns(attempt)
    style = {"done": "green", "failed": "red", "lost": "red"}.get(columns[2], "")
    columns[6] = _log_time(columns[6], time.time())
    return [(text, style if n == 2 else "") for n, text in enumerate(columns)]


def _print_as_they_come(
    titles: Sequence[Cell],
    rows: Iterable[Sequence[Cell]],
    right: Sequence[bool],
    out: Console,
    widths: Sequence[int] | None,
) -> None:
    """Print rows: as they come where the widths are given, else once all are there."""
    if widths is None:
        print_sheet([titles, *rows], right, out)
        return
    for row in chain([titles], rows):
        _print_folded(row, widths, right, out)


def _log_time(at: str, now: float) -> str:
    try:
        return wall_time(parse_time(at), now)
    except UsageError:
        return at


def removed_sheet(batches: Iterable[tuple[float, Sequence[int]]], out: Console) -> None:
    """Print what was removed together, and until when (Unix seconds) it is kept."""
    titles: list[Cell] = [(title, "bold") for title in ("KEPT UNTIL", "COUNT", "ITEMS")]
    now = time.time()
    rows: list[list[Cell]] = [
        [(wall_time(at, now), "dim"), (f"{len(ids):,}", ""), (_ranges(ids), "")]
        for at, ids in batches
    ]
    print_sheet([titles, *rows], [False, True, False], out)


def _ranges(ids: Iterable[int]) -> str:
    """Return numbers as text, those in a row as `7-12`."""
    runs: list[list[int]] = []
    for number in sorted(ids):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in runs)


def finding_sheet(findings: Iterable[Sequence[str]], widest: int, out: Console) -> None:
    """Print (severity, kind, id, path, detail) of each finding of `check`; all are printable.

    widest: columns of the longest kind that there is.
    """
    styles = {"damage": "bold red", "mended": "green", "harmless": "dim", "aside": "yellow"}
    widths = [len("harmless"), widest, len("1,000,000")]
    for severity, kind, number, path, detail in findings:
        style = styles.get(severity, "")
        row = [(severity, style), (kind, ""), (number, ""), (f"{path}: {detail}", "")]
        _print_folded(row, widths, [False, False, True, False], out)


_PLAN_TITLES = ("ACTION", "STATE", "PRI", "CREATED", "TRY", "SIZE", "SOURCE")
_PLAN_WIDTHS = (6, 9, 3, 19, 3, 5)


def plan_sheet(rows: Iterable[Sequence[str]], out: Console) -> None:
    """Print action, state, priority, creation, attempts, size and source of a migration's items.

    A line is made by itself, so a plan of a million lines needs the memory of one.
    """
    right = [False, False, True, False, True, True, False]
    for words in chain([_PLAN_TITLES], rows):
        _print_folded([(printable(word), "") for word in words], _PLAN_WIDTHS, right, out)


def promise_sheet(results: Iterable[Result], out: Console) -> None:
    """Print the promises that `selftest` tries, each as soon as it is known."""
    for result in results:
        word = ("holds", "green") if result.held else ("BROKEN", "bold red")
        row = [(result.name, ""), word, (printable(result.detail), "")]
        _print_folded(row, [len("contention"), len("BROKEN")], [False] * 3, out)


def age_sheet(groups: Iterable[AgedGroup], out: Console) -> None:
    """Print what has aged, from which priority to which."""
    titles: list[Cell] = [(title, "bold") for title in ("PRI", "COUNT", "OLDEST")]
    rows: list[list[Cell]] = [
        [(f"{g.priority}→{g.effective}", ""), (f"{g.count:,}", ""), (f"item {g.oldest_id}", "")]
        for g in groups
    ]
    print_sheet([titles, *rows], [False, True, False], out)


def fact_sheet(facts: Sequence[tuple[str, str, str | None]], out: Console) -> None:
    """Print facts: (name, value, what is wrong about it or None)."""
    rows: list[list[Cell]] = []
    for name, value, wrong in facts:
        rows.append([(name, "bold"), (printable(value), "")])
        if wrong:
            rows.append([("", ""), (f"WRONG: {printable(wrong)}", "bold red")])
    print_sheet(rows, [False, False], out)
