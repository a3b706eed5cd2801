"""Why an item stands where it stands: reasons as values. Pure; the words are rendered above."""

from __future__ import annotations

from bisect import bisect_left

from pq_cli.core.item import Item, State
from pq_cli.core.order import rank
from pq_cli.core.policy import Pause, QueueConfig, boost, effective, floors
from pq_cli.core.record import Record
from pq_cli.core.shape import cap_age
from pq_cli.core.timefmt import parse_time
from pq_cli.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any


class Reason(Record):
    """One reason. kind: which; values: what it is about (seconds, Unix times, counts, texts)."""

    kind: str
    values: dict[str, Any] = {}


KINDS = (
    "next", "ahead_by_priority", "ahead_by_age", "paused", "active", "lease_over", "delayed",
    "held", "failed", "done", "fifo", "no_aging", "aged", "not_aged", "next_boost", "manual_clock",
    "capped", "safe_now", "safe_from", "never_safe", "attempt",
)  # fmt: skip
"""Every kind of reason; for each the renderer has words."""


def ahead(
    config: QueueConfig,
    item: Item,
    lanes: Mapping[int, Sequence[int]],
    created_in: Callable[[int], Callable[[int], float]],
    t: float,
) -> tuple[int, int]:
    """Return how many pending items are served before a pending one at `t`, in two parts.

    (those that are more urgent, those as urgent but with a lower id). `lanes` are the ids of each
    lane, ascending; along a lane (effective, id) only grows, so each is counted by bisection.
    `created_in(lane)(id)` gives Unix seconds.
    """
    mine = rank(config, item.priority, item.id, item.created_at, t)
    urgent = older = 0
    for lane, ids in lanes.items():
        created_at = created_in(lane)

        def key(item_id: int, lane: int = lane, at: Callable[[int], float] = created_at) -> Any:
            return rank(config, lane, item_id, at(item_id), t)

        before = bisect_left(ids, mine, key=key)
        more_urgent = bisect_left(ids, (mine[0], -1), key=key)
        urgent += more_urgent
        older += before - more_urgent
    return urgent, older


def explain(
    config: QueueConfig,
    item: Item,
    position: tuple[int, int],
    pause: Pause | None,
    now: float,
    t: float,
) -> list[Reason]:
    """Return why the item stands where it stands at `now`, the weightiest reason first.

    position: what `ahead` says of a pending item; of others it is not looked at.
    """
    reasons = _standing(item, position, now)
    if pause is not None and item.state is State.PENDING:
        reasons.append(Reason(kind="paused", values={"since": pause.since, "reason": pause.reason}))
    if item.state is State.PENDING:
        reasons += _aging(config, item, now, t)
    return reasons + [_attempt(entry) for entry in item.history]


def _standing(item: Item, position: tuple[int, int], now: float) -> list[Reason]:
    if item.state is State.PENDING:
        urgent, older = position
        if not urgent and not older:
            return [Reason(kind="next")]
        found = []
        if urgent:
            found.append(Reason(kind="ahead_by_priority", values={"count": urgent}))
        if older:
            found.append(Reason(kind="ahead_by_age", values={"count": older}))
        return found
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
    if item.state is State.HELD:
        return [Reason(kind="held", values={"since": item.updated_at})]
    if item.state is State.FAILED:
        used = item.attempts >= item.max_attempts
        values = {"error": item.last_error, "attempts": item.attempts, "used_up": used}
        return [Reason(kind="failed", values=values)]
    return [Reason(kind="done", values={"at": item.updated_at})]


def _aging(config: QueueConfig, item: Item, now: float, t: float) -> list[Reason]:
    if not config.enable_priority:
        return [Reason(kind="fifo")]
    cap = cap_age(config, item.priority)
    if cap is None:
        kind = "safe_now" if item.priority == 1 else "no_aging"
        return [Reason(kind=kind, values={"priority": item.priority})]
    steps = boost(config, item.created_at, t)
    at = effective(config, item.priority, item.created_at, t)
    floor = floors(config)[item.priority]
    age = max(0.0, t - item.created_at)
    values = {"priority": item.priority, "effective": at, "boost": steps, "age": age}
    found = [Reason(kind="aged" if at < item.priority else "not_aged", values=values)]
    manual = config.aging_clock == "manual"
    if at == floor:
        found.append(Reason(kind="capped", values={"floor": floor}))
    elif manual:
        found.append(Reason(kind="manual_clock", values={"t": t}))
    else:
        reached = int(age // config.aging_threshold_seconds) + 1
        when = item.created_at + reached * config.aging_threshold_seconds
        after = effective(config, item.priority, item.created_at, when)
        found.append(Reason(kind="next_boost", values={"at": when, "effective": after}))
    if floor > 1:
        return [*found, Reason(kind="never_safe", values={"floor": floor})]
    if at == 1:
        return [*found, Reason(kind="safe_now", values={"priority": item.priority})]
    safe: dict[str, Any] = {"at": None if manual else item.created_at + cap}
    return [*found, Reason(kind="safe_from", values=safe)]


def _attempt(entry: dict[str, Any]) -> Reason:
    """Return an attempt of the history; `took` is in seconds, None where times are missing."""
    took = None
    try:
        took = parse_time(str(entry["ended_at"])) - parse_time(str(entry["started_at"]))
    except (KeyError, UsageError):
        pass
    names = ("claim", "outcome", "started_at", "ended_at", "host", "pid", "error")
    return Reason(kind="attempt", values={n: entry.get(n) for n in names} | {"took": took})
