"""What became of an item that is not there any more, as far as the log tells."""

from __future__ import annotations

from pq_cli.core.timefmt import parse_time
from pq_cli.errors import NoSuchItemError, UsageError
from pq_cli.queue.verbs import Queue
from pq_cli.render.words import wall_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    Fates = dict[int, tuple[str, object]]


def fates_of(queue: Queue) -> Fates:
    """Return the last event of each item that the log tells of, and when it was, by id."""
    try:
        last = ((record.get("id"), (record["event"], record.get("at"))) for record in queue.log())
        return {number: event for number, event in last if isinstance(number, int)}
    except OSError:  # who may not read it is told the rest
        return {}


def missing_text(error: NoSuchItemError, named: str, fates: Fates, now: float) -> str:
    """Return what to say of an item that is missing: what became of it where that is known."""
    item_id = int(named.partition(".")[0])
    event, at = fates.get(item_id, ("", None))
    try:
        when = wall_time(parse_time(str(at)), now)
    except UsageError:
        return error.told()
    if event not in ("done", "removed"):
        return error.told()
    return f"there is no item {item_id}: it was {event} at {when}; `pq log {item_id}` tells of it"
