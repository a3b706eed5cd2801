"""The table of `pq ls` on a terminal: fits any width, streams, and ends in a summary.

Columns are as wide as the first page of rows needs and only grow from page to page, so a queue
of a million items begins to appear at once.
"""

from __future__ import annotations

from collections import Counter
from itertools import islice

from pq_cli.core.insight.words import counted, human_size
from pq_cli.core.item import Item, printable
from pq_cli.core.order import effective
from pq_cli.core.record import Record
from pq_cli.render.explain import sentences
from pq_cli.render.fold import fold
from pq_cli.render.terminal import NARROW, STATE_STYLE, Cell, column_widths, gap_on, print_row, say
from pq_cli.render.words import pause_line, short_duration, whole_duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from pq_cli.core.insight.explain import Reason
    from pq_cli.core.policy import Pause, QueueConfig
    from pq_cli.render.terminal import Console

_PAGE = 200
_TITLES = ("ID", "STATE", "PRI", "AGE", "TRY", "SIZE", "NAME", "")
_RIGHT = (0, 3, 4, 5)
_SLIM = 64
"""Below so many columns SIZE is left out; on a narrow terminal TRY and the second unit of AGE."""
_LEAST_NOTE = 16
_URGENT = 2


class Scene(Record):
    """What the rows of a listing depend on besides the items.

    now: Unix seconds; t: the time at which order is computed. running: says what a claim's
    process is running, or None when that cannot be known. trouble: see `Looking.trouble`.
    """

    config: QueueConfig
    now: float
    t: float
    running: Callable[[Item], str | None]
    trouble: Sequence[Reason] = ()


def item_table(items: Iterable[Item], scene: Scene, out: Console) -> dict[str, int]:
    """Print items as a table as wide as `out`; return how many there were of each state."""
    counts = Counter[str]()
    titles: list[Cell] = [(title, "bold") for title in _TITLES]
    longest = [0] * len(titles)
    rest = iter(items)
    while page := list(islice(rest, _PAGE)):
        rows = [] if counts else [titles]
        rows += [_row(item, scene, out.width) for item in page]
        longest = list(map(max, longest, column_widths(rows)))
        widths = _widths(longest, out)
        for row in rows:
            print_row(out, row, widths, _RIGHT, gap_on(out))
        counts.update(item.state for item in page)
    return counts


def _widths(longest: list[int], out: Console) -> list[int]:
    """Return the columns' widths: the last two, name and note, share what the others leave."""
    fixed, width, gap = longest[:6], out.width, gap_on(out)
    if width < NARROW:
        fixed[4] = 0
    if width < _SLIM:
        fixed[5] = 0
    left = max(4, width - sum(w + gap for w in fixed if w))
    name, note = longest[6], longest[7]
    if name + gap + note > left:
        name = min(name, max(left - gap - note, (left - gap) // 2))
        note = left - gap - name
        if note < _LEAST_NOTE:
            name, note = left, 0
    return [*fixed, name, note]


def _row(item: Item, scene: Scene, width: int) -> list[Cell]:
    now_at = effective(scene.config, item.priority, item.created_at, scene.t)
    pri = str(item.priority) if now_at == item.priority else f"{item.priority}→{now_at}"
    waits = item.state == "pending"
    age = scene.now - item.created_at
    return [
        str(item.id),
        (str(item.state), STATE_STYLE[item.state]),
        (pri, "bold yellow" if waits and now_at <= _URGENT else ""),
        short_duration(age) if width < NARROW else whole_duration(age),
        f"{item.attempts}/{item.max_attempts}",
        human_size(item.size),
        printable(item.name or item.key or ""),
        (_note(item, scene), "red" if item.state == "failed" else "dim"),
    ]


def _note(item: Item, scene: Scene) -> str:
    """Return what matters about an item in its state: who, since when, until when, why."""
    now = scene.now
    if item.state == "active":
        return _claim_note(item, scene)
    if item.state == "delayed" and item.not_before is not None:
        due = f"in {whole_duration(max(1.0, item.not_before - now))}"
        return f"{due}, after: {printable(item.last_error)}" if item.last_error else due
    if item.state == "held":
        return f"since {short_duration(now - item.updated_at)}"
    return printable(item.last_error or "")


def _claim_note(item: Item, scene: Scene) -> str:
    if item.holder is None or item.lease_until is None:
        return "just being claimed"
    left = item.lease_until - scene.now
    lease = f"lease {short_duration(left)}" if left > 0 else "lease is over"
    who = f"{printable(item.holder.host)}:{item.holder.pid}"
    since = short_duration(scene.now - item.holder.since)
    command = scene.running(item) or ""
    # Of `pq run -j 4 -- ./upload` people want to see ./upload, on a narrow terminal above all.
    what = printable(command.partition(" -- ")[2] or command)
    if any(r.kind == "died" and r.values["lock"] == item.holder.lock for r in scene.trouble):
        return f"{since}, but {who} died"
    return f"{since}{f': {what},' if what else ''} by {who}, {lease}"


def say_standstill(pause: Pause | None, trouble: Iterable[Reason], now: float, out: Console) -> int:
    """Print why nothing goes on, a pause or no worker, on as many lines as it returns."""
    why = [] if pause is None else [pause_line(pause, now)]
    return sum(_say(text, out, "bold") for text in [*why, *sentences(trouble, now)])


def say_summary(counts: Mapping[str, int], out: Console, style: str = "", end: str = "") -> None:
    """Print how many items, and how many of each state, with `end` behind it."""
    total = counted(sum(counts.values()), "item")
    parts = [f"{counts[state]:,} {state}" for state in STATE_STYLE if counts.get(state)]
    _say((f"{total}: {', '.join(parts)}" if parts else total) + end, out, style)


def _say(text: str, out: Console, style: str) -> int:
    """Print a text on as many lines as the terminal needs, which it returns."""
    lines = fold(text, out.width)
    for line in lines:
        say(out, line, style)
    return len(lines)
