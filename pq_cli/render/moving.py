"""Many items on the move: a line of a plan."""

from __future__ import annotations

from pq_cli.core.item import printable

_PLAN_WIDTHS = (7, 14, 3, 27, 3, 12)


def plan_line(columns: tuple[str, ...], *, aligned: bool) -> str:
    """Return a line of a migration's plan: in columns for people, else separated by tabs.

    A line is made by itself, so a plan of a million lines needs the memory of one.
    """
    clean = [printable(column) for column in columns]
    if not aligned:
        return "\t".join(clean)
    padded = [text.ljust(width) for text, width in zip(clean, _PLAN_WIDTHS, strict=False)]
    return "  ".join([*padded, clean[-1]])
