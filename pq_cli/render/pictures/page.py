"""`pq stats --html`: one page that needs nothing but itself, for any web server.

No script, no font, no picture from elsewhere, and a policy that forbids them: what a name or an
error holds is shown, never obeyed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from pq_cli import __version__
from pq_cli.core.insight.history import KINDS, WAIT_EDGES, LaneFlow, Window
from pq_cli.core.insight.words import lie_in_quarantine
from pq_cli.core.item import Item, printable
from pq_cli.core.timefmt import format_duration, format_time
from pq_cli.render.explain import sentences
from pq_cli.render.pictures.charts import bars, facts, heat, table, window
from pq_cli.render.pictures.crew import crew
from pq_cli.render.pictures.markup import Markup, el, join
from pq_cli.render.pictures.style import STYLE
from pq_cli.render.stats import AGE_TITLES, Stats
from pq_cli.render.stats import facts as told
from pq_cli.render.words import pause_line, short_duration, short_number

WAIT_TITLES = ("<1s", *(short_duration(edge) for edge in WAIT_EDGES))
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'"
_MOST_TEXT = 300


def page(stats: Stats, letters: Sequence[Item]) -> str:
    """Return the page, an HTML document. letters: some dead letters, latest first."""
    title = f"pq: {stats.path}"
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="robots", content="noindex"),
        el("meta", name="referrer", content="no-referrer"),
        el("link", rel="icon", href="data:,"),
        el("title", title),
        el("style", STYLE),
    )
    body = el("body", *_body(stats, letters))
    return "<!DOCTYPE html>\n" + el("html", head, body, lang="en") + "\n"


def _body(stats: Stats, letters: Sequence[Item]) -> Iterator[Markup]:
    yield el("header", el("h1", printable(stats.path)), el("p", "As of ", _when(stats.now)))
    for alarm in _alarms(stats):
        yield el("p", alarm, class_="alarm")
    yield el("ul", *_tiles(stats), class_="tiles")
    yield _section("Waiting, by lane and age", _lanes(stats))
    yield _section("In, out and failed", _over_time(stats))
    yield _section("How long items waited", _waits(stats))
    yield _section("Workers", crew(stats.workers, stats.now))
    yield _section("Dead letters", _letters(stats, letters))
    yield el("footer", "Made by pq ", __version__, ". ", _reach(stats))


def _section(title: str, content: Markup) -> Markup:
    return el("section", el("h2", title), content)


def _when(at: float) -> Markup:
    zone = time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(at))
    return el("time", zone, datetime=format_time(at))


def _alarms(stats: Stats) -> Iterator[str]:
    """Yield what somebody should do something about."""
    if stats.pause is not None:
        yield pause_line(stats.pause, stats.now)
    yield from sentences(stats.trouble, stats.now)
    starving = sum(lane.starving for lane in stats.lanes)
    if starving:
        yield f"{starving:,} at the aging cap and still waiting"
    if stats.quarantined:
        yield lie_in_quarantine(stats.quarantined)


def _tiles(stats: Stats) -> Iterator[Markup]:
    for state, count in stats.counts.items():
        if count or state != "done":  # which nobody keeps, unless queue.toml says so
            bad = "bad" if state == "failed" and count else None
            yield el("li", el("b", f"{count:,}"), state, class_=bad)


def _lanes(stats: Stats) -> Markup:
    if not stats.lanes:
        return el("p", "Nothing waits.", class_="dim")
    said = [(title, text) for title, text, _ in told(stats) if title in ("oldest", "next due")]
    rows = [(str(lane.priority), lane.buckets) for lane in stats.lanes]
    return join(heat("lane", AGE_TITLES, rows), facts(said))


def _over_time(stats: Stats) -> Markup:
    history = stats.history
    lanes = history.day.lanes()
    if not lanes:
        return el("p", "Nothing moved in the last day.", class_="dim")
    windows = el(
        "div", window("Last hour", history.hour), window("Last day", history.day), class_="pair"
    )
    rows = [[el("th", lane, scope="row"), *_moved(history.day, lane)] for lane in lanes]
    head = ["lane", *(f"{kind}, last day" for kind in KINDS)]
    return join(windows, table(head, rows, "lanes"))


def _moved(day: Window, lane: int) -> Iterator[Markup]:
    for kind in KINDS:
        row = day.row(kind, lane)
        yield el("td", bars(kind, row), el("small", short_number(sum(row))))


def _waits(stats: Stats) -> Markup:
    history = stats.history
    if not history.waits and not history.flows:
        return el("p", "Nothing was taken by a worker in the last day.", class_="dim")
    rows = [(str(lane), counts) for lane, counts in history.waits.items()]
    day = heat("lane", WAIT_TITLES, rows) if rows else None
    flows = [_flow(flow) for flow in history.flows]
    head = ("lane", "done", "failed", "wait", "95 %", "work")
    hour = table(head, flows, "few") if flows else None
    return join(
        el("p", "Items by the time until a worker took them, last day:", class_="dim"), day,
        el("p", "Last hour, medians:", class_="dim") if hour else None, hour,
    )  # fmt: skip


def _flow(flow: LaneFlow) -> list[Markup]:
    times = (flow.waited_median, flow.waited_p95, flow.took_median)
    return [
        el("th", flow.priority, scope="row"),
        el("td", short_number(flow.done), class_="w"),
        el("td", short_number(flow.failed), class_="w"),
        *(el("td", "·" if t is None else format_duration(t), class_="w") for t in times),
    ]


def _letters(stats: Stats, letters: Sequence[Item]) -> Markup:
    if not letters:
        return el("p", "None.", class_="dim")
    errors = [
        [el("td", f"{count:,}", class_="n"), el("td", _error(error))]
        for error, count in stats.errors
    ]
    latest = [
        [
            el("td", item.id, class_="w"),
            el("td", printable(item.name or item.key or "", _MOST_TEXT)),
            el("td", _error(item.last_error), " ", el("small", f"{short_duration(age)} ago")),
        ]
        for item in letters
        for age in [stats.now - item.updated_at]
    ]
    left = stats.counts["failed"] - len(letters)
    return join(
        el("p", "The commonest errors:", class_="dim"),
        table(("how many", "error"), errors, "list"),
        el("p", "The latest:", class_="dim"),
        table(("id", "name", "error"), latest, "list"),
        el("p", f"and {left:,} more: pq ls --state failed", class_="dim") if left > 0 else None,
    )


def _error(error: str | None) -> str:
    return printable(error or "no error was given", _MOST_TEXT)


def _reach(stats: Stats) -> Markup:
    since = stats.history.since
    if since is None:
        return join("The log tells nothing of the last day.")
    return join("What was, is from the log; it begins ", _when(since), ".")
