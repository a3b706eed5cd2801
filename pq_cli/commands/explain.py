"""`pq explain`: why an item stands where it stands."""

from __future__ import annotations

from pq_cli.commands.common import ItemsArgument, JsonOption, SpoolOption, for_each, open_spool
from pq_cli.core.insight.explain import ahead, explain
from pq_cli.core.item import State
from pq_cli.render import emit, emit_json
from pq_cli.render.counting import Counting
from pq_cli.render.explain import explanation
from pq_cli.render.terminal import stdout_width


def command(items: ItemsArgument, as_json: JsonOption = False, spool: SpoolOption = "") -> int:
    """Say where an item stands and why: who is ahead, how it ages, what it waits for, its history.

    --json prints one record an item: id, state, and reasons as kind and values (times in Unix
    seconds). Nothing is locked or changed.
    """
    queue = open_spool(spool)
    backlog = None

    def tell(ref: str) -> None:
        nonlocal backlog
        item = queue.get(ref)
        now, t = queue.now(), queue.order_time()
        position = None
        if item.state is State.DELAYED and (item.not_before or 0.0) <= now:
            item = item.replace(state=State.PENDING)
        if item.state is State.PENDING:
            if backlog is None:
                with Counting("items looked at") as counting:
                    backlog = queue.backlog(counting.tick)
            position = ahead(queue.config, item, backlog.lanes, backlog.created_in, t)
        reasons = explain(queue.config, item, position, queue.paused, now, t)
        if as_json:
            told = [{"kind": reason.kind, **reason.values} for reason in reasons]
            emit_json({"id": item.id, "state": str(item.state), "reasons": told})
            return
        for line in explanation(item, reasons, now, stdout_width()):
            emit(line)

    return for_each(queue, items, tell)
