"""The page's workers: who is there, at what, on how many of its slots, and on what it works."""

from __future__ import annotations

from collections.abc import Sequence

from pq_cli.core.insight.workers import Worker
from pq_cli.core.item import Item, printable
from pq_cli.render.pictures.charts import facts, table
from pq_cli.render.pictures.markup import Markup, el, join
from pq_cli.render.words import short_duration
from pq_cli.render.workers import (
    slots_taken,
    worker_name,
    worker_program,
    worker_state,
    workers_line,
)

_MOST = 25
"""Workers that are shown, and items of each."""
_MOST_TEXT = 120


def crew(workers: Sequence[Worker], now: float) -> Markup:
    """Return the workers as a table, with one line that sums them up."""
    if not workers:
        return el("p", "Nobody is working on anything.", class_="dim")
    rows = [
        [el("td", *_who(w, now)), el("td", *_state(w, now)), el("td", *_items(w, now))]
        for w in workers[:_MOST]
    ]
    left = len(workers) - len(rows)
    return join(
        table(("worker", "at", "works on"), rows, "list"),
        el("p", f"and {left:,} more: pq workers", class_="dim") if left else None,
        facts([("in all", workers_line(workers, now))]),
    )


def _who(worker: Worker, now: float) -> list[object]:
    # The program alone: its arguments may hold what is for nobody who reads a page.
    said = (worker_program(worker), f"for {short_duration(now - worker.since)}")
    return [worker_name(worker), " ", el("small", " ".join(filter(None, said)))]


def _state(worker: Worker, now: float) -> list[object]:
    bad = "bad" if not worker.at_work(now) else None
    slots = None if worker.duty.slots is None else f"{slots_taken(worker)} slots"
    return [el("span", worker_state(worker, now), class_=bad), " ", el("small", slots)]


def _items(worker: Worker, now: float) -> list[object]:
    claims = worker.claims()
    shown = [
        el("div", _called(item), " ", el("small", f"for {short_duration(now - at)}"))
        for item, at in claims[:_MOST]
    ]
    left = len(claims) - len(shown)
    more = el("small", f"and {left:,} more: pq ls --state active") if left else None
    return [*shown, more] if shown else ["·"]


def _called(item: Item) -> str:
    return f"{item.claim} {printable(item.name or item.key or '', _MOST_TEXT)}".rstrip()
