"""Looks: the part of a `Store` that only looks; `queue.store` says what its methods promise."""

from __future__ import annotations

import errno
import io
from typing import TYPE_CHECKING

from pq_cli.core import transitions
from pq_cli.core.item import Item, State, printable
from pq_cli.core.order import serving_order
from pq_cli.core.origin import digest
from pq_cli.errors import DamagedItemError, UsageError
from pq_cli.postgres import payloads
from pq_cli.postgres import statements as sql
from pq_cli.postgres.insight import Insight
from pq_cli.postgres.link import Link
from pq_cli.postgres.rows import COLUMNS, event_of, item_of
from pq_cli.queue.common import Common

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any, BinaryIO, NoReturn

    from pq_cli.core.order import LaneName
    from pq_cli.core.policy import QueueConfig
    from pq_cli.postgres.address import Address


_THERE = (
    "select array["
    + ", ".join(
        # Spelled out: only so a partial index fits, and what is not there is known at once.
        f"case when exists (select 1 from pq.item where queue = %(queue)s and state = '{state}')"
        f" then '{state}' end"
        for state in State
    )
    + "]"
)
_ALL = f"select {COLUMNS} from pq.item where queue = %(queue)s and state = "
_OF_LANE = " and priority = %(priority)s and limited_by = %(limit)s order by id"
_LANE = f"{_ALL}'pending'{_OF_LANE}"
_DUE = f"{_ALL}'delayed' and not_before <= %(now)s{_OF_LANE}"
_STREAMS = {
    State.DELAYED: f"{_ALL}'delayed' and not_before > %(now)s order by not_before, id",
    State.REMOVED: f"{_ALL}'removed' order by kept_until, id",
}
_FETCH = 500


class Looks(Insight, Common):
    """Looks at one queue; `PostgresStore` is one."""

    _address: Address
    _patience: float
    _report: Callable[[DamagedItemError], None]
    _looking: list[Link]
    _came: tuple[int, bytes | None]

    def items(self, states: Sequence[State], now: float, t: float) -> Iterator[Item]:
        link = self._spare_link()
        try:
            listing = _Cursors(link, self.number, self._config, now, t, self._report)
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
            "select id, state, coalesce((moving::json->>'claims')::bigint, 0) from pq.item"
            " where queue = %s and id = any(%s::bigint[])",
            self.number, [item.id for item in items],
        ))  # fmt: skip
        return [item for item in items if (item.id, item.state, item.claims) not in stand]

    def count(self, states: Iterable[State]) -> int:
        counts = " + ".join(f"({sql.COUNT.replace('STATE', state)})" for state in states)
        if not counts:
            return 0
        return int(self.ask(f"select {counts}", {"queue": self.number})[0][0])

    def suggest(self, states: Sequence[State], prefix: str) -> Iterator[Item]:
        number, dot, _ = prefix.partition(".")
        for state in states:
            for low, high in _ranges(number, bool(dot)):
                rows = self.ask(sql.SUGGEST.replace("STATE", state), self.number, low, high)
                yield from (item for item in map(item_of, rows)
                            if (item.claim or str(item.id)).startswith(prefix))  # fmt: skip

    def suggest_keys(self, prefix: str) -> list[str]:
        try:
            prefix.encode()
        except UnicodeEncodeError:
            return []
        if "\0" in prefix:
            return []
        rows = self.ask(sql.KEYS, self.number, prefix, prefix + "\U0010ffff")
        return [key for (key,) in rows if printable(key) == key]

    def open_payload(self, item: Item) -> BinaryIO:
        with self._lock:
            (came_with, content), self._came = self._came, (0, None)
        # A payload never changes, and this one came a moment ago, with the claim.
        if came_with == item.id and content is not None and len(content) == item.size:
            return io.BytesIO(content)
        return payloads.open_stream(self.ask, self.number, item)

    def file_of(self, item: Item) -> BinaryIO:
        with self.open_payload(item) as payload:
            return payloads.local_copy(payload, item.id)

    def limits(self) -> set[str]:
        rows = self.ask(sql.LANES, {"queue": self.number, "now": 0.0})
        rows += self.ask("select 0, limited_by from pq.item where queue = %s and state = 'active'"
                         " and limited_by <> '' group by limited_by", self.number)  # fmt: skip
        return {limit for _, limit in rows if limit}

    def logs(self, item: Item) -> dict[int, str]:
        rows = self.ask(
            "select claim from pq.output where queue = %s and id = %s order by claim",
            self.number, item.id,
        )  # fmt: skip
        return {claim: f"{item.id}.{claim}" for (claim,) in rows}

    def open_log(self, item: Item, claim: int) -> BinaryIO:
        rows = self.ask(sql.LOG, self.number, item.id, claim)
        if not rows:
            raise FileNotFoundError(errno.ENOENT, "no log is left of it", f"{item.id}.{claim}")
        return io.BytesIO(rows[0][0])

    def at_path(self, path: str) -> NoReturn:
        raise UsageError(f"{printable(path)}: a queue in a database has no paths: give an id")

    def policy(self) -> str:
        # Whoever is about to change it locks it: of two who do at once none is forgotten.
        lock = " for no key update" if self._link.inside else ""
        rows = self.ask("select policy from pq.queue where number = %s" + lock, self.number)
        return str(rows[0][0])

    def uuid(self, *, lasting: bool = False) -> str:
        return str(self.ask("select uuid from pq.queue where number = %s", self.number)[0][0])

    def taken(self, realm: str) -> Iterator[bytes]:
        last = ""
        while rows := self.ask(sql.TAKEN, self.number, digest(realm).decode(), last):
            yield from (name.encode() for (name,) in rows)
            last = rows[-1][0]

    def reader_of(self, realm: str) -> str | None:
        rows = self.ask(sql.READER, self.number, digest(realm).decode())
        return rows[0][0] if rows else None

    def events(self) -> Iterator[dict[str, Any]]:
        return filter(None, map(event_of, self.ask(sql.EVENTS, self.number)))


def _ranges(number: str, whole: bool) -> Iterator[tuple[int, int]]:
    """Yield the ranges of ids whose text begins with these digits; `whole`: is these digits."""
    if not number:
        yield 0, 10**18
    elif number.isascii() and number.isdigit() and len(number) <= 18 and number[0] != "0":
        value = int(number)
        for zeros in range(1 if whole else 19 - len(number)):
            yield value * 10**zeros, (value + 1) * 10**zeros - 1


class _Cursors:
    """Lists a queue as it stands at `now` (Unix seconds), in serving order at `t`.

    A stream, from cursors in one transaction, which only reads and shows everything as it was at
    one moment. As long as it is open dead rows stay: who lists should go on to the end.

    link: for this alone. report: called with the error of each item that cannot be read.
    """

    def __init__(
        self,
        link: Link,
        queue: int,
        config: QueueConfig,
        now: float,
        t: float,
        report: Callable[[DamagedItemError], None],
    ) -> None:
        self._link = link
        self._values = {"queue": queue, "now": now}
        self._config = config
        self._t = t
        self._report = report

    def items(self, states: Sequence[State]) -> Iterator[Item]:
        """Yield the items in these states, one state after the other."""
        link = self._link
        link.begin()
        try:
            link.later("set transaction isolation level repeatable read read only")
            lanes = link.rows(sql.LANES, self._values)
            ((there,),) = link.rows(_THERE, self._values)
            for state in states:
                if state is State.PENDING:
                    yield from self._pending(lanes)
                elif state in there:
                    by_id = f"{_ALL}'{state}' order by id"
                    yield from self._stream(_STREAMS.get(state, by_id), state)
        finally:
            link.rollback()

    def _pending(self, lanes: Sequence[tuple[Any, ...]]) -> Iterator[Item]:
        of_lane = {(p, limit): self._lane((p, limit), n) for n, (p, limit) in enumerate(lanes)}
        return serving_order(of_lane, self._config, self._t)

    def _lane(self, lane: LaneName, number: int) -> Iterator[Item]:
        """Yield a lane by id, with the delayed items that are due in their places."""
        due = map(transitions.due, self._stream(_DUE, f"due{number}", lane))
        late = next(due, None)
        for item in self._stream(_LANE, f"lane{number}", lane):
            while late is not None and late.id < item.id:
                yield late
                late = next(due, None)
            yield item
        if late is not None:
            yield late
            yield from due

    def _stream(self, query: str, name: str, lane: LaneName = (0, "")) -> Iterator[Item]:
        link, values = self._link, {**self._values, "priority": lane[0], "limit": lane[1]}
        link.later(f"declare {name} no scroll cursor for {query}", values)
        while rows := link.rows(f"fetch {_FETCH} from {name}"):
            for row in rows:
                try:
                    yield item_of(row)
                except DamagedItemError as error:
                    self._report(error)
        link.later(f"close {name}")
