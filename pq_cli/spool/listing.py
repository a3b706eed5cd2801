"""The items of a spool, one after another, in the order they would be served now.

A stream: of each lane one block's ids and one meta are held at a time, so the first item
appears at once, however long the queue. Nothing is locked or written.
"""

from __future__ import annotations

from heapq import merge

from pq_cli.core import transitions
from pq_cli.core.item import Item, State
from pq_cli.core.order import serving_order
from pq_cli.spool.disk import layout
from pq_cli.spool.files import Files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pq_cli.core.order import LaneName


class Listing:
    """Lists a spool as it stands at `now` (Unix seconds), in serving order at `t`."""

    def __init__(self, files: Files, now: float, t: float) -> None:
        self._files = files
        self._reader = files.reader
        self._now = now
        self._t = t

    def of(self, state: State) -> Iterator[Item]:
        """Yield the items in a state; what cannot be read is reported and left out."""
        folders = (folder for folder, _ in self._reader.of(state))
        if state is State.PENDING:
            yield from self._pending()
        elif state is State.ACTIVE:  # by id, whatever folder its limit keeps it in
            yield from merge(*(self._in(f, state) for f in folders), key=lambda i: (i.id, i.claims))
        elif state is State.DELAYED:
            for folder in folders:
                if layout.second_of(folder) + 1 > self._now:
                    items = [i for i in self._in(folder, state) if _due_at(i) > self._now]
                    yield from sorted(items, key=lambda i: (_due_at(i), i.id))
        else:
            for folder in folders:
                yield from self._in(folder, state)

    def _pending(self) -> Iterator[Item]:
        due: dict[LaneName, list[Item]] = {}
        for folder, _ in self._reader.of(State.DELAYED):
            if layout.second_of(folder) > self._now:
                break
            for item in self._in(folder, State.DELAYED):
                if _due_at(item) <= self._now:
                    due.setdefault(item.lane, []).append(transitions.due(item))
        numbers = set(self._reader.lanes()) | set(due)
        lanes = {n: self._lane(n, sorted(due.get(n, []), key=_id)) for n in numbers}
        yield from serving_order(lanes, self._files.config, self._t)

    def _lane(self, lane: LaneName, due: list[Item]) -> Iterator[Item]:
        """Yield a lane by id, with the delayed items that are due in their places."""
        folders = (folder for folder, _ in self._reader.of(State.PENDING, lane=lane))
        pending = (i for folder in folders for i in self._in(folder, State.PENDING, lane[0]))
        last = -1
        for item in merge(pending, due, key=_id):
            if item.id != last:  # else it was brought in while we were listing
                yield item
            last = item.id

    def _in(self, folder: str, state: State, priority: int | None = None) -> Iterator[Item]:
        return self._reader.items(folder, state, priority, report=self._files.report)


def _due_at(item: Item) -> float:
    return item.not_before or 0.0


def _id(item: Item) -> int:
    return item.id
