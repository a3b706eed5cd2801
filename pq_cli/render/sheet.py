"""Short sheets for a terminal: fields with their values, and tables whose last column wraps."""

from __future__ import annotations

from textwrap import wrap

from pq_cli.core.explain import attempt
from pq_cli.core.item import Item, printable
from pq_cli.core.timefmt import parse_time
from pq_cli.errors import UsageError
from pq_cli.render.explain import sentences
from pq_cli.render.log import log_columns
from pq_cli.render.terminal import Cell, cell_width, print_row
from pq_cli.render.words import wall_time
from pq_cli.spool.findings import KINDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from pq_cli.core.policy import AgedGroup
    from pq_cli.render.terminal import Console

_GAP = 2
_LEAST = 20
"""Columns that the last one has at least."""


def print_sheet(rows: Sequence[Sequence[Cell]], right: Sequence[bool], out: Console) -> None:
    """Print rows of cells in columns; the last one takes the lines that it needs."""
    widths = [max(cell_width(row[n][0]) for row in rows) for n in range(len(right) - 1)]
    for row in rows:
        _print_wrapped(row, widths, right, out)


def _print_wrapped(
    row: Sequence[Cell], widths: Sequence[int], right: Sequence[bool], out: Console
) -> None:
    room = max(_LEAST, out.width - sum(width + _GAP for width in widths))
    *cells, (text, style) = row
    for number, line in enumerate(wrap(text, room) or [""]):
        front = [("", "")] * len(cells) if number else cells
        print_row(out, [*front, (line, style)], [*widths, room], right, _GAP)


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


def log_sheet(records: Iterable[dict[str, Any]], now: float, out: Console) -> None:
    """Print records of the log; times as the clock on the wall shows them."""
    titles = [(title, "bold") for title in ("TIME", "EVENT", "ITEM", "PRI", "")]
    rows = []
    for at, event, *rest in map(log_columns, records):
        style = {"failed": "red", "lost": "red", "paused": "bold", "done": "green"}.get(event, "")
        rows.append([(_log_time(at, now), "dim"), (event, style), *((text, "") for text in rest)])
    print_sheet([titles, *rows], [False, False, True, True, False], out)


def _log_time(at: str, now: float) -> str:
    try:
        return wall_time(parse_time(at), now)
    except UsageError:
        return at


def removed_sheet(batches: Iterable[tuple[float, Sequence[int]]], now: float, out: Console) -> None:
    """Print what was removed together, and until when (Unix seconds) it is kept."""
    titles: list[Cell] = [(title, "bold") for title in ("KEPT UNTIL", "COUNT", "ITEMS")]
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


def print_finding(words: Sequence[str], out: Console) -> None:
    """Print (severity, kind, id, path, detail) of one finding of `check`; all are printable."""
    severity, kind, number, path, detail = words
    style = {"damage": "bold red", "mended": "green", "harmless": "dim"}.get(severity, "")
    row = [(severity, style), (kind, ""), (number, ""), (f"{path}: {detail}", "")]
    widths = [len("harmless"), max(map(len, KINDS)), len("1,000,000")]
    _print_wrapped(row, widths, [False, False, True, False], out)


def age_sheet(groups: Sequence[AgedGroup], out: Console) -> None:
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
