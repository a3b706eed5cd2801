"""The outcome of an attempt: what becomes of the item after it, and how that is written down."""

from __future__ import annotations

from enum import Enum

from pq_cli.core.item import Item
from pq_cli.core.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pq_cli.queue.verbs import Queue


class Verdict(Enum):
    """What becomes of an item after an attempt."""

    DONE = "done"
    DEFER = "defer"
    """Retry later, and do not count it: the item is fine, the world is not."""
    RETRY = "retry"
    """Retry until max_attempts, then failed."""
    DEAD = "dead"
    """Failed for good."""
    RELEASE = "release"
    """Given back, uncounted: the attempt was called off."""


class Outcome(Record):
    """What an attempt came to. error: for `last_error`. status: the exit status, if there is one.

    fatal: an error that concerns every item: no more are claimed, and `drain` raises it.
    """

    verdict: Verdict
    error: str | None = None
    status: int | None = None
    fatal: BaseException | None = None


class RetryLater(Exception):
    """Raised by a handler: the item is fine, the world is not; retry later, uncounted."""


class GiveUp(Exception):
    """Raised by a handler: no retry can help, the item fails for good."""


def outcome_of(error: BaseException | None) -> Outcome:
    """Return what it means that work ended with this exception; the text becomes `last_error`.

    None: it ended well. What is no Exception (KeyboardInterrupt, SystemExit, a cancellation) is no
    fault of the item: it is given back.
    """
    if error is None:
        return Outcome(verdict=Verdict.DONE)
    if isinstance(error, RetryLater):
        return Outcome(verdict=Verdict.DEFER, error=str(error) or "put off")
    if isinstance(error, GiveUp):
        return Outcome(verdict=Verdict.DEAD, error=str(error) or "given up")
    if not isinstance(error, Exception):
        return Outcome(verdict=Verdict.RELEASE)
    words = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return Outcome(verdict=Verdict.RETRY, error=words)


def settle(queue: Queue, item: Item, outcome: Outcome, *, later: bool = False) -> None:
    """End a claim as its outcome says. Raises StaleClaimError when it was lost.

    later: what is done need not survive a power loss before the next `Queue.settle`.
    """
    what, words, status = outcome.verdict, outcome.error, outcome.status
    if what is Verdict.DONE:
        queue.done(item, status=status, later=later)
    elif what is Verdict.DEFER:
        queue.defer(item, words, status=status)
    elif what is Verdict.RELEASE:
        queue.release(item, words)
    else:
        queue.fail(item, words, dead=what is Verdict.DEAD, status=status)
