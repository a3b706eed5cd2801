"""The items in the order they would be served: a stream, from cursors in one transaction.

The transaction only reads, and shows everything as it was at one moment. As long as it is open dead
rows stay: who lists should go on to the end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg

from pq_cli.core import transitions
from pq_cli.core.item import Item, State
from pq_cli.core.order import serving_order
from pq_cli.errors import DamagedItemError
from pq_cli.postgres.rows import COLUMNS, item_of
from pq_cli.postgres.trouble import translated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pq_cli.core.policy import QueueConfig
    from pq_cli.postgres.link import Link

_THERE = """
select array(select number from generate_series(1, 10) as lane(number) where exists (
        select 1 from pq.item where queue = %(queue)s and state = 'pending' and priority = number)
    or exists (select 1 from pq.item where queue = %(queue)s and state = 'delayed'
        and not_before <= %(now)s and priority = number)),
    array(select name from unnest(%(states)s::text[]) as state(name) where exists (
        select 1 from pq.item where queue = %(queue)s and state = name))
"""
_LANE = f"""
select {COLUMNS} from pq.item where queue = %(queue)s and priority = %(lane)s and state = 'pending'
order by id
"""
_DUE = f"""
select {COLUMNS} from pq.item where queue = %(queue)s and priority = %(lane)s and state = 'delayed'
    and not_before <= %(now)s order by id
"""
_DELAYED = f"""
select {COLUMNS} from pq.item where queue = %(queue)s and state = 'delayed' and not_before > %(now)s
order by not_before, id
"""
_REMOVED = f"""
select {COLUMNS} from pq.item where queue = %(queue)s and state = 'removed' order by kept_until, id
"""
_OTHERS = {
    state: f"""
select {COLUMNS} from pq.item where queue = %(queue)s and state = '{state}' order by id
"""
    for state in ("active", "held", "failed", "done")
}
_FETCH = 500


class Listing:
    """Lists a queue as it stands at `now` (Unix seconds), in serving order at `t`.

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
        try:
            connection = link.connection
            with connection.transaction():
                connection.execute("set transaction isolation level repeatable read read only")
                values = {**self._values, "states": [str(state) for state in states]}
                found = connection.execute(_THERE, values).fetchone()
                lanes, there = found or ([], [])
                for state in states:
                    if state is State.PENDING:
                        yield from self._pending(lanes)
                    elif state in there:
                        yield from self._of(state)
        except psycopg.Error as error:
            raise translated(error, link.address) from None

    def _of(self, state: State) -> Iterator[Item]:
        if state is State.DELAYED:
            return self._stream(_DELAYED, "delayed")
        if state is State.REMOVED:
            return self._stream(_REMOVED, "removed")
        return self._stream(_OTHERS[str(state)], str(state))

    def _pending(self, lanes: Sequence[int]) -> Iterator[Item]:
        of_lane = {lane: self._lane(lane) for lane in lanes}
        return serving_order(of_lane, self._config, self._t, lambda i: (i.id, i.created_at))

    def _lane(self, lane: int) -> Iterator[Item]:
        """Yield a lane by id, with the delayed items that are due in their places."""
        due = map(transitions.due, self._stream(_DUE, f"due{lane}", lane))
        late = next(due, None)
        for item in self._stream(_LANE, f"lane{lane}", lane):
            while late is not None and late.id < item.id:
                yield late
                late = next(due, None)
            yield item
        if late is not None:
            yield late
            yield from due

    def _stream(self, sql: str, name: str, lane: int = 0) -> Iterator[Item]:
        with self._link.connection.cursor(name) as cursor:
            cursor.itersize = _FETCH
            cursor.execute(sql, {**self._values, "lane": lane})
            for row in cursor:
                try:
                    yield item_of(row)
                except DamagedItemError as error:
                    self._report(error)
