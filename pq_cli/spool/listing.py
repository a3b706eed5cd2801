"""The items of a spool, one after another, in the order they would be served now.

A stream: of each lane one block's ids and one meta are held at a time, so the first item
appears at once, however long the queue. Nothing is locked or written.
"""

from __future__ import annotations

from pq_cli.core import transitions
from pq_cli.core.item import Item, State
from pq_cli.core.order import serving_order
from pq_cli.core.policy import QueueConfig
from pq_cli.errors import DamagedItemError
from pq_cli.spool.disk import layout
from pq_cli.spool.disk.reader import Reader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


class Listing:
    """Lists a spool as it stands at `now` (Unix seconds), in serving order at `t`.

    report: called with the error of each item that cannot be read; it is left out.
    """

    def __init__(
        self,
        reader: Reader,
        config: QueueConfig,
        now: float,
        t: float,
        report: Callable[[DamagedItemError], None],
    ) -> None:
        self._reader = reader
        self._config = config
        self._now = now
        self._t = t
        self._report = report

    def items(self, states: Iterable[State]) -> Iterator[Item]:
        """Yield the items in these states, one state after the other."""
        for state in states:
            yield from self._of(state)

    def _of(self, state: State) -> Iterator[Item]:
        if state is State.ACTIVE:
            for name, _ in self._reader.active_names():
                yield from self._one("active", name, state, None)
        elif state is State.PENDING:
            yield from self._pending()
        elif state is State.DELAYED:
            for folder in self._reader.second_folders(State.DELAYED):
                if layout.second_of(folder) + 1 > self._now:
                    yield from self._waiting(folder)
        elif state is State.REMOVED:
            for folder in self._reader.second_folders(state):
                yield from self._second(folder, state)
        else:
            yield from self._blocks(str(state), state, None)

    def _pending(self) -> Iterator[Item]:
        due: dict[int, list[Item]] = {}
        for item in self._due():
            due.setdefault(item.priority, []).append(item)
        numbers = set(self._reader.lanes()) | set(due)
        lanes = {n: self._lane(n, sorted(due.get(n, []), key=lambda i: i.id)) for n in numbers}
        yield from serving_order(lanes, self._config, self._t, lambda i: (i.id, i.created_at))

    def _lane(self, lane: int, due: list[Item]) -> Iterator[Item]:
        """Yield a lane by id, with the delayed items that are due in their places."""
        for item in self._blocks(f"pending/{lane:02d}", State.PENDING, lane):
            while due and due[0].id < item.id:
                yield due.pop(0)
            if due and due[0].id == item.id:
                due.pop(0)
            yield item
        yield from due

    def _due(self) -> Iterator[Item]:
        for folder in self._reader.second_folders(State.DELAYED):
            if layout.second_of(folder) > self._now:
                return
            for item in self._second(folder, State.DELAYED):
                if (item.not_before or 0.0) <= self._now:
                    yield transitions.due(item)

    def _waiting(self, folder: str) -> Iterator[Item]:
        items = [
            i for i in self._second(folder, State.DELAYED) if (i.not_before or 0.0) > self._now
        ]
        yield from sorted(items, key=lambda i: (i.not_before or 0.0, i.id))

    def _second(self, folder: str, state: State) -> Iterator[Item]:
        for item_id in sorted(self._reader.ids(folder)):
            yield from self._one(folder, f"{item_id:010d}", state, None)

    def _blocks(self, folder: str, state: State, lane: int | None) -> Iterator[Item]:
        for block in sorted(self._reader.blocks(folder)):
            inner = f"{folder}/{block:07d}"
            for item_id in sorted(self._reader.ids(inner)):
                yield from self._one(inner, f"{item_id:010d}", state, lane)

    def _one(self, folder: str, name: str, state: State, lane: int | None) -> Iterator[Item]:
        try:
            yield self._reader.read(folder, name, state, lane)
        except FileNotFoundError:
            return  # it moved on while we were listing
        except DamagedItemError as error:
            self._report(error)
