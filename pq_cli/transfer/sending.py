"""Sending the items of a queue, oldest id first, to keep or for good."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, BinaryIO

from pq_cli.core.item import Item, State
from pq_cli.core.origin import as_sent
from pq_cli.core.transitions import stayed
from pq_cli.errors import (
    DamagedItemError,
    DataError,
    NoSuchItemError,
    PqError,
)
from pq_cli.opened import Reading
from pq_cli.queue.departures import Departures
from pq_cli.transfer.stream import Writer, header_values, item_values

if TYPE_CHECKING:
    from pq_cli.queue.verbs import Queue

_TOGETHER = 100
"""Items marked, or put back, under one lock and one sync."""


class Sending:
    """Sends the items of `queue` that are in `states`.

    departures: marks each item before it is sent (`--move`), or None to leave all as it is.
    report: called with what keeps an item from being sent, or removed; it stays as it is.
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
        self._sent = array("Q")
        self._marked = array("Q")  # perhaps

    def send(self, writer: Writer, uuid: str, host: str, at: str) -> Iterator[int]:
        """Write a whole stream. Yield 0 for each item that is looked at, 1 for each sent."""
        writer.header(header_values(uuid, host, at))
        ids = yield from self._ids()
        for start in range(0, len(ids), _TOGETHER):
            for item in self._ready(ids[start : start + _TOGETHER]):
                if self._one(writer, item):
                    self._sent.append(item.id)
                    yield 1
        writer.end(len(self._sent))

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
        return item.state is not State.ACTIVE and stayed(item).state in self._states

    def _ready(self, ids: array[int]) -> list[Item]:
        if self._departures is not None:
            whole = [item_id for item_id in ids if self._is_whole(item_id)]
            self._marked.extend(whole)
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
        payload = self._payload(item_id)
        if payload is not None:
            payload.close()
        return payload is not None

    def _payload(self, item_id: int) -> BinaryIO | None:
        """Return a payload, or None: it has gone since, or is damaged, and that was reported."""
        try:
            return self._queue.open_payload(item_id)
        except NoSuchItemError:
            return None
        except DamagedItemError as error:
            self._report(error)
            return None

    def _one(self, writer: Writer, item: Item) -> bool:
        payload = self._payload(item.id)
        if payload is None:
            return False
        with payload, Reading(payload):
            try:
                writer.item(item_values(item), payload, item.size)
            except DataError as error:
                self._report(error)
                return False
        return True

    def settle(self) -> int:
        """Remove what was sent, together, and put back what was not; return how many have left."""
        assert self._departures is not None
        until, left, sent = self._queue.removal(), 0, set(self._sent)
        for item_id in self._sent:
            try:
                state = self._departures.marked(item_id).state
                self._queue.remove(item_id, state=state, kept_until=until)
                left += 1
            except NoSuchItemError:
                continue  # somebody has removed it meanwhile
            except PqError as error:
                self._report(error)
        self._stay([item_id for item_id in self._marked if item_id not in sent])
        return left

    def stay(self) -> None:
        """Put back as they were all that may be marked."""
        self._stay(self._marked)

    def _stay(self, ids: Sequence[int] | array[int]) -> None:
        assert self._departures is not None
        for start in range(0, len(ids), _TOGETHER):
            self._departures.put_back(ids[start : start + _TOGETHER])
