"""What a command acts on: ITEMs, or those that options choose, and how many that were."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pq_cli.commands.spools import for_each, open_spool, told
from pq_cli.core.insight import words
from pq_cli.core.selection import EVERYTHING, Selection
from pq_cli.errors import NoLongerFitsError, NoSuchItemError, UsageError
from pq_cli.render.counting import counted

if TYPE_CHECKING:
    from collections.abc import Callable

    from pq_cli.core.item import Item, State
    from pq_cli.options import ChosenOptions
    from pq_cli.queue.verbs import Queue
    from pq_cli.screen import Screen

    Act = Callable[..., Item]


def act_on(
    o: ChosenOptions,
    screen: Screen,
    may: tuple[State, ...],
    did: str,
    verb: Callable[[Queue], Act],
    only: Selection | None = None,
) -> int:
    """Apply a verb to the ITEMs, or to what was chosen: each only if it still fits.

    may: the states in which the verb can act on an item; those that are meant without --state.
    did: what is said of the items afterwards. verb: given the queue, returns what does it to one.
    only: instead of what the options choose.
    """
    chosen = o.selection() if only is None else only
    if o.items and chosen != EVERYTHING:
        raise UsageError("ITEMs and a choice such as --state or --key exclude each other")
    if not o.items and chosen == EVERYTHING:
        raise UsageError("give ITEMs, or say which with --state, --key, --older-than or the like")
    if o.items and o.dry_run:
        raise UsageError("--dry-run goes with a choice such as --state or --key, not with ITEMs")
    for state in chosen.states:
        if state not in may:
            raise UsageError(f"--state {state}: only {', '.join(may)} items can be {did}")
    queue = open_spool(o, screen)
    if o.items:
        return for_each(queue, o.items, screen, told(o.as_json, queue, screen, verb(queue)))
    chosen = chosen.replace(states=chosen.states or may)
    items = counted(queue.select(chosen), screen, "items found")
    found = [str(item.id) for item in items]
    if o.dry_run:
        tell = told(True, queue, screen, queue.get) if o.as_json else screen.emit
        status = for_each(queue, found, screen, tell)
        screen.warn(f"{words.counted(len(found), 'item')} would be {did}")
        return status
    act, count = told(o.as_json, queue, screen, verb(queue)), 0

    def once(ref: str) -> None:
        nonlocal count
        try:
            act(ref, only=chosen)
        except (NoSuchItemError, NoLongerFitsError):
            return  # somebody else was quicker
        count += 1

    status = for_each(queue, found, screen, once)
    of = f"{count:,} of " if count != len(found) else ""
    screen.warn(f"{of}{words.counted(len(found), 'item')} {'is' if count == 1 else 'are'} {did}")
    return status
