"""`pq purge`: sweep old items."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pq_cli.commands.spools import open_spool
from pq_cli.core.insight import words
from pq_cli.core.item import State
from pq_cli.core.timefmt import parse_duration
from pq_cli.errors import ConflictError, NoSuchItemError, UsageError
from pq_cli.options import EACH_AS_JSON, STATES, Options, option
from pq_cli.render.counting import Counting, counted
from pq_cli.render.present import item_json
from pq_cli.screen import Screen

if TYPE_CHECKING:
    from pq_cli.queue.verbs import Queue


class PurgeOptions(Options):
    """The command line of `pq purge`, as typed."""

    states: tuple[State, ...] = STATES
    older_than: float | None = option("--older-than D", "Not changed since D.", read=parse_duration)
    dry_run: bool = option("--dry-run", "Only say what would go.")
    as_json: bool = EACH_AS_JSON


def command(o: PurgeOptions, screen: Screen) -> int:
    """Remove items by state and by the time since they last changed; print their ids.

    Without options: done items older than keep_done and failed ones older than keep_failed. Other
    states must be named; active items are never swept. `pq undo` brings them back, for keep_removed
    (a day); `--state removed` alone lets all that was removed go for good.
    """
    if o.older_than is not None and not o.states:
        raise UsageError("--older-than needs --state")
    wanted = list(o.states) or [State.FAILED, State.DONE]
    if State.REMOVED in wanted and (len(wanted) > 1 or o.older_than is not None or o.dry_run):
        raise UsageError("--state removed goes alone: it lets all that was removed go for good")
    if State.ACTIVE in wanted:
        raise UsageError("active items cannot be purged; release or finish them first")
    queue = open_spool(o, screen)
    if wanted == [State.REMOVED]:
        return _for_good(queue, screen)
    now, t, until = queue.now(), queue.order_time(), queue.removal()
    kept = {State.FAILED: queue.config.keep_failed, State.DONE: queue.config.keep_done}
    count = 0
    for item in counted(queue.items(wanted), screen, "items", lambda: queue.count(wanted)):
        if now - item.updated_at < (o.older_than or 0.0 if o.states else kept[item.state]):
            continue
        if not o.dry_run:
            try:
                item = queue.remove(item, state=item.state, kept_until=until)
            except (NoSuchItemError, ConflictError):
                continue  # somebody else was quicker
        if o.as_json:
            screen.emit_json(item_json(item, queue.config, t))
        else:
            screen.emit(str(item.id))
        count += 1
    did = "would be" if o.dry_run else "was" if count == 1 else "were"
    screen.warn(f"{words.counted(count, 'item')} {did} removed")
    return 0


def _for_good(queue: Queue, screen: Screen) -> int:
    """Let all that was removed go, and say how much that was."""
    count = queue.count([State.REMOVED])
    with Counting(screen, "items", count) as counting:
        for let_go in queue.expire():
            counting.tick(let_go)
    screen.warn(f"{words.counted(count, 'item')} {'is' if count == 1 else 'are'} gone for good")
    return 0
