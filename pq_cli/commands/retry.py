"""`pq retry`: back to pending."""

from __future__ import annotations

from functools import partial

from pq_cli.commands.choosing import act_on
from pq_cli.core.item import State
from pq_cli.options import OF_PRIORITY, PRIORITY, ChosenOptions, option
from pq_cli.screen import Screen

_MAY = (State.FAILED, State.HELD, State.DELAYED)
_FAILED = (State.FAILED, State.DELAYED)


class RetryOptions(ChosenOptions):
    """The command line of `pq retry`, as typed."""

    everything: bool = option("--all", "All that failed, also where the retry is still to come.")
    priority: int | None = PRIORITY
    of_priority: int | None = OF_PRIORITY


def command(o: RetryOptions, screen: Screen) -> int:
    """Send failed, held or delayed items back to pending: attempts reset, id and place kept.

    --all, and every choice without --state, means what failed: what was held or scheduled by
    somebody must be named by --state.
    """
    only = o.selection()
    if not only.states and (o.everything or only.picks):
        only = o.selection(states=_FAILED, failing=True)
    return act_on(
        o, screen, _MAY, "pending again",
        lambda queue: partial(queue.retry, priority=o.priority), only,
    )  # fmt: skip
