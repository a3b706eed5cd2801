"""The drawings on the page: bars over time, tables whose cells are the darker the more there is."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence

from pq_cli.core.insight.history import KINDS, Window
from pq_cli.render.pictures.markup import Markup, el, join
from pq_cli.render.words import short_duration, short_number

_HIGH = 24
"""Units of a drawing's height; a bucket is one unit wide."""
_LEAST = 1.5
_SHADES = 6


def table(head: Sequence[object], rows: Iterable[Sequence[Markup]], class_: str) -> Markup:
    """Return a table that scrolls by itself where it is wider than the screen."""
    titles = el("tr", *(el("th", title, scope="col") for title in head))
    body = el("tbody", *(el("tr", *cells) for cells in rows))
    return el("div", el("table", el("thead", titles), body, class_=class_), class_="wide")


def heat(title: str, edges: Sequence[str], rows: Sequence[tuple[str, Sequence[int]]]) -> Markup:
    """Return rows of counts, the most of all cells the darkest; the counts stand there, too."""
    most = max((count for _, counts in rows for count in counts), default=0)
    shown = [
        [
            el("th", name, scope="row"),
            el("td", short_number(sum(counts)), class_="n"),
            *(el("td", short_number(c) if c else "·", class_=_shade(c, most)) for c in counts),
        ]
        for name, counts in rows
    ]
    return table([title, "all", *edges], shown, "heat")


def _shade(count: int, most: int) -> str:
    """Return the class of a cell: by the logarithm, so that 10 beside 10,000 is seen."""
    level = math.ceil(_SHADES * math.log1p(count) / math.log1p(most)) if count else 0
    return f"h{min(level, _SHADES)}"  # the quotient may be a little above 1


def window(title: str, counts: Window) -> Markup:
    """Return what went in, out and failed, one above the other, each on a scale of its own."""
    lines = []
    for kind in KINDS:
        row = counts.row(kind)
        most = el("small", "most ", short_number(max(row))) if any(row) else None
        sums = el("span", short_number(sum(row)), most, class_="sum")
        lines.append(el("div", el("span", kind), bars(kind, row), sums, class_="line"))
    middle = counts.start + counts.step * counts.buckets / 2
    times = [time.strftime("%H:%M", time.localtime(at)) for at in (counts.start, middle)]
    axis = el("div", *(el("span", each) for each in (*times, "now")), class_="axis")
    caption = el("figcaption", title, " ", el("small", "a bar is ", short_duration(counts.step)))
    return el("figure", caption, *lines, axis)


def bars(kind: str, row: Sequence[int]) -> Markup:
    """Return a drawing of counts over time, as wide as its place; of one, something is seen."""
    most = max(row)
    path = "".join(
        f"M{n} {_HIGH}v-{max(_LEAST, _HIGH * count / most):.4g}h.85V{_HIGH}z"
        for n, count in enumerate(row)
        if count
    )
    return el(
        "svg", el("path", d=path) if path else None, viewBox=f"0 0 {len(row)} {_HIGH}",
        preserveAspectRatio="none", role="img", class_=kind,
        aria_label=f"{kind}: {sum(row)}, at most {most} at once",
    )  # fmt: skip


def facts(pairs: Iterable[tuple[str, object]]) -> Markup:
    """Return a list of names and values."""
    return el("dl", join(*(join(el("dt", name), el("dd", value)) for name, value in pairs)))
