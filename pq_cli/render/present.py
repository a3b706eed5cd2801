"""The one choice of how a result is shown: JSON, a table for people, or columns for a pipe."""

from __future__ import annotations

from itertools import chain, islice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, TypeVar

    from pq_cli.render.terminal import Console
    from pq_cli.screen import Screen

    T = TypeVar("T")


def present(
    things: Iterable[T],
    screen: Screen,
    *,
    line: Callable[[T], str],
    table: Callable[[Iterable[T], Console], object] | None = None,
    record: Callable[[T], Any] = lambda thing: thing,
    as_json: bool = False,
    color: str = "auto",
    nothing: str = "",
) -> None:
    """Print things as they come: as JSON Lines if asked for, else for who reads stdout.

    record, line: make of one thing a JSON object, and what a pipe gets. table: draws them all for
    people, on a terminal and wherever color is "always"; without it they get lines. nothing: what
    people are told instead of an empty table.
    """
    if as_json:
        for thing in things:
            screen.emit_json(record(thing))
    elif table is not None and (color == "always" or screen.is_terminal()):
        from pq_cli.render.terminal import console

        rest = iter(things)
        first = list(islice(rest, 1))
        if nothing and not first:
            screen.warn(nothing)
        else:
            table(chain(first, rest), console(screen, color))
    else:
        for thing in things:
            screen.emit(line(thing))
