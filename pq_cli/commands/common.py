"""What several commands ask of their options."""

from __future__ import annotations

from pq_cli.core.item import State, printable, whole
from pq_cli.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def check_color(color: str) -> None:
    """Raise UsageError unless `--color` is one of those allowed."""
    from pq_cli.render.terminal import COLORS

    if color not in COLORS:
        raise UsageError(f"--color {color!r}: allowed is {', '.join(COLORS)}")


def count_from(text: str | None, digits: int = 15) -> int | None:
    """Return the number of `-n`, None when it was not given."""
    number = None if text is None else whole(text, digits)
    if text is not None and number is None:
        raise UsageError(f"-n {text!r}: give a whole number")
    return number


def states_from(names: Iterable[str]) -> list[State]:
    """Return the states of `--state` options; each may hold several with commas."""
    wanted = []
    for name in (part for text in names for part in text.split(",")):
        if name not in [str(state) for state in State]:
            raise UsageError(f"--state {printable(name)!r}: allowed is {', '.join(State)}")
        wanted.append(State(name))
    return wanted
