"""`pq retry`: back to pending."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pq_cli.commands.spools import for_each, open_spool
from pq_cli.core.item import Item, State
from pq_cli.core.transitions import awaits_retry
from pq_cli.errors import ConflictError, NoSuchItemError, UsageError
from pq_cli.options import PRIORITY, Options, flag, operands, repeated, states
from pq_cli.render.counting import Counting
from pq_cli.screen import Screen

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pq_cli.queue.verbs import Queue

_STOPPED = (State.FAILED, State.HELD, State.DELAYED)


def _stopped(names: Iterable[str]) -> tuple[State, ...]:
    wanted = states(names)
    for state in wanted:
        if state not in _STOPPED:
            raise UsageError(f"--state {state}: only {', '.join(_STOPPED)} items can be retried")
    return wanted


class RetryOptions(Options):
    """The command line of `pq retry`, as typed."""

    items: tuple[str, ...] = operands(metavar="[ITEM...]", help="Those to send back, if not --all.")
    everything: bool = flag("--all", help="All that failed, also where the retry is still to come.")
    states: tuple[State, ...] = repeated(
        "--state",
        metavar="S",
        help="All that are failed, held or delayed; may be repeated.",
        read=_stopped,
    )
    priority: int | None = PRIORITY
    dry_run: bool = flag("--dry-run", help="Only print the ids of those it would be.")


OPTIONS = RetryOptions


def command(o: RetryOptions, screen: Screen) -> int:
    """Send failed, held or delayed items back to pending: attempts reset, id and place kept.

    --all means what failed: what was held or scheduled by somebody must be named by --state.
    """
    if bool(o.items) == bool(o.everything or o.states):
        raise UsageError("give ITEMs, or --all (what failed), or --state failed, held or delayed")
    if o.items and o.dry_run:
        raise UsageError("--dry-run goes with --all or --state")
    queue = open_spool(o, screen)
    if o.items:
        return for_each(queue, o.items, screen, lambda ref: queue.retry(ref, o.priority))
    with Counting(screen, "items found") as counting:
        stopped = counting.over(queue.items(_STOPPED))
        found = [str(item.id) for item in stopped if _meant(o, item)]
    if o.dry_run:
        for ref in found:
            screen.emit(ref)
        screen.warn(f"{len(found)} item{'' if len(found) == 1 else 's'} would be pending again")
        return 0
    return _retry(queue, found, o, screen)


def _meant(o: RetryOptions, item: Item) -> bool:
    """Tell whether a stopped item is of the states that were named, or without any what failed."""
    if o.states:
        return item.state in o.states
    return item.state is State.FAILED or awaits_retry(item)


def _retry(queue: Queue, found: list[str], o: RetryOptions, screen: Screen) -> int:
    count = 0

    def again(ref: str) -> None:
        nonlocal count
        try:
            queue.retry(ref, o.priority)
        except NoSuchItemError:
            return  # somebody else was quicker
        except ConflictError:
            if _meant(o, queue.get(ref)):
                raise
            return
        count += 1

    status = for_each(queue, found, screen, again)
    screen.warn(f"{_items(count)} pending again")
    return status


def _items(count: int) -> str:
    return "1 item is" if count == 1 else f"{count} items are"
