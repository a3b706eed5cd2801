"""`pq ls`: what is there, in the order it would be served."""

from __future__ import annotations

import time
from fnmatch import fnmatchcase
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from pq_cli.commands.common import JsonOption, SpoolOption, open_spool, states_from
from pq_cli.core.item import LIVE, Item, State, valid_priority
from pq_cli.core.timefmt import parse_duration
from pq_cli.errors import UsageError
from pq_cli.messages import warn
from pq_cli.render import (
    emit,
    emit_json,
    item_columns,
    item_json,
    item_table,
    stdout_is_terminal,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def command(
    states: Annotated[
        list[str] | None, typer.Option("--state", metavar="S", help="May be repeated.")
    ] = None,
    priority: Annotated[
        str | None, typer.Option("--priority", "-p", metavar="N", help="Only this base priority.")
    ] = None,
    older_than: Annotated[
        str | None, typer.Option("--older-than", metavar="D", help="Created more than D ago.")
    ] = None,
    key: Annotated[str | None, typer.Option("--key", metavar="GLOB", help="Key matches.")] = None,
    count: Annotated[str | None, typer.Option("-n", metavar="N", help="The first N only.")] = None,
    as_json: JsonOption = False,
    color: Annotated[str, typer.Option(metavar="WHEN", help="auto, always or never.")] = "auto",
    spool: SpoolOption = "",
) -> int:
    """List the items: active first, then pending in serving order, delayed, held, failed.

    Done items are listed with --state done. Nothing is locked or changed. In a pipe: tab-separated
    id, state, priority, effective, created_at, attempts, size, key, name.
    """
    if color not in ("auto", "always", "never"):
        raise UsageError(f"--color {color!r}: allowed is auto, always, never")
    wanted = states_from(states) if states else [*LIVE, State.FAILED]
    base = None if priority is None else valid_priority(priority)
    age = None if older_than is None else parse_duration(older_than)
    limit = None if count is None else _count(count)
    queue = open_spool(spool)
    now = time.time()
    items = islice(_chosen(queue.items(wanted), base, age, key, now), limit)
    t = queue.order_time()
    if as_json:
        for item in items:
            emit_json(item_json(item, queue.config, t))
    elif stdout_is_terminal():
        _as_table(items, queue.config, now, t, color)
    else:
        for item in items:
            emit(item_columns(item, queue.config, t))
    return 0


def _as_table(items: Iterator[Item], config: object, now: float, t: float, color: str) -> None:
    first = next(items, None)
    if first is None:
        warn("nothing there")
        return
    from itertools import chain

    item_table(chain([first], items), config, now, t, color)  # type: ignore[arg-type]


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise UsageError(f"-n {text!r}: give a whole number")
    return int(text)


def _chosen(
    items: Iterable[Item], base: int | None, age: float | None, key: str | None, now: float
) -> Iterator[Item]:
    for item in items:
        if base is not None and item.priority != base:
            continue
        if age is not None and now - item.created_at < age:
            continue
        if key is not None and (item.key is None or not fnmatchcase(item.key, key)):
            continue
        yield item
