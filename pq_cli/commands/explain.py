"""`pq explain`: why an item stands where it stands."""

from __future__ import annotations

from contextlib import suppress

from pq_cli.commands.spools import for_each, open_spool
from pq_cli.core.insight.explain import ahead, explain, others
from pq_cli.core.item import State
from pq_cli.errors import DamagedItemError, NoSuchItemError
from pq_cli.options import AS_JSON, ITEMS, LookOptions
from pq_cli.render.explain import explanation
from pq_cli.render.terminal import stdout_width
from pq_cli.screen import Screen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from pq_cli.queue.verbs import Queue


class ExplainOptions(LookOptions):
    """The command line of `pq explain`, as typed."""

    items: tuple[str, ...] = ITEMS
    as_json: bool = AS_JSON


def command(o: ExplainOptions, screen: Screen) -> int:
    """Say where an item stands and why: who is ahead, how it ages, what it waits for, its history.

    --json prints one record an item: id, state, and reasons as kind and values (times in Unix
    seconds). Nothing is locked or changed.
    """
    queue = open_spool(o, screen)
    backlog = None

    def tell(ref: str) -> None:
        nonlocal backlog
        item = queue.get(ref)
        now, t = queue.now(), queue.order_time()
        position = slots = None
        if item.state is State.DELAYED and (item.not_before or 0.0) <= now:
            item = item.replace(state=State.PENDING)
        if item.state is State.PENDING:
            if backlog is None:
                backlog = queue.backlog()
            lanes = backlog.open_lanes(item.limit)
            position = ahead(queue.config, item, lanes, backlog.created_in, t)
            slots = backlog.slots.get(item.limit or "")
        in_the_way = queue.trouble() if item.state in (State.PENDING, State.ACTIVE) else []
        reasons = explain(queue.config, item, position, queue.paused, now, t, in_the_way, slots)
        reasons += others(item, _states(queue, item.after), queue.followers(item))
        if o.as_json:
            told = [{"kind": reason.kind, **reason.values} for reason in reasons]
            screen.emit_json({"id": item.id, "state": str(item.state), "reasons": told})
            return
        for line in explanation(item, reasons, now, stdout_width()):
            screen.emit(line)

    return for_each(queue, o.items, screen, tell)


def _states(queue: Queue, ids: Iterable[int]) -> dict[int, str]:
    """Return the states of those of the items that are there."""
    found = {}
    for item_id in ids:
        with suppress(NoSuchItemError, DamagedItemError):
            found[item_id] = str(queue.get(item_id).state)
    return found
