"""Sending the items of a queue, oldest id first, to keep or for good."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import TYPE_CHECKING

from pq_cli.core.item import Item, State
from pq_cli.core.origin import as_sent, sent_state
from pq_cli.errors import DamagedItemError, DataError, NoSuchItemError, PqError
from pq_cli.opened import Reading
from pq_cli.queue.departures import Departures
from pq_cli.transfer.stream import Writer, header_values, item_values

if TYPE_CHECKING:
    from pq_cli.queue.verbs import Queue

_TOGETHER = 100
"""Items marked under one lock and one sync."""


class Sending:
    """Sends the items of `queue` that are in `states`.

    departures: marks each item before it is sent (`--move`), or None to leave all as it is.
    report: called with what keeps an item from being sent; it stays as it is. `sent` holds
    the ids of those that were sent, `marked` of those that are perhaps marked.
    """

    def __init__(
        self,
        queue: Queue,
        states: Iterable[State],
        departures: Departures | None,
        report: Callable[[PqError], None],
    ) -> None:
        self._queue = queue
        self._states = set(states)
        self._departures = departures
        self._report = report
        self.sent = array("Q")
        self.marked = array("Q")

    def send(self, writer: Writer, uuid: str, host: str, at: str) -> Iterator[int]:
        """Write a whole stream. Yield 0 for each item that is looked at, 1 for each sent."""
        writer.header(header_values(uuid, host, at))
        ids = yield from self._ids()
        for start in range(0, len(ids), _TOGETHER):
            for item in self._ready(ids[start : start + _TOGETHER]):
                if self._one(writer, item):
                    self.sent.append(item.id)
                    yield 1
        writer.end(len(self.sent))

    def _ids(self) -> Generator[int, None, array[int]]:
        """Return the ids to send, sorted, in eight bytes each: so lanes keep their order."""
        looked_at = self._states | ({State.HELD} if self._departures else set())  # a crash's
        wanted = array("Q")
        for item in self._queue.items(looked_at):
            yield 0
            if self._wanted(item):
                wanted.append(item.id)
        return array("Q", sorted(wanted))

    def _wanted(self, item: Item) -> bool:
        if self._departures is None:
            return item.state in self._states
        return item.state is not State.ACTIVE and sent_state(item) in self._states

    def _ready(self, ids: array[int]) -> list[Item]:
        if self._departures is not None:
            whole = [item_id for item_id in ids if self._is_whole(item_id)]
            self.marked.extend(whole)
            return self._departures.mark(whole)
        items = []
        for item_id in ids:
            try:
                items.append(as_sent(self._queue.get(item_id)))
            except NoSuchItemError:
                continue  # it has gone since
            except DamagedItemError as error:
                self._report(error)
        return items

    def _is_whole(self, item_id: int) -> bool:
        try:
            self._queue.open_payload(item_id).close()
        except NoSuchItemError:
            return False
        except DamagedItemError as error:
            self._report(error)
            return False
        return True

    def _one(self, writer: Writer, item: Item) -> bool:
        try:
            payload = self._queue.open_payload(item.id)
        except NoSuchItemError:
            return False
        except DamagedItemError as error:
            self._report(error)
            return False
        with payload, Reading(payload):
            try:
                writer.item(item_values(item), payload, item.size)
            except DataError as error:
                self._report(error)
                return False
        return True
