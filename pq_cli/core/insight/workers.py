"""Who works on a queue: what each worker says of itself, and what it has claimed. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from pq_cli.core.insight.explain import Reason
from pq_cli.core.item import Item
from pq_cli.core.record import Record
from pq_cli.core.timefmt import format_time, time_of

STATES = ("working", "idle", "gate closed", "slow", "died", "lease", "lease over")
"""What a worker may be at: the last two of claims that end by their lease alone."""


class Duty(Record):
    """What a pool says of itself.

    slots: attempts that it makes at once; None: it is no pool. gate_closed, slow: since when (Unix
    seconds) its gate is closed, and it claims more slowly for so many failures in a row.
    """

    slots: int | None = None
    gate_closed: float | None = None
    slow: float | None = None
    in_a_row: int = 0


class Worker(Record):
    """A process that has claims, or could have.

    lock: what its claims call it by; None of claims that name nobody, which end by their lease:
    then host and pid are those of who made them. since: Unix seconds at which it came. alive: False
    once it has died and others have not yet taken over what it had. items: what it works on.
    """

    lock: str | None
    host: str
    pid: int
    since: float
    command: tuple[str, ...] = ()
    alive: bool = True
    duty: Duty = Duty()
    items: tuple[Item, ...] = ()

    def state(self, now: float) -> str:
        """Return which of STATES it is in at `now`."""
        if not self.alive:
            return "died"
        if self.lock is None:
            over = all((item.lease_until or 0.0) <= now for item in self.items)
            return "lease over" if over else "lease"
        if self.items:
            return "working"
        if self.duty.gate_closed is not None:
            return "gate closed"
        return "idle" if self.duty.slow is None else "slow"

    def claims(self) -> list[tuple[Item, float]]:
        """Return what it works on, and since when (Unix seconds)."""
        since = ((i, i.updated_at if i.holder is None else i.holder.since) for i in self.items)
        return sorted(since, key=lambda each: each[1])

    def at_work(self, now: float) -> bool:
        """Tell whether somebody is there: what waits will be seen to."""
        return self.state(now) not in ("died", "lease over")


def duty_values(duty: Duty) -> dict[str, Any]:
    """Return a duty as JSON values; times as RFC 3339."""
    return {
        "slots": duty.slots,
        "gate_closed": None if duty.gate_closed is None else format_time(duty.gate_closed),
        "slow": None if duty.slow is None else format_time(duty.slow),
        "in_a_row": duty.in_a_row,
    }


def duty_of(values: Any) -> Duty:
    """Return the duty that `duty_values` has written; what makes no sense says nothing."""
    if not isinstance(values, dict):
        return Duty()
    slots, in_a_row = values.get("slots"), values.get("in_a_row")
    return Duty(
        slots=slots if isinstance(slots, int) else None,
        gate_closed=time_of(values.get("gate_closed")),
        slow=time_of(values.get("slow")),
        in_a_row=in_a_row if isinstance(in_a_row, int) else 0,
    )


def crew(present: Iterable[Worker], active: Iterable[Item]) -> list[Worker]:
    """Return who works, and on what: those of `present`, and the holders of all other claims.

    Who has died and holds nothing is left out. The first that came is first.
    """
    known: dict[object, Worker] = {worker.lock: worker for worker in present}
    held: dict[object, list[Item]] = {}
    for item in active:
        holder = item.holder
        if holder is None:
            continue  # just being claimed
        name: object = holder.lock
        if name not in known:
            name = (holder.host, holder.pid)
            since = min(holder.since, known[name].since) if name in known else holder.since
            known[name] = Worker(lock=None, host=holder.host, pid=holder.pid, since=since)
        held.setdefault(name, []).append(item)
    found = [worker.replace(items=tuple(held.get(name, ()))) for name, worker in known.items()]
    return sorted((w for w in found if w.alive or w.items), key=lambda w: (w.since, w.host, w.pid))


def nobody(last_claim: float | None = None) -> Reason:
    """Return that nobody is there. last_claim: Unix seconds of the last one that is known of."""
    return Reason(kind="nobody", values={"last_claim": last_claim})


def in_the_way(workers: Sequence[Worker], now: float) -> list[Reason]:
    """Return why work would wait, if there is any, with these workers: the worst first."""
    dead = [worker for worker in workers if not worker.alive]
    there = [worker for worker in workers if worker.at_work(now)]
    found = [
        Reason(
            kind="died",
            values={"host": w.host, "pid": w.pid, "lock": w.lock, "count": len(w.items)},
        )
        for w in dead
    ]
    if not there:  # what the dead have had waits, too
        return [nobody(), *found]
    closed = [worker.duty.gate_closed for worker in there]
    slow = [worker.duty.slow for worker in there]
    if None not in closed:
        found.append(Reason(kind="gate", values={"since": max(t for t in closed if t is not None)}))
    elif None not in slow:
        count = min(worker.duty.in_a_row for worker in there)
        since = max(t for t in slow if t is not None)
        found.append(Reason(kind="slow", values={"since": since, "count": count}))
    return found


def last_claim(records: Iterable[dict[str, Any]]) -> float | None:
    """Return the Unix second of the last claim that the log tells of, or None."""
    last = None
    for record in records:
        if record.get("event") == "claimed":
            last = record
    return None if last is None else time_of(last.get("at"))
