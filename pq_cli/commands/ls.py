"""`pq ls`: what is there, in the order it would be served."""

from __future__ import annotations

import time
from functools import partial
from itertools import chain, islice
from typing import TYPE_CHECKING

from pq_cli.commands.spools import open_spool
from pq_cli.core.item import LIVE, Item, State, printable
from pq_cli.core.selection import EVERYTHING
from pq_cli.core.timefmt import parse_duration
from pq_cli.errors import EXIT_NOTHING, EXIT_OK, UsageError
from pq_cli.options import AS_JSON, COLOR, SelectOptions, number, option
from pq_cli.render.present import item_columns, item_json, present
from pq_cli.screen import Screen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pq_cli.queue.verbs import Queue
    from pq_cli.render.table import Scene
    from pq_cli.render.terminal import Console


_USUAL = (*LIVE, State.FAILED)
_LEAST, _WIDE = 3, 80
"""Rows on a screen, however low; columns from which on the summary takes one line only."""


class LsOptions(SelectOptions):
    """The command line of `pq ls`, as typed."""

    count: int | None = option("-n N", "The first N only.", read=number(0, 10**15))
    everything: bool = option("--all", "All of them, also where a terminal gets a screenful.")
    watch: float | None = option(
        "--watch [=D]",
        "Show it anew every D (2s); q quits.",
        implied="2s",
        read=lambda text: max(0.1, parse_duration(text)),
    )
    ids: bool = option("-q, --ids", "Print ids only.")
    as_json: bool = AS_JSON
    color: str = COLOR

    @property
    def wanted(self) -> tuple[State, ...]:
        """The states that are listed."""
        return self.states or _USUAL

    @property
    def picks(self) -> bool:
        """Whether not all items of these states are asked for."""
        return self.count is not None or self.selection().picks

    @property
    def narrows(self) -> bool:
        """Whether less than the usual is asked for."""
        return self.picks or self.wanted != _USUAL


def command(o: LsOptions, screen: Screen) -> int:
    """List the items: active first, then pending in serving order, delayed, held, failed.

    Done items are listed with --state done. Nothing is locked or changed. A terminal gets a
    screenful, and how many more there are. In a pipe: all, tab-separated id, state, priority,
    effective, created_at, attempts, size, key, name. Exit 1: no item fits.
    """
    if o.watch is not None and o.as_json:
        raise UsageError("--watch and --json exclude each other")
    if o.ids and (o.watch is not None or o.as_json):
        raise UsageError("-q excludes --watch and --json")
    if o.everything and (o.count is not None or o.watch is not None):
        raise UsageError("--all excludes -n and --watch")
    queue = open_spool(o, screen)
    if o.watch is not None:
        _watch(queue, o, o.watch, screen)
        return EXIT_OK
    found = _list(queue, o, screen)
    _tell_rest(queue, screen)
    return EXIT_OK if found or not o.narrows else EXIT_NOTHING


def _tell_rest(queue: Queue, screen: Screen) -> None:
    """Say what is not listed because it is no item, yet or any more: nothing else would say so."""
    aside, dropped = queue.quarantined(), queue.dropped()
    if aside or dropped:
        from pq_cli.core.insight.words import lie_in_quarantine, wait_in_new

        screen.flush()
        for number, words in ((dropped, wait_in_new), (aside, lie_in_quarantine)):
            if number:
                screen.warn(words(number))


def _list(queue: Queue, o: LsOptions, screen: Screen) -> bool:
    """Print the items as they are found; tell whether there was one."""
    now, t = queue.now(), queue.order_time()
    items: Iterable[Item] = queue.items(o.wanted)
    if screen.shows_progress():
        from pq_cli.render.counting import counted  # start-up: scripts are not looked at

        items = counted(items, screen, "items looked at")

    def table(items: Iterable[Item], out: Console) -> None:
        if not _table(queue, o, iter(items), out):
            screen.warn(_nothing(queue, o))

    columns = partial(item_columns, config=queue.config, t=t)
    return present(
        _chosen(items, o, now),
        screen,
        as_json=o.as_json,
        color=o.color,
        record=partial(item_json, config=queue.config, t=t),
        line=(lambda item: str(item.id)) if o.ids else columns,
        table=None if o.ids else table,
    )


def _chosen(items: Iterable[Item], o: LsOptions, now: float) -> Iterator[Item]:
    chosen = o.selection(states=())
    if chosen != EVERYTHING:
        items = (item for item in items if chosen.fits(item, now))
    return islice(items, o.count)


def _table(queue: Queue, o: LsOptions, items: Iterator[Item], out: Console) -> bool:
    """Print the items as a table, a screenful unless more is wanted; tell whether there was one."""
    from pq_cli.render.table import item_table, say_standstill, say_summary
    from pq_cli.render.terminal import say, stdout_height

    height = None if o.everything or o.count is not None else stdout_height()
    scene = _scene(queue)
    first = next(items, None)
    told = say_standstill(queue.paused, scene.trouble, scene.now, out)
    if first is None:
        return False
    page, rest = _screenful(chain([first], items), out, height, told)
    counts = item_table(page, scene, out)
    behind = next(rest, None)
    if behind is not None:
        out.file.flush()
        shown = sum(counts.values())
        counts = _count_all(queue, o, counts, chain([behind], rest))
        say(out, f"... {sum(counts.values()) - shown:,} more (--all, -n N)", "dim")
    cut = " (the first; -n)" if o.count == sum(counts.values()) else ""
    say_summary(counts, out, "dim", cut)
    return True


def _screenful(
    items: Iterator[Item], out: Console, height: int | None, told: int
) -> tuple[Iterator[Item], Iterator[Item]]:
    """Split off what fits on a terminal with title, summary and prompt; height: None fits all.

    told: lines above them that say why nothing goes on.
    """
    if height is None:
        return items, iter(())
    room = max(_LEAST, height - (4 if out.width >= _WIDE else 5) - told)
    page = list(islice(items, room + 2))
    if len(page) <= room + 1:  # the line that would say that there is more has room for the last
        return iter(page), iter(())
    return iter(page[:room]), chain(page[room:], items)


def _count_all(
    queue: Queue, o: LsOptions, counts: dict[str, int], rest: Iterator[Item]
) -> dict[str, int]:
    """Return how many items of each state fit, where `counts` were shown and `rest` were not."""
    if not o.picks:  # by their names alone: nothing is opened
        return {str(state): queue.count([state]) for state in o.wanted}
    for item in rest:
        counts[item.state] = counts.get(item.state, 0) + 1
    return counts


def _nothing(queue: Queue, o: LsOptions) -> str:
    if o.narrows:
        return "no item fits; `pq ls` alone lists what is there"
    return f"nothing in {queue.where}; `pq enqueue` puts something in"


def _scene(queue: Queue) -> Scene:
    from pq_cli.host import command_of
    from pq_cli.render.table import Scene

    def running(item: Item) -> str | None:
        return None if item.holder is None else command_of(item.holder)

    return Scene(
        config=queue.config, now=queue.now(), t=queue.order_time(), running=running,
        trouble=queue.trouble(),
    )  # fmt: skip


def _watch(queue: Queue, o: LsOptions, interval: float, screen: Screen) -> None:
    from pq_cli.render.terminal import console
    from pq_cli.render.watch import watch

    live, due = 0, 0.0

    def draw(columns: int, rows: int) -> list[str]:
        nonlocal live, due
        began = time.monotonic()
        if began >= due:  # at most a tenth of the time: with a million it takes seconds
            live = len(queue)
            now = time.monotonic()
            due = now + 10 * (now - began)
        out = console(screen, o.color, columns)
        with out.capture() as capture:
            _picture(queue, o, out, rows, live)
        return capture.get().split("\n")[:-1]

    watch(draw, interval)


def _picture(queue: Queue, o: LsOptions, out: Console, rows: int, live: int) -> None:
    """Draw what fits on one screen: a title, the items, how many more there are."""
    from pq_cli.core.insight.words import counted
    from pq_cli.render.table import item_table, say_standstill
    from pq_cli.render.terminal import say

    scene = _scene(queue)
    moment = time.strftime("%H:%M:%S", time.localtime(scene.now))
    title = f"{moment}  q quits  {counted(live, 'live item')} in {printable(queue.where)}"
    say(out, title, "dim")
    told = say_standstill(queue.paused, scene.trouble, scene.now, out)
    room = max(1, rows - 3 - told)
    items = list(islice(_chosen(queue.items(o.wanted), o, scene.now), room + 1))
    item_table(items[:room], scene, out)
    if not items:
        say(out, _nothing(queue, o))
    elif len(items) > room:
        say(out, "...", "dim")
