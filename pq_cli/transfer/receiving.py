"""Receiving the items of another queue, each exactly once."""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterator

from pq_cli.core.item import Item
from pq_cli.core.origin import Origin, origin_of, realm_of
from pq_cli.core.transitions import stamp
from pq_cli.errors import DataError, PqError, QueueFullError
from pq_cli.queue.departures import Arrivals
from pq_cli.queue.verbs import Queue
from pq_cli.transfer.scratch import Taken
from pq_cli.transfer.stream import Header, Sent, Source, read_item


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

    def run(self, source: Source) -> Iterator[Item | None]:
        """Yield each item once it is durably here; None for one that came before.

        Raises DataError where the stream is cut short, when what came before has entered; and
        QueueFullError and others of the queue.
        """
        try:
            for entry in source:
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
        except DataError as error:
            self._report(error)
            return
        origin = origin_of(item, self._uuid)
        if origin in self._waiting:
            return
        if self._taken.has(origin.name):
            self._waiting[origin] = False
            return
        try:
            received = self._arrivals.receive(sent.payload)
        except tarfile.TarError as error:
            raise DataError(f"{where}: the payload is cut short: {error}") from None
        if received.size != item.size or item.checksum not in (None, received.checksum):
            self._arrivals.discard(received)
            self._report(DataError(f"{where}: the payload is not the one that its meta tells of"))
            return
        self._arrivals.add(received, item.replace(updated_at=stamp(self._queue.now())), origin)
        self._waiting[origin] = True

    def _commit(self) -> Iterator[Item | None]:
        waiting, self._waiting = self._waiting, {}
        results = iter(self._arrivals.commit())
        full: PqError | None = None
        for origin, is_new in waiting.items():
            result = next(results) if is_new else None
            if isinstance(result, QueueFullError):
                full = result
            elif isinstance(result, PqError):
                self._report(result)
            else:
                if result is not None and self._taken is not None:
                    self._taken.add(origin.name)
                yield result
        if full is not None:
            raise full
