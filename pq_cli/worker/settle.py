"""Settling: ending a claim as the outcome of its attempt says."""

from __future__ import annotations

from pq_cli.core.item import Item
from pq_cli.worker.contract import Outcome, Verdict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pq_cli.worker.queue import Queue


def settle(queue: Queue, item: Item, outcome: Outcome) -> None:
    """End a claim as the worker contract says. Raises StaleClaimError when it was lost."""
    what, words, status = outcome.verdict, outcome.error, outcome.status
    if what is Verdict.DONE:
        queue.done(item, status=status)
    elif what is Verdict.DEFER:
        queue.defer(item, words, status=status)
    elif what is Verdict.RELEASE:
        queue.release(item, words)
    else:
        queue.fail(item, words, dead=what is Verdict.DEAD, status=status)
