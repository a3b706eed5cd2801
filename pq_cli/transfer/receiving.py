"""Receiving the items of another queue, each exactly once."""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pq_cli.core.item import Item
from pq_cli.core.origin import Origin, origin_of, realm_of
from pq_cli.core.transitions import stamp
from pq_cli.errors import DataError, PqError, QueueFullError
from pq_cli.queue.departures import Arrivals
from pq_cli.queue.verbs import Queue
from pq_cli.transfer.stream import Header, Sent, Source, read_item
from pq_cli.transfer.taken import Taken


@dataclass(frozen=True, slots=True)
class Arrived:
    """An item is durably here: `item` if it has entered now, None if it came before."""

    origin: Origin
    item: Item | None


class Receiving:
    """Lets what a source yields enter through `arrivals`.

    arrivals: those of the queue. report: called with why an item was refused; the others enter.
    """

    def __init__(self, queue: Queue, arrivals: Arrivals, report: Callable[[PqError], None]) -> None:
        self._queue = queue
        self._arrivals = arrivals
        self._report = report
        self._taken: Taken | None = None
        self._uuid = ""
        self._number = 0
        self._waiting: dict[Origin, bool] = {}

    def run(self, source: Source) -> Iterator[Arrived]:
        """Yield each item once it is durably here.

        Raises DataError where the stream is cut short, when what came before has entered; and
        QueueFullError and others of the queue.
        """
        try:
            for entry in source.read():
                if isinstance(entry, Header):
                    yield from self._commit()
                    self._begin(entry)
                else:
                    self._take(entry)
                if self._arrivals.full or len(self._waiting) >= 1000:
                    yield from self._commit()
        except DataError:
            yield from self._commit()
            raise
        except CutShortError as error:
            yield from self._commit()
            raise DataError(str(error)) from None
        finally:
            if self._taken is not None:
                self._taken.close()
        yield from self._commit()

    def _begin(self, header: Header) -> None:
        if self._taken is not None:
            self._taken.close()
        self._uuid = header.spool
        self._taken = Taken(self._queue, realm_of(header.spool))

    def _take(self, sent: Sent) -> None:
        self._number += 1
        where = f"item {self._number} of the stream"
        if self._taken is None:
            raise DataError(f"{where}: the stream has no header")
        try:
            item = read_item(sent.values, where)
            origin = origin_of(item, self._uuid)
            if origin in self._waiting:
                return
            if self._taken.has(origin.name):
                self._waiting[origin] = False
                return
            self._stage(sent, item, origin, where)
        except DataError as error:
            self._report(error)

    def _stage(self, sent: Sent, item: Item, origin: Origin, where: str) -> None:
        try:
            received = self._arrivals.receive(sent.payload)
        except tarfile.TarError as error:
            raise CutShortError(f"{where}: the payload is cut short: {error}") from None
        same = item.checksum in (None, received.checksum)
        if received.size != item.size or not same:
            self._arrivals.discard(received)
            raise DataError(f"{where}: the payload is not the one that its meta tells of")
        self._arrivals.add(received, item.replace(updated_at=stamp(self._queue.now())), origin)
        self._waiting[origin] = True

    def _commit(self) -> Iterator[Arrived]:
        waiting, self._waiting = self._waiting, {}
        results = iter(self._arrivals.commit())
        full: PqError | None = None
        for origin, is_new in waiting.items():
            if not is_new:
                yield Arrived(origin, None)
                continue
            result = next(results)
            if isinstance(result, Item):
                if self._taken is not None:
                    self._taken.add(origin.name)
                yield Arrived(origin, result)
            elif isinstance(result, QueueFullError):
                full = result
            else:
                self._report(result)
        if full is not None:
            raise full


class CutShortError(Exception):
    """The stream ends within a payload."""
