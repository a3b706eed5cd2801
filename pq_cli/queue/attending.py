"""Attending: who is at work on a queue, and why nothing goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pq_cli.core.insight.workers import crew, in_the_way, last_claim, nobody
from pq_cli.core.item import State

if TYPE_CHECKING:
    from pq_cli.core.insight.explain import Reason
    from pq_cli.core.insight.workers import Worker
    from pq_cli.queue.store import Store


def workers(store: Store) -> list[Worker]:
    """Return who is at work, and on what; see `Looking.workers`."""
    present, now = list(store.workers()), store.now()
    active = list(store.items([State.ACTIVE], now, now))
    known = {worker.lock for worker in present}
    if any(item.holder is not None and item.holder.lock not in known for item in active):
        present = list({w.lock: w for w in (*present, *store.workers())}.values())  # they just came
    return crew(present, active)


def trouble(store: Store) -> list[Reason]:
    """Return why nothing goes on; see `Looking.trouble`.

    What is at work is read only where somebody has died, or nobody is there.
    """
    now = store.now()
    present = list(store.workers())
    if not present or not all(worker.alive for worker in present):
        present = workers(store)
    found = in_the_way(present, now)
    if not found or not _waits(store, present, now):
        return []
    return [r if r.kind != "nobody" else nobody(last_claim(store.events())) for r in found]


def _waits(store: Store, present: list[Worker], now: float) -> bool:
    """Tell whether there is anything to do."""
    if store.dropped() or any(not worker.at_work(now) for worker in present):
        return True
    return next(iter(store.items([State.PENDING], now, now)), None) is not None
