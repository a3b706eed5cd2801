"""Short sheets for a terminal: fields with their values, and tables whose last column wraps."""

from __future__ import annotations

import time
from itertools import chain

from pq_cli.core.insight.explain import attempt
from pq_cli.core.item import Item, printable
from pq_cli.core.timefmt import time_of
from pq_cli.render.explain import sentences
from pq_cli.render.fold import LEAST, fold
from pq_cli.render.log import attempt_columns, log_columns
from pq_cli.render.terminal import Cell, column_widths, gap_on, print_row
from pq_cli.render.words import wall_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from typing import Any

    from pq_cli.core.order import AgedGroup
    from pq_cli.render.terminal import Console
    from pq_cli.selftest import Result

LOG_WIDTHS = (8, 9, 6, 3)
ATTEMPT_WIDTHS = (6, 16, 9, 4, 6, 6, 8, 14)
"""Of columns that are printed as they come: what nearly always fits."""
_BELOW = "    "
"""What the last cell begins with where it does not fit beside the others."""


def print_sheet(
    rows: Iterable[Sequence[Cell]],
    out: Console,
    *,
    titles: Sequence[str] = (),
    right: Collection[int] = (),
    widths: Sequence[int] | None = None,
) -> None:
    """Print rows of cells in columns, below titles; the last one takes the lines that it needs.

    right: the columns that are aligned there. widths: of all columns but the last, for rows that
    are printed as they come; None: as wide as they need, once all are known.
    """
    head: list[list[Cell]] = [[(title, "bold") for title in titles]] if titles else []
    if widths is None:
        rows = list(rows)
        widths = column_widths([*head, *rows])[:-1]
    gap = gap_on(out)
    room = out.width - sum(width + gap for width in widths)
    for *cells, last in chain(head, rows):
        text, style = (last, "") if isinstance(last, str) else last
        if room < LEAST:
            print_row(out, cells, widths, right, gap)
            for line in fold(text, out.width, _BELOW, _BELOW) if text else []:
                print_row(out, [(line, style)], [out.width], (), gap)
            continue
        for line in fold(text, room):
            print_row(out, [*cells, (line, style)], [*widths, room], right, gap)
            cells = [""] * len(cells)


def field_sheet(fields: Iterable[tuple[str, str]], item: Item, now: float, out: Console) -> None:
    """Print the fields of an item, one a line; of its history a sentence for each attempt."""
    rows: list[list[Cell]] = []
    for name, text in fields:
        if name != "history":
            rows.append([(name, "bold"), text])
            continue
        for number, entry in enumerate(item.history):
            [words] = sentences([attempt(entry)], now)
            rows.append([("" if number else name, "bold"), words.removeprefix("claim ")])
    print_sheet(rows, out)


def log_sheet(
    records: Iterable[dict[str, Any]], out: Console, widths: Sequence[int] | None = None
) -> None:
    """Print records of the log; times as the clock on the wall shows them.

    widths: see `print_sheet`.
    """
    titles = ("TIME", "EVENT", "ITEM", "PRI", "")
    print_sheet(map(_log_cells, records), out, titles=titles, right=(2, 3), widths=widths)


def _log_cells(record: dict[str, Any]) -> list[Cell]:
    at, event, *rest = log_columns(record)
    style = {"failed": "red", "lost": "red", "paused": "bold", "done": "green"}.get(event, "")
    return [(_log_time(at), "dim"), (event, style), *rest]


def attempt_sheet(
    attempts: Iterable[dict[str, Any]], out: Console, widths: Sequence[int] | None = None
) -> None:
    """Print attempts that have ended, as `log_sheet` prints records."""
    titles = ("ITEM", "NAME", "ENDED", "EXIT", "WAITED", "TOOK", "TIME", "BY", "ERROR")
    print_sheet(
        map(_attempt_cells, attempts), out, titles=titles, right=(0, 3, 4, 5), widths=widths
    )


def _attempt_cells(attempt: dict[str, Any]) -> list[Cell]:
    number, name, how, *spans, at, by, error = attempt_columns(attempt)
    style = {"done": "green", "failed": "red", "lost": "red"}.get(how, "")
    return [number, name, (how, style), *spans, _log_time(at), by, error]


def _log_time(text: str) -> str:
    at = time_of(text)
    return text if at is None else wall_time(at, time.time())


def removed_sheet(batches: Iterable[tuple[float, Sequence[int]]], out: Console) -> None:
    """Print what was removed together, and until when (Unix seconds) it is kept."""
    now = time.time()
    rows: list[list[Cell]] = [
        [(wall_time(at, now), "dim"), f"{len(ids):,}", _ranges(ids)] for at, ids in batches
    ]
    print_sheet(rows, out, titles=("KEPT UNTIL", "COUNT", "ITEMS"), right=(1,))


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
    rows: Iterable[list[Cell]] = (
        [(severity, styles.get(severity, "")), kind, number, f"{path}: {detail}"]
        for severity, kind, number, path, detail in findings
    )
    print_sheet(rows, out, right=(2,), widths=(len("harmless"), widest, len("1,000,000")))


_PLAN_TITLES = ("ACTION", "STATE", "PRI", "CREATED", "TRY", "SIZE", "SOURCE")
_PLAN_WIDTHS = (6, 9, 3, 19, 3, 5)


def plan_sheet(rows: Iterable[Sequence[str]], out: Console) -> None:
    """Print action, state, priority, creation, attempts, size and source of a migration's items.

    A line is made by itself, so a plan of a million lines needs the memory of one.
    """
    cells = ([printable(word) for word in words] for words in chain([_PLAN_TITLES], rows))
    print_sheet(cells, out, right=(2, 4, 5), widths=_PLAN_WIDTHS)


def promise_sheet(results: Iterable[Result], out: Console) -> None:
    """Print the promises that `selftest` tries, each as soon as it is known."""
    rows: Iterable[list[Cell]] = (
        [r.name, ("holds", "green") if r.held else ("BROKEN", "bold red"), printable(r.detail)]
        for r in results
    )
    print_sheet(rows, out, widths=(len("contention"), len("BROKEN")))


def age_sheet(groups: Iterable[AgedGroup], out: Console) -> None:
    """Print what has aged, from which priority to which."""
    rows = [[f"{g.priority}→{g.effective}", f"{g.count:,}", f"item {g.oldest_id}"] for g in groups]
    print_sheet(rows, out, titles=("PRI", "COUNT", "OLDEST"), right=(1,))


def fact_sheet(facts: Sequence[tuple[str, str, str | None]], out: Console) -> None:
    """Print facts: (name, value, what is wrong about it or None)."""
    rows: list[list[Cell]] = []
    for name, value, wrong in facts:
        rows.append([(name, "bold"), printable(value)])
        if wrong:
            rows.append(["", (f"WRONG: {printable(wrong)}", "bold red")])
    print_sheet(rows, out)
