"""Looks: the part of a `Store` that only looks; `queue.store` says what its methods promise."""

from __future__ import annotations

import errno
import io
from typing import TYPE_CHECKING

from pq_cli.core.item import Item, State, printable
from pq_cli.core.jsonio import parse_python
from pq_cli.errors import DamagedItemError, UsageError
from pq_cli.postgres import insight, payloads
from pq_cli.postgres import statements as sql
from pq_cli.postgres.link import Link
from pq_cli.postgres.listing import Listing
from pq_cli.postgres.rows import item_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from threading import RLock
    from typing import Any, BinaryIO, NoReturn

    from pq_cli.core.insight.fact import Fact
    from pq_cli.core.insight.shape import Backlog
    from pq_cli.core.policy import QueueConfig
    from pq_cli.postgres.address import Address
    from pq_cli.queue.store import Arrivals


class Looks:
    """Looks at one queue; `PostgresStore` is one."""

    _address: Address
    _link: Link
    _queue: int
    _config: QueueConfig
    _patience: float
    _report: Callable[[DamagedItemError], None]
    _lock: RLock
    _looking: list[Link]

    def ask(self, query: str, *values: object, binary: bool = False) -> list[tuple[Any, ...]]:
        """Return the rows of a query, between whatever else threads do with the queue."""
        with self._lock:
            return self._link.rows(query, *values, binary=binary)

    def items(self, states: Sequence[State], now: float, t: float) -> Iterator[Item]:
        link = self._spare_link()
        try:
            listing = Listing(link, self._queue, self._config, now, t, self._report)
            yield from listing.items(states)
        finally:
            with self._lock:
                self._looking.append(link)

    def _spare_link(self) -> Link:
        """Return a connection for one listing: it goes on while the queue is changed."""
        with self._lock:
            if self._looking:
                return self._looking.pop()
        return Link(self._address, self._patience)

    def lost(self, items: Sequence[Item]) -> list[Item]:
        stand = set(self.ask(
            "select id, (moving::json->>'claims')::bigint from pq.item"
            " where queue = %s and id = any(%s::bigint[]) and state = 'active'",
            self._queue, [item.id for item in items],
        ))  # fmt: skip
        return [item for item in items if (item.id, item.claims) not in stand]

    def count(self, states: Iterable[State]) -> int:
        with self._lock:
            row = self._link.row(
                "select count(*) from pq.item where queue = %s and state = any(%s::text[])",
                self._queue, [str(state) for state in states],
            )  # fmt: skip
        return 0 if row is None else int(row[0])

    def suggest(self, states: Sequence[State], prefix: str) -> Iterator[Item]:
        number, dot, _ = prefix.partition(".")
        for state in states:
            for low, high in _ranges(number, bool(dot)):
                with self._lock:
                    rows = self._link.rows(sql.SUGGEST, self._queue, str(state), low, high)
                yield from (item for item in map(item_of, rows)
                            if (item.claim or str(item.id)).startswith(prefix))  # fmt: skip

    def suggest_keys(self, prefix: str) -> list[str]:
        try:
            prefix.encode()
        except UnicodeEncodeError:
            return []
        if "\0" in prefix:
            return []
        with self._lock:
            rows = self._link.rows(sql.KEYS, self._queue, prefix, prefix + "\U0010ffff")
        return [key for (key,) in rows if printable(key) == key]

    def open_payload(self, item: Item) -> BinaryIO:
        return payloads.open_stream(self, self._queue, item)

    def file_of(self, item: Item) -> AbstractContextManager[BinaryIO]:
        return payloads.file_of(self, self._queue, item)

    def read_payload(self, item: Item) -> bytes:
        with payloads.open_stream(self, self._queue, item) as stream:
            return stream.read()

    def backlog(self, now: float) -> Backlog:
        return insight.backlog(self.ask, self._queue, now)

    def logs(self, item: Item) -> dict[int, str]:
        rows = self.ask(
            "select claim from pq.output where queue = %s and id = %s order by claim",
            self._queue, item.id,
        )  # fmt: skip
        return {claim: f"{item.id}.{claim}" for (claim,) in rows}

    def open_log(self, item: Item, claim: int) -> BinaryIO:
        rows = self.ask(sql.LOG, self._queue, item.id, claim, binary=True)
        if not rows:
            raise FileNotFoundError(errno.ENOENT, "no log is left of it", f"{item.id}.{claim}")
        return io.BytesIO(rows[0][0])

    def at_path(self, path: str) -> NoReturn:
        raise UsageError(f"{printable(path)}: a queue in a database has no paths: give an id")

    # Not there yet: these need a table of origins and a column for the uuid.

    def uuid(self, *, lasting: bool = False) -> str:
        raise UsageError(f"{self._address.shown}: pq export does not know this kind of queue yet")

    def arrivals(self) -> Arrivals:
        raise UsageError(f"{self._address.shown}: pq import does not know this kind of queue yet")

    def taken(self, realm: str) -> Iterator[bytes]:
        raise UsageError(f"{self._address.shown}: pq import does not know this kind of queue yet")

    def reader_of(self, realm: str) -> str | None:
        raise UsageError(f"{self._address.shown}: pq migrate does not know this kind of queue yet")

    def quarantined(self) -> int:
        return 0

    def facts(self) -> Iterator[Fact]:
        return insight.facts(self.ask, self._queue)

    def events(self) -> Iterator[dict[str, Any]]:
        with self._lock:
            rows = self._link.rows(sql.EVENTS, self._queue)
        for (said,) in rows:
            yield parse_python(said)


def _ranges(number: str, whole: bool) -> Iterator[tuple[int, int]]:
    """Yield the ranges of ids whose text begins with these digits; `whole`: is these digits."""
    if not number:
        yield 0, 10**18
    elif number.isascii() and number.isdigit() and len(number) <= 18 and number[0] != "0":
        value = int(number)
        for zeros in range(1 if whole else 19 - len(number)):
            yield value * 10**zeros, (value + 1) * 10**zeros - 1
