"""Settling against lock and disk: what was done is written down as soon as they let it be."""

from __future__ import annotations

from pq_cli.errors import TryAgainError
from pq_cli.queue.outcome import settle
from pq_cli.worker.waiting import Waiting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pq_cli.core.item import Item
    from pq_cli.queue.outcome import Outcome
    from pq_cli.queue.verbs import Queue

SETTLE_AGAIN = 1.0
"""Seconds between tries to write down how an attempt ended, while disk or lock refuse."""


def settling(
    queue: Queue, item: Item, outcome: Outcome, lease: float
) -> Iterator[tuple[OSError | TryAgainError, Waiting]]:
    """End a claim as the worker contract says; yield each time that disk or lock refuse it.

    It is tried again whenever the caller, who pauses for SETTLE_AGAIN and knows whether somebody
    wants it given up, comes back: the work was done, and to forget that would do it twice. After
    `lease` seconds it raises what refused it. Raises StaleClaimError or NoSuchItemError when the
    claim was lost.
    """
    waiting = Waiting(lease)
    while True:
        try:
            return settle(queue, item, outcome)
        except (OSError, TryAgainError) as error:
            if waiting.over():
                raise
            refused = error
        yield refused, waiting
