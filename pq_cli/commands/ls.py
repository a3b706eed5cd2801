"""`pq ls`: what is there, in the order it would be served."""

from __future__ import annotations

import time
from fnmatch import fnmatchcase
from itertools import chain, islice
from typing import TYPE_CHECKING

from pq_cli.commands.common import check_color, count_from, states_from
from pq_cli.commands.spools import open_spool
from pq_cli.core.item import LIVE, Item, State, printable, valid_priority
from pq_cli.core.record import Record
from pq_cli.core.timefmt import parse_duration
from pq_cli.errors import EXIT_NOTHING, EXIT_OK, UsageError
from pq_cli.options import AS_JSON, COLOR, STATES, LookOptions, flag, option
from pq_cli.render.counting import Counting
from pq_cli.render.plain import item_columns, item_json
from pq_cli.render.present import present
from pq_cli.screen import Screen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pq_cli.queue.verbs import Queue
    from pq_cli.render.table import Scene
    from pq_cli.render.terminal import Console


class LsOptions(LookOptions):
    """The command line of `pq ls`, as typed."""

    states: tuple[str, ...] = STATES
    priority: str | None = option("--priority", "-p", metavar="N", help="Only this base priority.")
    older_than: str | None = option("--older-than", metavar="D", help="Created more than D ago.")
    key: str | None = option("--key", metavar="GLOB", help="Key matches.")
    count: str | None = option("-n", metavar="N", help="The first N only.")
    everything: bool = flag("--all", help="All of them, also where a terminal gets a screenful.")
    watch: str | None = option(
        "--watch", metavar="[=D]", implied="2s", help="Show it anew every D (2s); q quits."
    )
    as_json: bool = AS_JSON
    color: str = COLOR


OPTIONS = LsOptions


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


def command(o: LsOptions, screen: Screen) -> int:
    """List the items: active first, then pending in serving order, delayed, held, failed.

    Done items are listed with --state done. Nothing is locked or changed. A terminal gets a
    screenful, and how many more there are. In a pipe: all, tab-separated id, state, priority,
    effective, created_at, attempts, size, key, name. Exit 1: no item fits.
    """
    choice = Choice(
        states=states_from(o.states) if o.states else _USUAL,
        priority=None if o.priority is None else valid_priority(o.priority),
        age=None if o.older_than is None else parse_duration(o.older_than),
        key=o.key,
        limit=count_from(o.count),
    )
    if o.watch is not None and o.as_json:
        raise UsageError("--watch and --json exclude each other")
    if o.everything and (o.count is not None or o.watch is not None):
        raise UsageError("--all excludes -n and --watch")
    check_color(o.color)
    interval = None if o.watch is None else max(0.1, parse_duration(o.watch))
    queue = open_spool(o, screen)
    if interval is not None:
        _watch(queue, choice, o.color, interval, screen)
        return EXIT_OK
    found = _list(queue, choice, o, screen)
    _tell_quarantine(queue, screen)
    return EXIT_OK if found or not choice.narrows else EXIT_NOTHING


def _tell_quarantine(queue: Queue, screen: Screen) -> None:
    """Say what is not listed because a repair has set it aside: nothing else would say so."""
    aside = queue.quarantined()
    if aside:
        from pq_cli.core.insight.words import lie_in_quarantine

        screen.flush()
        screen.warn(lie_in_quarantine(aside))


def _list(queue: Queue, choice: Choice, o: LsOptions, screen: Screen) -> bool:
    """Print the items as they are found; tell whether there was one."""
    now, t = queue.now(), queue.order_time()
    found = False

    def items() -> Iterator[Item]:
        nonlocal found
        looked_at = counting.over(queue.items(choice.states))
        for item in _chosen(looked_at, choice, now):
            found = True
            yield item

    def table(items: Iterable[Item], out: Console) -> None:
        height = None if o.everything or o.count is not None else _height()
        if not _table(queue, choice, iter(items), out, height):
            screen.warn(_nothing(queue, choice))

    with Counting(screen, "items looked at") as counting:
        present(
            items(),
            screen,
            as_json=o.as_json,
            color=o.color,
            record=lambda item: item_json(item, queue.config, t),
            line=lambda item: item_columns(item, queue.config, t),
            table=table,
        )
    return found


def _chosen(items: Iterable[Item], choice: Choice, now: float) -> Iterator[Item]:
    def fits(item: Item) -> bool:
        return (
            (choice.priority is None or item.priority == choice.priority)
            and (choice.age is None or now - item.created_at >= choice.age)
            and (choice.key is None or fnmatchcase(item.key or "", choice.key))
        )

    return islice(filter(fits, items), choice.limit)


def _table(
    queue: Queue, choice: Choice, items: Iterator[Item], out: Console, height: int | None
) -> bool:
    """Print the items as a table, what fits into `height`; tell whether there was one."""
    from pq_cli.render.table import item_table, say_more, say_summary

    scene = _scene(queue)
    first = next(items, None)
    paused = _show_pause(queue, out, scene.now)
    if first is None:
        return False
    page, rest = _screenful(chain([first], items), out, height, paused)
    counts = item_table(page, scene, out)
    behind = next(rest, None)
    if behind is not None:
        out.file.flush()
        shown = sum(counts.values())
        counts = _count_all(queue, choice, counts, chain([behind], rest))
        say_more(sum(counts.values()) - shown, out)
    cut = " (the first; -n)" if choice.limit == sum(counts.values()) else ""
    say_summary(counts, out, "dim", cut)
    return True


def _height() -> int | None:
    from pq_cli.render.terminal import stdout_height

    return stdout_height()


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


def _scene(queue: Queue) -> Scene:
    from pq_cli.host import command_of
    from pq_cli.render.table import Scene

    def running(item: Item) -> str | None:
        return None if item.holder is None else command_of(item.holder)

    return Scene(config=queue.config, now=queue.now(), t=queue.order_time(), running=running)


def _watch(queue: Queue, choice: Choice, color: str, interval: float, screen: Screen) -> None:
    from pq_cli.render.terminal import console
    from pq_cli.render.watch import watch

    live = _Live(queue)

    def draw(columns: int, rows: int) -> list[str]:
        out = console(screen, color, columns)
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

    scene = _scene(queue)
    moment = time.strftime("%H:%M:%S", time.localtime(scene.now))
    title = f"{moment}  q quits  {counted(live, 'live item')} in {printable(queue.where)}"
    say(out, title, "dim")
    room = max(1, rows - 3 - _show_pause(queue, out, scene.now))
    items = list(islice(_chosen(queue.items(choice.states), choice, scene.now), room + 1))
    item_table(items[:room], scene, out)
    if not items:
        say(out, _nothing(queue, choice))
    elif len(items) > room:
        say(out, "...", "dim")
