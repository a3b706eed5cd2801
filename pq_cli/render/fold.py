"""Text in lines of so many columns: broken at spaces, else within a word; wide characters are two.

`textwrap` counts characters, so that lines of wide ones would be cut off.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

LEAST = 20
"""Columns that are used at least, however narrow the terminal."""
_JOINT = re.compile(r"[^-/_.,]*[-/_.,]|[^-/_.,]+")


def fold(text: str, width: int | None, first: str = "", rest: str = "") -> list[str]:
    """Return a text in lines of at most `width` columns (LEAST at least); at least one line.

    first, rest: what the first line begins with, and the others. width: None for one line.
    """
    if width is None:
        return [first + text]
    from rich.cells import cell_len

    width = max(LEAST, width)
    lines: list[str] = []
    line, used = first, cell_len(first)
    for gap, word in re.findall(r"( *)([^ ]+)", text):
        before = gap
        for piece in _pieces(word, width - cell_len(rest)):
            if used + len(before) + cell_len(piece) > width:
                lines.append(line)
                line, used, before = rest, cell_len(rest), ""
            line += before + piece
            used += len(before) + cell_len(piece)
            before = ""
    return [*lines, line]


def _pieces(word: str, width: int) -> Iterator[str]:
    """Yield a word in pieces that fit into `width` columns: whole, in its parts, or cut."""
    from rich.cells import cell_len, chop_cells

    if cell_len(word) <= width:
        yield word
        return
    for part in _JOINT.findall(word):
        yield from chop_cells(part, width)
