"""Ends: the part of a `Store` that lets items go.

A claim that was made here is known to the letter. So its end is one statement, which does nothing
unless the row still says that letter: one round trip, where to find the item, to lock it and then
to end it are two. Whatever else has become of it is found out that way.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pq_cli.core import events, transitions
from pq_cli.core.item import ACTIVE, Item, State
from pq_cli.core.jsonio import to_json
from pq_cli.errors import PqError
from pq_cli.postgres import statements as sql
from pq_cli.postgres.finding import Finds
from pq_cli.postgres.presence import channel

if TYPE_CHECKING:
    from typing import Any

    from pq_cli.postgres.wire.session import Row

MOST_EVENTS = 10_000
TRIM_EVERY = 2000
"""Events after which old ones go: to find where they begin costs more than to drop them."""
_SESSION_ENDS = 90.0
"""Seconds after which the server has ended any session that was cut off in a transaction."""
_MOST_OWN = 1000
"""Claims that are remembered: more than a process works on at a time."""


class End:
    """The end of a claim that was made here. values: of END. went: whether it was made."""

    def __init__(self, after: Item, values: dict[str, Any]) -> None:
        self.after = after
        self.values = values
        self.went = False


class Ends(Finds):
    """Lets items go; `PostgresStore` is one."""

    _known: tuple[float, float, float | None] | None
    _own: dict[int, tuple[Item, str]]
    _new_claims: list[tuple[float | None, str]]
    _stirred: bool

    def drop(self, item: Item, *, later: bool = False) -> None:
        self.followers.moved(item, None)
        self._drop([item.id], later)
        self._free(item, None)

    def _drop(self, ids: list[int], later: bool = False) -> None:
        self._came = 0, None
        self._link.unsettled += later
        if later or self._config.durability == "fast":
            self._link.later(sql.SYNCED, "off")
        self._link.later(sql.DROP, self.number, ids, self.number)

    def _free(self, before: Item, state: State | None) -> None:
        """Wake those who wait for the slot of an item that was active."""
        if before.limit is not None and before.state is State.ACTIVE is not state:
            self._stirred = True

    def settle(self) -> int:
        with self._lock:
            if self._link.unsettled and self._config.durability != "fast":
                self._link.rows(sql.SYNC)
            count, self._link.unsettled = self._link.unsettled, 0
        return count

    def expire(self, now: float) -> int:
        gone = [row[0] for row in self._link.rows(sql.EXPIRED, self.number, now)]
        if gone:
            self._drop(gone)
        return len(gone)

    def _claimed(self, item: Item, moving: str) -> None:
        """Remember what was written of an item that is active."""
        if item.state is not ACTIVE:
            self._own.pop(item.id, None)
            return
        if len(self._own) >= _MOST_OWN:
            self._own.clear()  # who made them ends them elsewhere
        self._own[item.id] = item, moving

    def _not_heard(self) -> None:
        """Take note that nobody knows whether the claims of this transaction were made.

        Who asked for them has not got them: what was made is over. It may show only once the server
        has let the old session go, so it is looked for as long as that takes.
        """
        self._unheard += self._new_claims
        self._unheard_until = time.monotonic() + _SESSION_ENDS

    def end_own(
        self, item_id: int, claim: int | None, status: int | None, later: bool
    ) -> Item | None:
        """End a claim that was made here as done, and let its item go, in a transaction of its own.

        None: nothing was done, the item must be found. later: as for `drop`.
        """
        with self._lock:
            end = self._end_of_own(item_id, claim, status, later)
            if end is None or not self._link.stands():
                return None
            self._link.begin()
            self._send(end)
            self._sent(end, self._link.commit()[-1])
            if not end.went:
                return None
            self._link.unsettled += later
            return end.after

    def _end_of_own(
        self, item_id: int, claim: int | None, status: int | None, later: bool
    ) -> End | None:
        """Return the end of a claim that was made here; None: it must be found."""
        before, moving = self._own.pop(item_id, (None, ""))
        if before is None or before.claims != claim:
            return None
        at, guess = self._time_now()
        after = transitions.completed(before, at, status)
        said = to_json(events.transition(before, after)).decode()
        values: dict[str, Any] = {
            "queue": self.number, "id": item_id, "moving": moving, "now": guess, "said": said,
            "later": later or self._config.durability == "fast",
        }  # fmt: skip
        return End(after, values)

    def _send(self, end: End, order: int | None = None) -> None:
        """Let a transaction have the end in it; order: as END says."""
        if end.after.limit is not None:
            self._link.later(sql.NOTIFY, channel(self.number))  # there may be a slot
        self._link.later(sql.END, {**end.values, "order": order})

    def _sent(self, end: End, noted: list[Row]) -> None:
        """Take in what END has returned."""
        if noted:
            end.went = True
            self._came = 0, None
            self._trim(noted)

    def _time_now(self) -> tuple[float, float | None]:
        """Return the time, and what the server is to compare with its own, if that counts."""
        if self._clock is not None:
            return self._clock(), None
        then, moment, _ = self._known or (0.0, 0.0, None)
        at = then + (time.monotonic() - moment)
        return at, at

    def _trim(self, noted: list[Row]) -> None:
        """Let old events go, once in a while; noted: those that have just come, by number."""
        if any(row[0] % TRIM_EVERY == 0 for row in noted):
            try:
                self._link.rows(sql.TRIM, self.number, self.number, MOST_EVENTS)
            except (PqError, OSError):
                pass  # the change stands, and others will do it
