"""Arrivals: items with a past enter in batches, each of them exactly once.

A batch is one transaction: the items, and the names under which they are known where they come
from. So an item is remembered before anybody can work at it, and only if it enters.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from pq_cli.core import events
from pq_cli.core.item import Item, checksum_text
from pq_cli.core.origin import Origin, arriving, digest
from pq_cli.errors import KeyTakenError, PqError, QueueFullError, TryAgainError
from pq_cli.postgres import payloads
from pq_cli.postgres import statements as sql
from pq_cli.queue.request import Request

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager
    from typing import Any, BinaryIO, Protocol, Self

    from pq_cli.postgres.entry import Entry
    from pq_cli.postgres.payloads import Staged

    class _Store(Protocol):
        """What is needed of the store."""

        number: int
        where: str

        def ask(self, query: str, *values: object) -> list[tuple[Any, ...]]: ...
        def transaction(self) -> AbstractContextManager[object]: ...
        def now(self) -> float: ...
        def stage(self, payload: BinaryIO, request: Request) -> Staged: ...
        def finish(self, batch: Sequence[Staged], admitted: int) -> object: ...
        def entry(self, now: float, keys: bool) -> Entry: ...
        def note(self, event: dict[str, Any]) -> None: ...


_MOST = 500
_MOST_BYTES = 32 * 1024 * 1024
"""What is in memory of a batch: payloads that one row holds."""


class Received:
    """A payload on its way in."""

    def __init__(self, staged: Staged, crc: int) -> None:
        self.staged = staged
        self.size = staged.size
        self.checksum = checksum_text(crc)


class _Summing:
    """A stream whose bytes are summed as they are read."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.crc = 0

    def read(self, size: int) -> bytes:
        part = self._stream.read(size)
        self.crc = zlib.crc32(part, self.crc)
        return part


class PostgresArrivals:
    """See `queue.departures.Arrivals`."""

    def __init__(self, store: _Store) -> None:
        self._store = store
        self._waiting: list[tuple[Received, Item, Origin]] = []
        self._staged: list[Staged] = []

    def __enter__(self) -> Self:
        if not self._store.ask(sql.LOCK_IMPORT, self._store.number)[0][0]:
            raise TryAgainError(f"another import into {self._store.where} is under way")
        return self

    def __exit__(self, *_: object) -> None:
        self._clear()
        try:
            self._store.ask(sql.UNLOCK_IMPORT, self._store.number)
        except (PqError, OSError):
            pass  # the lock has gone with the connection

    def _clear(self) -> None:
        staged, self._staged, self._waiting = self._staged, [], []
        self._store.finish([each for each in staged if not each.taken], 0)

    def describe(self, realm: str, reader: str) -> None:
        """Remember how a realm is read."""
        self._store.ask(sql.DESCRIBE, self._store.number, digest(realm).decode(), reader)

    def receive(self, stream: BinaryIO) -> Received:
        """Take a payload in; `add` or `discard` it then."""
        summing = _Summing(stream)
        staged = self._store.stage(summing, Request())  # type: ignore[arg-type]
        self._staged.append(staged)
        return Received(staged, summing.crc)

    def discard(self, received: Received) -> None:
        """Throw a payload away."""
        self._staged.remove(received.staged)
        self._store.finish([received.staged], 0)

    def add(self, received: Received, item: Item, origin: Origin) -> None:
        """Let an item enter with this payload."""
        came = arriving(item, origin).replace(
            size=received.size, checksum=received.checksum, written_boot=None
        )
        self._waiting.append((received, came, origin))

    @property
    def full(self) -> bool:
        """Tell whether it is time to commit."""
        in_memory = sum(len(staged.content or b"") for staged in self._staged)
        return len(self._staged) >= _MOST or in_memory >= _MOST_BYTES

    def commit(self) -> list[Item | PqError]:
        """Let the batch enter; return for each item the item or why not."""
        if not self._waiting:
            self._clear()
            return []
        outcome: list[Item | PqError] = []
        store = self._store
        with store.transaction():
            now = store.now()
            entry = store.entry(now, any(item.key is not None for _, item, _ in self._waiting))
            origins: list[Origin] = []
            for received, item, origin in self._waiting:
                try:
                    item = entry.enter(item, received.staged, "fail")
                except (KeyTakenError, QueueFullError) as error:
                    outcome.append(error)
                    continue
                store.note(events.event_of("imported", item, item.updated_at))
                outcome.append(item)
                origins.append(origin)
            entry.end()
            payloads.remember(store.ask, store.number, origins)
        self._clear()
        return outcome
