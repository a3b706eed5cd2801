"""How a result is shown, the one choice: JSON, a table for people, or columns for a pipe.

And what an item is in columns and in JSON.
"""

from __future__ import annotations

from itertools import chain, islice

from pq_cli.core.item import Item, printable
from pq_cli.core.jsonio import to_json
from pq_cli.core.meta import as_dict
from pq_cli.core.order import effective
from pq_cli.core.policy import QueueConfig
from pq_cli.core.timefmt import format_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
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
) -> bool:
    """Print things as they come: as JSON Lines if asked for, else for who reads stdout.

    Returns whether there was any.

    record, line: make of one thing a JSON object, and what a pipe gets. table: draws them all for
    people, on a terminal and wherever color is "always"; without it they get lines. nothing: what
    people are told instead of an empty table.
    """
    found = False
    if as_json:
        for thing in things:
            found = True
            screen.emit_json(record(thing))
    elif table is not None and (color == "always" or screen.is_terminal()):
        from pq_cli.render.terminal import console

        rest = iter(things)
        first = list(islice(rest, 1))
        found = bool(first)
        if nothing and not found:
            screen.warn(nothing)
        else:
            table(chain(first, rest), console(screen, color))
    else:
        for thing in things:
            found = True
            screen.emit(line(thing))
    return found


NOT_TEXT = "not text, and this is a terminal"


def item_json(item: Item, config: QueueConfig, t: float) -> dict[str, Any]:
    """Return an item as `--json` shows it: the meta's names, with `effective` and `path`.

    Of a removed item also what it `was`, and the time until which it is kept.
    """
    values = as_dict(item)
    if item.was is not None and item.kept_until is not None:
        values |= {"was": item.was.value, "kept_until": format_time(item.kept_until)}
    values["path"] = item.path
    values["effective"] = effective(config, item.priority, item.created_at, t)
    return values


def item_columns(item: Item, config: QueueConfig, t: float) -> str:
    """Return the tab-separated columns of `pq ls` in a pipe.

    id, state, priority, effective, created_at, attempts, size, key, name; absent ones are empty.
    """
    columns = (
        item.id, item.state, item.priority, effective(config, item.priority, item.created_at, t),
        format_time(item.created_at), item.attempts, item.size,
        *("" if text is None else printable(text) for text in (item.key, item.name)),
    )  # fmt: skip
    return "\t".join(map(str, columns))


def fields_of(values: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """Yield (field, value) of everything that is known about an item, escaped."""
    for name, value in values.items():
        if value is None or value is False or value == {} or value == []:
            continue
        text = value if isinstance(value, str) else to_json(value).decode()
        yield name, printable(text)
