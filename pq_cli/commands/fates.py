"""What became of an item that is not there any more, as far as the log tells."""

from __future__ import annotations

from contextlib import suppress

from pq_cli.core.timefmt import parse_time
from pq_cli.errors import NoSuchItemError, UsageError
from pq_cli.queue.verbs import Queue
from pq_cli.render.words import wall_time


class Fates:
    """Tells it of one queue; the log is read once, at the first question."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._ended: dict[int, tuple[str, object]] | None = None

    def told(self, error: NoSuchItemError, named: str) -> str:
        """Return what to say of an item that is missing: what became of it where that is known."""
        item_id = int(named.partition(".")[0])
        fate = self.of(item_id)
        if fate is None:
            return error.told()
        return f"there is no item {item_id}: {fate}; `pq log {item_id}` tells of it"

    def of(self, item_id: int) -> str | None:
        """Return `it was done at 06:32:56`, or the like, or None where nothing is known."""
        if self._ended is None:
            self._ended = {}
            with suppress(OSError):  # who may not read it is told the rest
                self._look()
        event, at = self._ended.get(item_id, ("", None))
        if event not in ("done", "removed"):
            return None
        try:
            when = wall_time(parse_time(str(at)), self._queue.now())
        except UsageError:
            return None
        return f"it was {event} at {when}"

    def _look(self) -> None:
        ended = ((r.get("id"), (r["event"], r.get("at"))) for r in self._queue.log())
        self._ended = {number: last for number, last in ended if isinstance(number, int)}
