"""What each verb makes of an item. Pure: item and `now` in, new item out, or ConflictError.

The verbs ask these, whatever store is below, so no two queues disagree about what a verb means.
"""

from __future__ import annotations

import math

from pq_cli.core.arguments import valid_flag, valid_lease, valid_state, valid_text, valid_whole
from pq_cli.core.item import (
    ACTIVE,
    LIVE,
    MAX_ERROR_CHARS,
    MAX_HISTORY,
    PENDING,
    Holder,
    Item,
    State,
)
from pq_cli.core.policy import QueueConfig, retry_delay
from pq_cli.core.record import Record
from pq_cli.core.timefmt import format_time, parse_time
from pq_cli.errors import ConflictError, PqError, StaleClaimError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


LEAVING = "leaving"
"""Field of an item that is being sent to another queue: the state in which it was."""
LEASE_OVER = "the lease ran out before the worker finished"
WORKER_DIED = "the worker died before it finished"
UNHEARD = "the connection was lost while it was claimed"


def stamp(now: float) -> float:
    """Return `now` in whole microseconds: what a meta can hold."""
    return round(now, 6)


def claimed(item: Item, now: float, lease: float, holder: Holder) -> Item:
    """Claim a pending item: one attempt begins, under a claim number never used before."""
    at = stamp(now)
    return item.replace(
        state=ACTIVE,
        updated_at=at,
        not_before=None,
        attempts=item.attempts + 1,
        claims=item.claims + 1,
        lease_until=stamp(now + valid_lease(lease)),
        holder=holder.replace(since=at),
    )


def check_claim(item: Item, claim: int | None) -> None:
    """Raise StaleClaimError unless the item is active and, if given, under this claim number."""
    if item.state is not ACTIVE:
        wanted = f"{item.id}.{claim}" if claim is not None else str(item.id)
        raise StaleClaimError(f"{wanted} is not claimed: item {item.id} is {item.state}")
    if claim is not None and claim != item.claims:
        raise StaleClaimError(f"{item.id}.{claim} is stale: the claim is now {item.claim}")


class Ending(Record):
    """How an attempt ended: `error` in words, `status` the exit status if a command ran."""

    error: str | None = None
    status: int | None = None


def completed(item: Item, now: float, status: int | None) -> Item:
    """End an active item well."""
    return _ended(item, now, "done", Ending(status=status), state=State.DONE)


def failed(
    item: Item, now: float, how: Ending, dead: bool, config: QueueConfig, jitter: float
) -> Item:
    """End an attempt badly: `delayed` until its retry, or `failed` at max_attempts or if `dead`."""
    if valid_flag("dead", dead) or item.attempts >= item.max_attempts:
        return _ended(item, now, "failed", how, state=State.FAILED)
    due = stamp(now + retry_delay(config, item.attempts, jitter))
    return _ended(item, now, "failed", how, state=State.DELAYED, not_before=due)


def deferred(item: Item, now: float, how: Ending, config: QueueConfig, jitter: float) -> Item:
    """End an attempt that should be made again later and does not count: `delayed`.

    The wait grows with the number of times in a row that the item was put off.
    """
    row = 1
    for entry in reversed(item.history[1 - MAX_HISTORY :]):
        if entry.get("outcome") != "deferred":
            break
        row += 1
    due = stamp(now + retry_delay(config, row, jitter))
    attempts = max(0, item.attempts - 1)
    return _ended(
        item, now, "deferred", how, state=State.DELAYED, not_before=due, attempts=attempts
    )


def awaits_retry(item: Item) -> bool:
    """Tell whether an item is delayed because an attempt failed or was put off.

    One that was enqueued for later, or that somebody has given another time since, is not.
    """
    if item.state is not State.DELAYED or item.not_before is None or not item.history:
        return False
    return item.history[-1].get("retry_at") == format_time(item.not_before)


def expired(item: Item, now: float, reason: str) -> Item:
    """Take a dead claim away: back to pending, or `failed` when max_attempts is used up."""
    state = State.FAILED if item.attempts >= item.max_attempts else State.PENDING
    return _ended(item, now, "lost", Ending(error=reason), state=state)


def released(item: Item, now: float, error: str | None = None) -> Item:
    """Give an active item back; the attempt does not count. error: why, for `last_error`."""
    return item.replace(
        state=State.PENDING,
        updated_at=stamp(now),
        attempts=max(0, item.attempts - 1),
        lease_until=None,
        holder=None,
        last_error=item.last_error if error is None else _clip(error),
    )


def renewed(item: Item, now: float, lease: float) -> Item:
    """Prolong a claim: it now holds for `lease` seconds from `now`."""
    return item.replace(updated_at=stamp(now), lease_until=stamp(now + valid_lease(lease)))


def retried(item: Item, now: float, priority: int | None) -> Item:
    """Send a failed, held or delayed item back to pending, attempts reset, history kept.

    One that follows others waits for none of them any more; one that did, until a person held or
    cancelled it, does so again: see `told`.
    """
    if item.state not in (State.FAILED, State.HELD, State.DELAYED):
        raise _conflict(item, "retried", "failed, held or delayed")
    again = bool(item.after) and not item.follows  # it waits as it did, before a person came
    return item.replace(
        state=State.HELD if again else State.PENDING,
        updated_at=stamp(now),
        not_before=None,
        extra={name: value for name, value in item.extra.items() if name != LEAVING},
        attempts=0,
        priority=item.priority if priority is None else priority,
        after=item.after if again else (),
        follows=again or item.follows,  # half way it waits as it did
    )


def held(item: Item, now: float) -> Item:
    """Suspend a waiting item until somebody retries it; one already held stays as it is.

    Also when what it comes after is done.
    """
    if item.state is State.HELD and not item.follows:
        return item
    if item.state not in (State.PENDING, State.DELAYED, State.HELD):
        raise _conflict(item, "held", "pending or delayed")
    return item.replace(state=State.HELD, updated_at=stamp(now), not_before=None, follows=False)


def cancelled(item: Item, now: float, by: str | None, hold: bool) -> Item:
    """Let nobody work on an item, now or later: it is `failed`, or `held`. by: who wants that."""
    if item.state not in LIVE:
        raise _conflict(item, "cancelled", "active, pending, delayed or held")
    words = "cancelled" if by is None else f"cancelled by {by}"
    state = State.HELD if hold else State.FAILED
    if item.state is ACTIVE:
        return _ended(item, now, "cancelled", Ending(error=words), state=state, follows=False)
    if hold:
        return held(item, now)
    return item.replace(
        state=state,
        updated_at=stamp(now),
        not_before=None,
        last_error=_clip(words),
        follows=False,
    )


def changed(
    item: Item, now: float, priority: int | None, not_before: float | None, **fields: Any
) -> Item:
    """Change the base priority (not of ended items), or when a waiting item comes due.

    fields: others of the item that may be said of a new one.
    """
    if item.state in (State.DONE, State.REMOVED):
        raise _conflict(item, "changed", "neither done nor removed")
    after = item
    if item.state is ACTIVE and fields.get("limit", item.limit) != item.limit:
        raise _conflict(item, "given another limit", "pending, delayed, held or failed")
    if not_before is not None:
        if item.state not in (State.PENDING, State.DELAYED):
            raise _conflict(item, "delayed", "pending or delayed")
        waits = not_before > now
        after = after.replace(
            state=State.DELAYED if waits else State.PENDING,
            not_before=stamp(not_before) if waits else None,
        )
    if priority is not None:
        after = after.replace(priority=priority)
    return after.replace(updated_at=stamp(now), **fields)


def due(item: Item, now: float = math.inf) -> Item:
    """Turn a delayed item whose time has come at `now` into a pending one; any other stays."""
    if item.state is not State.DELAYED or (item.not_before or 0.0) > now:
        return item
    return item.replace(state=State.PENDING, not_before=None)


def removed(item: Item, kept_until: float) -> Item:
    """Remove an item; until this Unix second it can be restored."""
    return item.replace(state=State.REMOVED, was=item.state, kept_until=kept_until)


def restored(item: Item, now: float) -> Item:
    """Bring a removed item back into the state it had; what came due meanwhile is pending."""
    if item.state is not State.REMOVED or item.was is None:
        raise _conflict(item, "brought back", "removed")
    return due(stayed(item.replace(state=item.was, was=None, kept_until=None)), now)


# -- items that come after others ------------------------------------------------


def standing(state: State, was: State | None) -> State:
    """Return how an item stands for those that come after it: PENDING as long as it may be done.

    was: the state that a removed one had; what was done stays done for them.
    """
    done = state is State.REMOVED and was is State.DONE
    return State.DONE if done else PENDING if state in LIVE else state


def stands_anew(before: Item, after: Item | None) -> State | None:
    """Return how an item stands from now on for those that come after it; None: as it did.

    after: None for an item that is dropped: it was done, if somebody worked on it.
    """
    stood = standing(before.state, before.was)
    if after is not None:
        stands = standing(after.state, after.was)
    else:
        done = before.state is ACTIVE or stood is State.DONE
        stands = State.DONE if done else State.REMOVED
    return None if stands is stood else stands


def ties(item: Item | None) -> tuple[int, ...]:
    """Return the items of which this one must be told how they end; None: it is gone."""
    tied = item is not None and item.follows and item.state in (State.HELD, State.FAILED)
    return item.after if item is not None and tied else ()


def half_told(item: Item) -> bool:
    """Tell whether an item waits though nothing is left to wait for: it is to be told once more."""
    return item.follows and item.state is State.HELD and not item.after


def told(item: Item, standings: Mapping[int, State], now: float) -> Item:
    """Return an item that follows others as it is to be when they stand so; itself: it is.

    standings: as `standing` gives them, of all that it comes after; what is missing counts as
    removed. It is held while one of them may still be done, and enters the order when all are:
    from `failed` by way of `held`, so that what was cut short half way can be told from what ended.
    """
    if not item.follows or item.state not in (State.HELD, State.FAILED):
        return item
    if item.state is State.FAILED and not item.after:
        return item  # its own attempts failed
    how = {i: standings.get(i, State.REMOVED) for i in item.after}
    over = (State.DONE,) if item.if_failed != "run" else (State.DONE, State.FAILED, State.REMOVED)
    left = tuple(i for i in item.after if how[i] not in over)
    bad = next((i for i in left if how[i] is not PENDING), None)
    error = None
    if bad is not None:
        error = f"item {bad} failed" if how[bad] is State.FAILED else f"item {bad} was removed"
    state = State.FAILED if bad is not None and item.if_failed != "hold" else State.HELD
    due_at = item.not_before
    if not left and item.state is State.HELD:
        waits = due_at is not None and due_at > now
        state, due_at = (State.DELAYED, due_at) if waits else (PENDING, None)
    elif not left:
        left = item.after  # without it, it would look as if its own attempts had failed
    if (state, left, error) == (item.state, item.after, item.last_error):
        return item
    return item.replace(
        state=state, updated_at=stamp(now), not_before=due_at, last_error=error, after=left
    )


# -- on the way to another queue --------------------------------------------------


def leaving(item: Item, now: float, export: str) -> Item:
    """Mark an item that `export` sends to another queue: nobody here is to work at it meanwhile."""
    was = stayed(item)
    due_at = None if was.not_before is None else format_time(was.not_before)
    mark: dict[str, Any] = {"state": str(was.state), "not_before": due_at, "export": export}
    if was.follows:
        mark["follows"] = True
    waits = item.state in (State.PENDING, State.DELAYED)
    return item.replace(
        state=State.HELD if waits else item.state,
        not_before=None,
        updated_at=stamp(now),
        extra={**item.extra, LEAVING: mark},
        follows=False,
    )


def stayed(item: Item) -> Item:
    """Return an item that was to leave for another queue as it was before it was marked."""
    mark = item.extra.get(LEAVING)
    if mark is None:
        return item
    after = item.replace(extra={name: v for name, v in item.extra.items() if name != LEAVING})
    try:
        state, due_at = State(mark["state"]), mark.get("not_before")
        if item.state is State.HELD and state in (State.PENDING, State.DELAYED):
            not_before = None if due_at is None else parse_time(due_at)
            after = after.replace(state=state, not_before=not_before)
        if mark.get("follows") is True:
            after = after.replace(follows=True)
    except (TypeError, KeyError, ValueError, AttributeError, PqError):
        pass  # somebody has written into it: it stays where it is
    return after


def check_removable(item: Item, state: State | None = None) -> None:
    """Raise ConflictError while somebody works on the item, or unless it is in `state`."""
    if state is not None:
        valid_state(state)
    if item.state is State.ACTIVE:
        raise ConflictError(f"item {item.id} is active: release it or let it finish first")
    if item.state is State.REMOVED:
        raise ConflictError(f"item {item.id} is removed already; `pq undo {item.id}` reverts that")
    if state is not None and item.state != state:
        raise _conflict(item, "removed", str(state))


def _ended(item: Item, now: float, outcome: str, how: Ending, **changes: Any) -> Item:
    """End the attempt: it is remembered, with when the next is due, and the item changed so."""
    at = stamp(now)
    error = None if how.error is None else _clip(how.error)
    entry = {"claim": item.claim, "outcome": outcome, **attempt_times(item, at)}
    if how.status is not None:
        entry["exit"] = valid_whole("status", how.status, 0, 2**31 - 1)
    if error is not None:
        entry["error"] = error
    if "not_before" in changes:
        entry["retry_at"] = format_time(changes["not_before"])
    return item.replace(
        updated_at=at,
        lease_until=None,
        holder=None,
        last_error=error if error is not None else item.last_error,
        history=(*item.history, entry)[-MAX_HISTORY:],
        **changes,
    )


def attempt_times(item: Item, now: float) -> dict[str, Any]:
    """Return when and where the present attempt began, and that it ends `now`, as JSON values."""
    entry: dict[str, Any] = {}
    if item.holder is not None:
        entry["started_at"] = format_time(item.holder.since)
        entry["host"] = item.holder.host
        entry["pid"] = item.holder.pid
    entry["ended_at"] = format_time(now)
    return entry


def _clip(error: str) -> str:
    error = valid_text("error", error)
    return error if len(error) <= MAX_ERROR_CHARS else error[: MAX_ERROR_CHARS - 1] + "…"


def _conflict(item: Item, verb: str, allowed: str) -> ConflictError:
    return ConflictError(f"item {item.id} is {item.state}; only what is {allowed} can be {verb}")
