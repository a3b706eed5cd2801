"""`pq ls`: what is there, in the order it would be served."""

from __future__ import annotations

import time
from fnmatch import fnmatchcase
from itertools import chain, islice
from typing import TYPE_CHECKING, Annotated

import typer

from pq_cli.commands.common import (
    STATES_HELP,
    ColorOption,
    JsonOption,
    SpoolOption,
    check_color,
    open_spool,
    states_from,
)
from pq_cli.core.item import LIVE, Item, State, printable, valid_priority, whole
from pq_cli.core.record import Record
from pq_cli.core.tick import unheard
from pq_cli.core.timefmt import parse_duration
from pq_cli.errors import EXIT_NOTHING, EXIT_OK, UsageError
from pq_cli.messages import warn
from pq_cli.render import emit, emit_json, flush, item_columns, item_json, stdout_is_terminal
from pq_cli.render.counting import Counting

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pq_cli.core.tick import Tick
    from pq_cli.queue.verbs import Queue
    from pq_cli.render.table import Looks
    from pq_cli.render.terminal import Console


class Choice(Record):
    """Which items to list. age: seconds since created, at least; key: a glob; limit: the first."""

    states: list[State]
    priority: int | None = None
    age: float | None = None
    key: str | None = None
    limit: int | None = None

    @property
    def narrows(self) -> bool:
        """Tell whether less than the usual is asked for."""
        return self != Choice(states=_USUAL)


_USUAL = [*LIVE, State.FAILED]
_LEAST, _WIDE = 3, 80
"""Rows on a screen, however low; columns from which on the summary takes one line only."""

IMPLIED = {"--watch": "2s"}
"""Options that may stand without their value, and the value that they then have."""


def command(
    states: Annotated[
        list[str] | None, typer.Option("--state", metavar="S", help=STATES_HELP)
    ] = None,
    priority: Annotated[
        str | None, typer.Option("--priority", "-p", metavar="N", help="Only this base priority.")
    ] = None,
    older_than: Annotated[
        str | None, typer.Option("--older-than", metavar="D", help="Created more than D ago.")
    ] = None,
    key: Annotated[str | None, typer.Option("--key", metavar="GLOB", help="Key matches.")] = None,
    count: Annotated[str | None, typer.Option("-n", metavar="N", help="The first N only.")] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="All of them, also where a terminal gets a screenful.")
    ] = False,
    watch: Annotated[
        str | None, typer.Option(metavar="[=D]", help="Show it anew every D (2s); q quits.")
    ] = None,
    as_json: JsonOption = False,
    color: ColorOption = "auto",
    spool: SpoolOption = "",
) -> int:
    """List the items: active first, then pending in serving order, delayed, held, failed.

    Done items are listed with --state done. Nothing is locked or changed. A terminal gets a
    screenful, and how many more there are. In a pipe: all, tab-separated id, state, priority,
    effective, created_at, attempts, size, key, name. Exit 1: no item fits.
    """
    choice = Choice(
        states=states_from(states) if states else _USUAL,
        priority=None if priority is None else valid_priority(priority),
        age=None if older_than is None else parse_duration(older_than),
        key=key,
        limit=None if count is None else _count(count),
    )
    if watch is not None and as_json:
        raise UsageError("--watch and --json exclude each other")
    if everything and (count is not None or watch is not None):
        raise UsageError("--all excludes -n and --watch")
    check_color(color)
    interval = None if watch is None else max(0.1, parse_duration(watch))
    queue = open_spool(spool)
    if interval is not None:
        _watch(queue, choice, color, interval)
        return EXIT_OK
    if not as_json and (stdout_is_terminal() or color == "always"):
        found = _table(queue, choice, color, whole=everything or count is not None)
    else:
        found = _lines(queue, choice, as_json=as_json)
    _tell_quarantine(queue)
    return EXIT_OK if found or not choice.narrows else EXIT_NOTHING


def _tell_quarantine(queue: Queue) -> None:
    """Say what is not listed because a repair has set it aside: nothing else would say so."""
    aside = queue.quarantined()
    if aside:
        from pq_cli.core.insight.words import lie_in_quarantine

        flush()
        warn(lie_in_quarantine(aside))


def _lines(queue: Queue, choice: Choice, *, as_json: bool) -> bool:
    """Print the items for programs, as they are found; tell whether there was one."""
    item, t = None, queue.order_time()
    with Counting("items looked at") as counting:
        for item in _chosen(queue, choice, time.time(), counting.tick):
            if as_json:
                emit_json(item_json(item, queue.config, t))
            else:
                emit(item_columns(item, queue.config, t))
    return item is not None


def _count(text: str) -> int:
    number = whole(text, 15)
    if number is None:
        raise UsageError(f"-n {text!r}: give a whole number")
    return number


def _chosen(queue: Queue, choice: Choice, now: float, tick: Tick = unheard) -> Iterator[Item]:
    def fits(item: Item) -> bool:
        tick(1)
        return (
            (choice.priority is None or item.priority == choice.priority)
            and (choice.age is None or now - item.created_at >= choice.age)
            and (choice.key is None or fnmatchcase(item.key or "", choice.key))
        )

    return islice(filter(fits, queue.items(choice.states)), choice.limit)


def _table(queue: Queue, choice: Choice, color: str, *, whole: bool) -> bool:
    """Print the items as a table, a screenful unless `whole`; tell whether there was one."""
    from pq_cli.render.table import item_table, say_more, say_summary
    from pq_cli.render.terminal import console, stdout_height

    looks = _looks(queue)
    out = console(color)
    height = None if whole else stdout_height()
    with Counting("items looked at") as counting:
        items = _chosen(queue, choice, looks.now, counting.tick)
        first = next(items, None)
        paused = _show_pause(queue, out, looks.now)
        if first is None:
            warn(_nothing(queue, choice))
            return False
        page, rest = _screenful(chain([first], items), out, height, paused)
        counts = item_table(page, looks, out)
        behind = next(rest, None)
        if behind is not None:
            flush()
            shown = sum(counts.values())
            counts = _count_all(queue, choice, counts, chain([behind], rest))
            say_more(sum(counts.values()) - shown, out)
    cut = " (the first; -n)" if choice.limit == sum(counts.values()) else ""
    say_summary(counts, out, "dim", cut)
    return True


def _screenful(
    items: Iterator[Item], out: Console, height: int | None, paused: int
) -> tuple[Iterator[Item], Iterator[Item]]:
    """Split off what fits on a terminal with title, summary and prompt; height: None fits all.

    paused: lines that the pause takes.
    """
    if height is None:
        return items, iter(())
    room = max(_LEAST, height - (4 if out.width >= _WIDE else 5) - paused)
    page = list(islice(items, room + 2))
    if len(page) <= room + 1:  # the line that would say that there is more has room for the last
        return iter(page), iter(())
    return iter(page[:room]), chain(page[room:], items)


def _count_all(
    queue: Queue, choice: Choice, counts: dict[str, int], rest: Iterator[Item]
) -> dict[str, int]:
    """Return how many items of each state fit, where `counts` were shown and `rest` were not."""
    if choice == Choice(states=choice.states):  # by their names alone: nothing is opened
        return {str(state): queue.count([state]) for state in choice.states}
    for item in rest:
        counts[item.state] = counts.get(item.state, 0) + 1
    return counts


def _show_pause(queue: Queue, out: Console, now: float) -> int:
    """Tell of a pause; return how many lines that took."""
    from pq_cli.render.table import say_pause

    pause = queue.paused
    return 0 if pause is None else say_pause(pause, now, out)


def _nothing(queue: Queue, choice: Choice) -> str:
    if choice.narrows:
        return "no item fits; `pq ls` alone lists what is there"
    return f"nothing in {queue.where}; `pq enqueue` puts something in"


def _looks(queue: Queue) -> Looks:
    from pq_cli.host import command_of
    from pq_cli.render.table import Looks

    def running(item: Item) -> str | None:
        return None if item.holder is None else command_of(item.holder)

    return Looks(config=queue.config, now=time.time(), t=queue.order_time(), running=running)


def _watch(queue: Queue, choice: Choice, color: str, interval: float) -> None:
    from pq_cli.render.terminal import console
    from pq_cli.render.watch import watch

    live = _Live(queue)

    def draw(columns: int, rows: int) -> list[str]:
        out = console(color, columns)
        with out.capture() as capture:
            _picture(queue, choice, out, rows, live.count())
        return capture.get().split("\n")[:-1]

    watch(draw, interval)


class _Live:
    """Counts the live items, but at most a tenth of the time: with a million that takes seconds."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._known = 0
        self._due = 0.0

    def count(self) -> int:
        """Return how many there are, or were a little while ago."""
        began = time.monotonic()
        if began >= self._due:
            self._known = len(self._queue)
            now = time.monotonic()
            self._due = now + 10 * (now - began)
        return self._known


def _picture(queue: Queue, choice: Choice, out: Console, rows: int, live: int) -> None:
    """Draw what fits on one screen: a title, the items, how many more there are."""
    from pq_cli.core.insight.words import counted
    from pq_cli.render.table import item_table
    from pq_cli.render.terminal import say

    looks = _looks(queue)
    moment = time.strftime("%H:%M:%S", time.localtime(looks.now))
    title = f"{moment}  q quits  {counted(live, 'live item')} in {printable(queue.where)}"
    say(out, title, "dim")
    room = max(1, rows - 3 - _show_pause(queue, out, looks.now))
    items = list(islice(_chosen(queue, choice, looks.now), room + 1))
    item_table(items[:room], looks, out)
    if not items:
        say(out, _nothing(queue, choice))
    elif len(items) > room:
        say(out, "...", "dim")
