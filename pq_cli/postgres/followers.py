"""Followers: who waits for whom, as rows; told in the transaction in which the other one ends.

An item that others came after has a mark in its row, so that nobody asks who follows the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pq_cli.core.item import State
from pq_cli.core.transitions import standing, stands_anew, ties

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from pq_cli.core.item import Item

_OF = "select follower from pq.follower where queue = %s and item = %s order by follower"
_TIE = """
insert into pq.follower (queue, item, follower)
select %s, item, %s from unnest(%s::bigint[]) as item on conflict do nothing
"""
_UNTIE = "delete from pq.follower where queue = %s and follower = %s and item = any(%s::bigint[])"
_STAND = """
select id, state, moving::json->>'state' from pq.item where queue = %s and id = any(%s::bigint[])
"""
_AWAIT = """
with one as materialized (
    select id from pq.item where queue = %s and id = any(%s::bigint[]) order by id for update)
update pq.item set awaited = true from one where queue = %s and item.id = one.id
returning item.id, state, moving::json->>'state'
"""


class PostgresFollowers:
    """The index of one queue; see `queue.followers.Followers`.

    ask: returns the rows of a query. exclude: keeps those out who look at the heads of lanes, while
    rows are locked.
    """

    def __init__(
        self,
        ask: Callable[..., list[tuple[Any, ...]]],
        queue: int,
        exclude: Callable[[], None],
    ) -> None:
        self.untold: dict[int, State | None] = {}
        self._ask = ask
        self._queue = queue
        self._exclude = exclude
        self._awaited: set[int] = set()

    def begin_anew(self) -> None:
        """Forget what was read in a transaction."""
        self.untold.clear()
        self._awaited.clear()

    def seen(self, row: Sequence[object]) -> None:
        """Take note of what the row of an item says of those that come after it."""
        if row[7]:
            self._awaited.add(int(row[0]))  # type: ignore[call-overload]

    def of(self, item_id: int) -> list[int]:
        """Return who waits for an item."""
        return [row[0] for row in self._ask(_OF, self._queue, item_id)]

    def told(self, item_id: int) -> None:
        """Take note that an item's followers know."""
        del self.untold[item_id]

    def stand(self, ids: Sequence[int], *, fixed: bool = False) -> dict[int, State]:
        """Return how items stand; fixed: their rows are locked, and marked."""
        if fixed:
            self._exclude()
            rows = self._ask(_AWAIT, self._queue, list(ids), self._queue)
        else:
            rows = self._ask(_STAND, self._queue, list(ids))
        ended = {i: how for i, how in self.untold.items() if how is not None and i in ids}
        stand = {i: standing(State(state), was and State(was)) for i, state, was in rows}
        return ended | stand

    def refused(self, error: OSError) -> None:
        """Let the transaction fail as a whole."""
        raise error

    def moved(self, before: Item | None, after: Item | None) -> None:
        """Follow an item that changes; None: it is new, or is dropped."""
        old, new = ties(before), ties(after)
        if before is not None and (left := sorted(set(old).difference(new))):
            self._ask(_UNTIE, self._queue, before.id, left)
        if after is not None and (come := sorted(set(new).difference(old))):
            self._ask(_TIE, self._queue, after.id, come)
        if before is not None and before.id in self._awaited:
            stands = stands_anew(before, after)
            if stands is not None:
                self.untold[before.id] = stands
