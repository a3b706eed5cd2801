"""Why an item stands where it stands: reasons as values. Pure; the words are rendered above."""

from __future__ import annotations

from bisect import bisect_left

from pq_cli.core.insight.search import count_until, extremes
from pq_cli.core.insight.shape import cap_age
from pq_cli.core.item import Item, State
from pq_cli.core.order import boost, effective, floor, rank
from pq_cli.core.policy import Pause, QueueConfig
from pq_cli.core.record import Record
from pq_cli.core.timefmt import time_of
from pq_cli.core.transitions import ties

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any

    from pq_cli.core.insight.shape import Slots
    from pq_cli.core.order import LaneName


class Reason(Record):
    """One reason. kind: which; values: what it is about (seconds, Unix times, counts, texts)."""

    kind: str
    values: dict[str, Any] = {}


class Position(Record):
    """Where a pending item stands in the order of serving.

    urgent, older: how many are served before it, because they are more urgent, or as urgent and
    enqueued earlier. youngest: the Unix second at which the youngest item was created that its lane
    serves no later than it. Usually that is the item itself; one that came from another queue
    may be older than those before it, and waits for them: a lane is first in, first out.
    """

    urgent: int
    older: int
    youngest: float


def ahead(
    config: QueueConfig,
    item: Item,
    lanes: Mapping[LaneName, Sequence[int]],
    created_in: Callable[[LaneName], Callable[[int], float]],
    t: float,
) -> Position:
    """Return where a pending item stands at `t`.

    `lanes` are the ids of each lane, ascending; `created_in(lane)(id)` gives Unix seconds. A lane
    is served up to its first item that must wait for `item`, and that one keeps back the rest.
    """
    mine = lanes.get(item.lane, ())
    before = mine[: bisect_left(mine, item.id)]
    youngest, turn = item.created_at, rank(config, item.priority, item.id, item.created_at, t)
    if before:
        created_at = created_in(item.lane)
        last = extremes(before, created_at)[1]
        youngest = max(youngest, created_at(last))
        turn = max(turn, rank(config, item.priority, last, created_at(last), t))
    urgent = older = 0
    for lane, ids in lanes.items():
        count = _count_before(config, lane[0], ids, created_in(lane), t, turn)
        if lane == item.lane:
            count = len(before)
        more_urgent = _count_before(config, lane[0], ids, created_in(lane), t, (turn[0], -1))
        urgent += min(more_urgent, count)
        older += count - min(more_urgent, count)
    return Position(urgent=urgent, older=older, youngest=youngest)


def _count_before(
    config: QueueConfig,
    priority: int,
    ids: Sequence[int],
    created_at: Callable[[int], float],
    t: float,
    turn: tuple[int, int],
) -> int:
    """Return how many items of a lane are served at `t` before one whose rank is `turn`."""
    return count_until(
        ids,
        created_at,
        lambda item_id: rank(config, priority, item_id, created_at(item_id), t) >= turn,
    )


def explain(
    config: QueueConfig,
    item: Item,
    position: Position | None,
    pause: Pause | None,
    now: float,
    t: float,
    trouble: Iterable[Reason] = (),
    slots: Slots | None = None,
) -> list[Reason]:
    """Return why the item stands where it stands at `now`, the weightiest reason first.

    position: what `ahead` says of a pending item; None for all others. trouble: what is in the way
    of the whole queue, as `Looking.trouble` tells it. slots: of its limit, if it is pending and
    has one.
    """
    reasons = _limited(item, slots, _standing(item, position, now)) + _in_its_way(item, trouble)
    if pause is not None and item.state is State.PENDING:
        reasons.append(Reason(kind="paused", values={"since": pause.since, "reason": pause.reason}))
    if position is not None:
        reasons += _aging(config, item, position.youngest, t)
    return reasons + [attempt(entry) for entry in item.history]


def others(item: Item, standing: Mapping[int, str], followers: Sequence[int]) -> list[Reason]:
    """Return for which items this one waits, or fell, and which wait for it or fell.

    standing: the states of those that it comes after, of what is gone nothing.
    """
    found = []
    if item.after:
        before = [{"id": i, "state": standing.get(i, "gone")} for i in item.after]
        fell = item.state is State.FAILED and item.follows
        values = {"items": before, "if_failed": item.if_failed, "error": item.last_error}
        found.append(Reason(kind="failed_with" if fell else "waits_for", values=values))
    if followers:
        found.append(Reason(kind="followers", values={"items": list(followers)}))
    return found


def _in_its_way(item: Item, trouble: Iterable[Reason]) -> list[Reason]:
    """Return what of the trouble of a queue this item has: what is dead can have left it alone."""
    if item.state is State.PENDING:
        return [reason for reason in trouble if reason.kind != "died"]
    lock = None if item.holder is None else item.holder.lock
    dead = {reason.values["lock"] for reason in trouble if reason.kind == "died"}
    return [Reason(kind="worker_died")] if item.state is State.ACTIVE and lock in dead else []


def _limited(item: Item, slots: Slots | None, reasons: list[Reason]) -> list[Reason]:
    """Return the reasons with what the item's limit does to it: if that is full, it is not next."""
    if slots is None:
        return reasons
    values = {"limit": item.limit, "active": slots.active, "most": slots.most}
    if not slots.full:
        return [*reasons, Reason(kind="limit", values=values)]
    others = [reason for reason in reasons if reason.kind != "next"]
    return [Reason(kind="limit_full", values=values), *others]


def _standing(item: Item, position: Position | None, now: float) -> list[Reason]:
    if position is not None:
        counts = {"ahead_by_priority": position.urgent, "ahead_by_age": position.older}
        found = [Reason(kind=k, values={"count": count}) for k, count in counts.items() if count]
        return found or [Reason(kind="next")]
    if item.state is State.ACTIVE:
        until = item.lease_until
        holder = item.holder
        values: dict[str, Any] = {"claim": item.claim, "until": until}
        if holder is not None:
            values |= {"host": holder.host, "pid": holder.pid, "since": holder.since}
        over = until is not None and until <= now
        return [Reason(kind="lease_over" if over else "active", values=values)]
    if item.state is State.DELAYED:
        after = item.last_error if item.attempts else None
        return [Reason(kind="delayed", values={"due": item.not_before, "after": after})]
    if ties(item):
        return []  # see `others`
    if item.state is State.HELD:
        return [Reason(kind="held", values={"since": item.updated_at})]
    if item.state is State.FAILED:
        used = item.attempts >= item.max_attempts
        values = {"error": item.last_error, "attempts": item.attempts, "used_up": used}
        return [Reason(kind="failed", values=values)]
    if item.state is State.REMOVED:
        values = {"id": item.id, "kept_until": item.kept_until}
        return [Reason(kind="removed", values=values)]
    return [Reason(kind="done", values={"at": item.updated_at})]


def _aging(config: QueueConfig, item: Item, youngest: float, t: float) -> list[Reason]:
    if not config.enable_priority:
        return [Reason(kind="fifo")]
    cap = cap_age(config, item.priority)
    if cap is None:
        kind = "safe_now" if item.priority == 1 else "no_aging"
        return [Reason(kind=kind, values={"priority": item.priority})]
    steps = boost(config, item.created_at, t)
    at = effective(config, item.priority, item.created_at, t)
    lowest = floor(config, item.priority)
    age = max(0.0, t - item.created_at)
    values = {"priority": item.priority, "effective": at, "boost": steps, "age": age}
    found = [Reason(kind="aged" if at < item.priority else "not_aged", values=values)]
    manual = config.aging_clock == "manual"
    if at == lowest:
        found.append(Reason(kind="capped", values={"floor": lowest}))
    elif manual:
        found.append(Reason(kind="manual_clock", values={"t": t}))
    else:
        reached = int(age // config.aging_threshold_seconds) + 1
        when = item.created_at + reached * config.aging_threshold_seconds
        after = effective(config, item.priority, item.created_at, when)
        found.append(Reason(kind="next_boost", values={"at": when, "effective": after}))
    lane_at = effective(config, item.priority, youngest, t)
    if lane_at != at:
        found.append(Reason(kind="kept_back", values={"effective": lane_at}))
    if lowest > 1:
        return [*found, Reason(kind="never_safe", values={"floor": lowest})]
    if lane_at == 1:
        return [*found, Reason(kind="safe_now", values={"priority": item.priority})]
    safe: dict[str, Any] = {"at": None if manual else youngest + cap}
    return [*found, Reason(kind="safe_from", values=safe)]


def attempt(entry: dict[str, Any]) -> Reason:
    """Return an attempt of the history; `took` is in seconds, None where times are missing."""
    began, ended = time_of(entry.get("started_at")), time_of(entry.get("ended_at"))
    took = None if began is None or ended is None else ended - began
    names = ("claim", "outcome", "started_at", "ended_at", "host", "pid", "error")
    return Reason(kind="attempt", values={n: entry.get(n) for n in names} | {"took": took})
