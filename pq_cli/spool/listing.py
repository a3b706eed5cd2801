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

    from pq_cli.core.order import LaneName


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
        if state is State.PENDING:
            yield from self._pending()
        elif state is State.ACTIVE:
            yield from self._active()
        elif state is State.DELAYED:
            for folder, _ in self._reader.of(state):
                if layout.second_of(folder) + 1 > self._now:
                    yield from self._waiting(folder)
        else:
            for folder, _ in self._reader.of(state):
                yield from self._in(folder, state)

    def _active(self) -> Iterator[Item]:
        """Yield what is active by id, whatever folder its limit keeps it in."""
        folders = (folder for folder, _ in self._reader.of(State.ACTIVE))
        found = ((claim, f, name) for f in folders for name, claim in self._reader.active_names(f))
        for _, folder, name in sorted(found):
            yield from self._read([name], folder, State.ACTIVE)

    def _pending(self) -> Iterator[Item]:
        due: dict[LaneName, list[Item]] = {}
        for item in self._due():
            due.setdefault(item.lane, []).append(item)
        numbers = set(self._reader.lanes()) | set(due)
        lanes = {n: self._lane(n, sorted(due.get(n, []), key=lambda i: i.id)) for n in numbers}
        yield from serving_order(lanes, self._config, self._t, lambda i: (i.id, i.created_at))

    def _lane(self, lane: LaneName, due: list[Item]) -> Iterator[Item]:
        """Yield a lane by id, with the delayed items that are due in their places."""
        folders = (folder for folder, _ in self._reader.of(State.PENDING, lane=lane))
        for item in (i for folder in folders for i in self._in(folder, State.PENDING, lane[0])):
            while due and due[0].id < item.id:
                yield due.pop(0)
            if due and due[0].id == item.id:
                due.pop(0)
            yield item
        yield from due

    def _due(self) -> Iterator[Item]:
        for folder, _ in self._reader.of(State.DELAYED):
            if layout.second_of(folder) > self._now:
                return
            for item in self._in(folder, State.DELAYED):
                if (item.not_before or 0.0) <= self._now:
                    yield transitions.due(item)

    def _waiting(self, folder: str) -> Iterator[Item]:
        items = [i for i in self._in(folder, State.DELAYED) if (i.not_before or 0.0) > self._now]
        yield from sorted(items, key=lambda i: (i.not_before or 0.0, i.id))

    def _in(self, folder: str, state: State, priority: int | None = None) -> Iterator[Item]:
        return self._read(self._reader.entries(folder), folder, state, priority)

    def _read(
        self, names: Iterable[str], folder: str, state: State, priority: int | None = None
    ) -> Iterator[Item]:
        for name in names:
            try:
                yield self._reader.read(folder, name, state, priority)
            except FileNotFoundError:
                continue  # it moved on while we were listing
            except DamagedItemError as error:
                self._report(error)
