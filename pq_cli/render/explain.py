"""The words of `pq explain`: one sentence for each kind of reason."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from pq_cli.core.insight.explain import Reason
from pq_cli.core.insight.words import counted, way_back
from pq_cli.core.item import Item, printable
from pq_cli.core.timefmt import format_duration, format_time
from pq_cli.render.fold import fold
from pq_cli.render.words import wall_time


def explanation(
    item: Item, reasons: Iterable[Reason], now: float, width: int | None
) -> Iterator[str]:
    """Yield the lines about an item: which it is, and why; wrapped where there is a width."""
    name = item.name or item.key
    called = f" ({printable(name, 60)})" if name else ""
    heading = f"item {item.id}{called}: {item.state}, priority {item.priority}"
    yield from fold(heading, width, rest="    ")
    for sentence in sentences(reasons, now):
        yield from fold(sentence, width, first="  ", rest="    ")


def sentences(reasons: Iterable[Reason], now: float) -> list[str]:
    """Return one sentence for each reason, in their order; `now` in Unix seconds."""
    return [WORDS[reason.kind](reason.values, now) for reason in reasons]


def _moment(at: float, now: float) -> str:
    """Return a local clock time, and how far it is from now."""
    clock = wall_time(at, now)[:16]  # on another day without the seconds
    away = format_duration(float(round(abs(at - now))))
    return f"at {clock} (in {away})" if at > now else f"at {clock} ({away} ago)"


def _process(values: dict[str, Any]) -> str:
    return f"{printable(str(values['host']))}:{values['pid']}"


def _ahead(count: int, why: str) -> str:
    return f"{counted(count, 'item')} {'is' if count == 1 else 'are'} ahead of it: {why}"


def _active(values: dict[str, Any], now: float) -> str:
    if values["until"] is None:
        return f"it is just being claimed as {values['claim']}"
    said = f"it is claimed as {values['claim']}"
    if "host" in values:
        since = format_duration(float(round(now - values["since"])))
        said += f" by {_process(values)} since {since}"
    return said


def _live(values: dict[str, Any], now: float) -> str:
    lease = "" if values["until"] is None else f"; its lease ends {_moment(values['until'], now)}"
    return _active(values, now) + lease


def _over(values: dict[str, Any], now: float) -> str:
    ended = _moment(values["until"], now)
    return f"{_active(values, now)}; its lease ended {ended}: whoever asks for work next gets it"


def _paused(values: dict[str, Any], now: float) -> str:
    why = f": {printable(values['reason'])}" if values["reason"] else ""
    return f"nothing is claimed: the queue was paused {_moment(values['since'], now)}{why}"


def _nobody(values: dict[str, Any], now: float) -> str:
    last = values["last_claim"]
    when = "no claim is in its log" if last is None else f"the last claim was {_moment(last, now)}"
    return f"nobody is working on this spool; {when}"


def _died(values: dict[str, Any], _: float) -> str:
    left = counted(values["count"], "item")
    return f"worker {_process(values)} died holding {left}: whoever asks for work next takes over"


def _slow(values: dict[str, Any], now: float) -> str:
    many = counted(values["count"], "failure")
    return f"work is taken slowly after {many} in a row, since one {_moment(values['since'], now)}"


def _delayed(values: dict[str, Any], now: float) -> str:
    at, after = values["due"], values["after"]
    due = "it waits" if at is None else f"it becomes pending {_moment(at, now)}"
    return due if after is None else f"{due}, after: {printable(after)}"


def _failed(values: dict[str, Any], _: float) -> str:
    why = "all its attempts are used up" if values["used_up"] else "it was failed for good"
    error = f"; the last error: {printable(values['error'])}" if values["error"] else ""
    tries = counted(values["attempts"], "attempt")
    return f"{why} ({tries}){error}; `pq retry` sends it back"


def _attempt(values: dict[str, Any], _: float) -> str:
    parts = [f"claim {printable(str(values['claim']))} {printable(str(values['outcome']))}"]
    if values["ended_at"]:
        parts.append(f"at {printable(str(values['ended_at']))[:19]}Z")
    if values["took"] is not None:
        parts.append(f"after {format_duration(max(0.0, values['took']))}")
    if values["host"]:
        parts.append(f"by {_process(values)}")
    error = f": {printable(str(values['error']))}" if values["error"] else ""
    return " ".join(parts) + error


def _aged(values: dict[str, Any], _: float) -> str:
    age = format_duration(float(round(values["age"])))
    return (
        f"it has aged from {values['priority']} to {values['effective']}"
        f" (boost {values['boost']}) in the {age} since it was enqueued"
    )


def _limit(values: dict[str, Any]) -> str:
    at_work = "is at work" if values["active"] == 1 else "are at work"
    of = f"{values['active']} of {counted(values['most'], 'item')}"
    return f"limit {printable(values['limit'])}: {of} {at_work}"


def _waits_for(values: dict[str, Any], _: float) -> str:
    named = ", ".join(f"{each['id']} ({each['state']})" for each in values["items"])
    items = "item" if len(values["items"]) == 1 else "items"
    error = printable(values["error"] or "")
    held = f"; {error}: `pq retry` serves it all the same" if error else ""
    return f"it waits until {items} {named} {'is' if items == 'item' else 'are'} done{held}"


def _failed_with(values: dict[str, Any], _: float) -> str:
    error = printable(values["error"] or "")
    return (
        f"it failed with others: {error}; `{way_back(error)}` brings both"
        " back, and a retry of this one serves it all the same"
    )


def _removed(values: dict[str, Any], now: float) -> str:
    return (
        f"it was removed; `pq undo {values['id']}` brings it back, until"
        f" {format_time(values['kept_until'])[:19]}Z"
    )


def _followers(values: dict[str, Any], _: float) -> str:
    ids = values["items"]
    named = ", ".join(map(str, ids[:5])) + (", ..." if len(ids) > 5 else "")
    return f"{counted(len(ids), 'item')} {'waits' if len(ids) == 1 else 'wait'} for it: {named}"


WORDS: dict[str, Callable[[dict[str, Any], float], str]] = {
    "limit_full": lambda v, now: (
        f"it waits for {_limit(v)}; when one of them ends it has its place in the order"
    ),
    "limit": lambda v, now: f"it counts for {_limit(v)}",
    "next": lambda v, now: "it is the next to be served",
    "ahead_by_priority": lambda v, now: _ahead(v["count"], "more urgent"),
    "ahead_by_age": lambda v, now: _ahead(v["count"], "as urgent, and enqueued earlier"),
    "paused": _paused,
    "active": _live,
    "lease_over": _over,
    "delayed": _delayed,
    "held": lambda v, now: f"it was held {_moment(v['since'], now)}; `pq retry` sends it back",
    "failed": _failed,
    "done": lambda v, now: f"it was done {_moment(v['at'], now)}",
    "removed": _removed,
    "fifo": lambda v, now: "priorities are off (enable_priority = false): first in, first out",
    "no_aging": lambda v, now: "it does not age: any item of a lower number can overtake it",
    "aged": _aged,
    "not_aged": lambda v, now: "it has not aged yet",
    "next_boost": lambda v, now: f"it rises to {v['effective']} {_moment(v['at'], now)}",
    "manual_clock": lambda v, now: (
        "the aging clock is manual: `pq age` moves it"
        + (f"; it stands at {format_time(v['t'])[:19]}Z" if v["t"] else "")
    ),
    "capped": lambda v, now: f"it has aged as far as it can, to {v['floor']}",
    "kept_back": lambda v, now: (
        f"it counts as {v['effective']}: before it in its lane are items that have aged less,"
        " and a lane is first in, first out"
    ),
    "safe_now": lambda v, now: "no item that is enqueued from now on can overtake it",
    "safe_from": lambda v, now: (
        "no item that is enqueued "
        + ("once it has aged to 1" if v["at"] is None else _moment(v["at"], now) + " or later")
        + " can overtake it"
    ),
    "waits_for": _waits_for,
    "failed_with": _failed_with,
    "followers": _followers,
    "attempt": _attempt,
    "nobody": _nobody,
    "died": _died,
    "worker_died": lambda v, now: "its worker died: whoever asks for work next gets it",
    "gate": lambda v, now: (
        f"nothing is claimed: the gate (--when) was found closed {_moment(v['since'], now)}"
    ),
    "slow": _slow,
    "never_safe": lambda v, now: (
        f"items of priority {'1' if v['floor'] == 2 else '1 to ' + str(v['floor'] - 1)}"
        " can always overtake it (max_priority_boost)"
    ),
}
