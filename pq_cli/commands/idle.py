"""Why there is nothing to do: for people who look at a terminal."""

from __future__ import annotations

from pq_cli.core.item import State
from pq_cli.queue.verbs import Queue

_STANDING = {
    State.ACTIVE: "at work elsewhere",
    State.DELAYED: "delayed",
    State.HELD: "held",
    State.FAILED: "failed",
}


def idle_text(queue: Queue) -> str | None:
    """Return what there is though nothing can be claimed, or None when something else is why."""
    if queue.paused is not None:
        return None
    parts = []
    if pending := queue.count([State.PENDING]):
        full = {name: slots for name, slots in queue.backlog().slots.items() if slots.full}
        if sum(slots.waiting for slots in full.values()) < pending:
            return None
        parts = [
            f"{slots.waiting:,} waiting for limit {name}"
            for name, slots in full.items()
            if slots.waiting
        ]
    counts = {words: queue.count([state]) for state, words in _STANDING.items()}
    parts += [f"{count:,} {words}" for words, count in counts.items() if count]
    if not parts:
        return "nothing to do: the queue is empty"
    return f"nothing to do now: {', '.join(parts)}; `pq ls` tells more"
