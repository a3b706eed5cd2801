"""What a queue in memory hands out for an import: arrivals."""

from __future__ import annotations

from typing import TYPE_CHECKING
from zlib import crc32

from pq_cli.core import events
from pq_cli.core.item import Item, checksum_text
from pq_cli.core.origin import Origin, arriving, digest
from pq_cli.core.record import Record
from pq_cli.errors import KeyTakenError, PqError, QueueFullError
from pq_cli.queue.request import Request

if TYPE_CHECKING:
    from typing import BinaryIO, Self

    from pq_cli.queue.memory.store import MemoryStore

_MOST = 500


class MemoryPayload(Record):
    """A payload that has been taken in and is no item yet."""

    content: bytes
    size: int
    checksum: str
    request: Request


def taken_in(content: bytes, request: Request) -> MemoryPayload:
    """Take a payload in."""
    checksum = checksum_text(crc32(content))
    return MemoryPayload(content=content, size=len(content), checksum=checksum, request=request)


class MemoryArrivals:
    """See `queue.departures.Arrivals`."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self._waiting: list[tuple[MemoryPayload, Item, Origin]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._waiting.clear()

    def describe(self, realm: str, reader: str) -> None:
        self._store.readers[realm] = reader

    def receive(self, stream: BinaryIO) -> MemoryPayload:
        return taken_in(stream.read(), Request())

    def discard(self, received: MemoryPayload) -> None:
        """Leave it to the garbage collector."""

    def add(self, received: MemoryPayload, item: Item, origin: Origin) -> None:
        said = {"size": received.size, "checksum": received.checksum}
        self._waiting.append((received, arriving(item, origin).replace(**said), origin))

    @property
    def full(self) -> bool:
        return len(self._waiting) >= _MOST

    def commit(self) -> list[Item | PqError]:
        waiting, self._waiting = self._waiting, []
        with self._store.transaction():
            return [self._enter(*each) for each in waiting]

    def _enter(self, received: MemoryPayload, item: Item, origin: Origin) -> Item | PqError:
        store = self._store
        try:
            store.check(item, "fail")
        except (KeyTakenError, QueueFullError) as error:
            return error
        item = store.enter(item, received)
        store.origins.setdefault(origin.realm, {})[digest(origin.name)] = None
        store.note(events.event_of("imported", item, item.updated_at))
        return item
