"""Finds: the part of a `Store` that looks for items in order to change them, and locks them.

And Ends: the part that lets items go. A claim that was made here is known to the letter. So its end
is one statement, which does nothing unless the row still says that letter: one round trip, where to
find the item, to lock it and then to end it are two. Whatever else has become of it is found out
that way.
"""

from __future__ import annotations

import math
import time
from functools import cached_property
from threading import get_ident
from typing import TYPE_CHECKING

from pq_cli.core import events, transitions
from pq_cli.core.item import ACTIVE, Item, State
from pq_cli.core.jsonio import to_json
from pq_cli.errors import DamagedItemError, NoSuchItemError, PqError
from pq_cli.postgres import statements as sql
from pq_cli.postgres.looking import Looks
from pq_cli.postgres.presence import channel
from pq_cli.postgres.rows import item_of
from pq_cli.postgres.wire.values import dumped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from pq_cli.postgres.followers import PostgresFollowers
    from pq_cli.postgres.wire.session import Row

ORDER, KEYS, _REMOVALS = 0x7071_0001, 0x7071_0002, 0x7071_0003
"""Locks for all of a queue; see `store`."""
_HEADS = 8
"""Heads of each lane that are looked at: as many as others may be claiming at the moment."""
_SMALL = 8192
"""Bytes of a payload that comes along with a claim."""
CENSUS = 1.0
"""Seconds between looks for workers that have died."""
_MOST_EVENTS = 10_000
_TRIM_EVERY = 500
_SESSION_ENDS = 90.0
"""Seconds after which the server has ended any session that was cut off in a transaction."""
_MOST_OWN = 1000
"""Claims that are remembered: more than a process works on at a time."""


class Finds(Looks):
    """Finds items in a transaction; `PostgresStore` is one."""

    _clock: Callable[[], float] | None
    _time: tuple[float, float] | None
    _next_due: float | None
    _next_lease: float | None
    _next_census: float
    _unheard: list[tuple[int, str]]
    _unheard_until: float
    _claiming: int
    _ahead: Row | None
    followers: PostgresFollowers

    def _open(self) -> None:
        raise NotImplementedError

    def _reappear(self) -> None:
        raise NotImplementedError

    def put(self, before: Item, after: Item) -> Item:
        raise NotImplementedError

    def exclude(self, *locks: int, shared: bool = False) -> None:
        """Take locks for all of the queue, in the order given, until the end of the transaction.

        Before the next statement, and that sees what others did who had them.
        """
        how = "pg_advisory_xact_lock_shared" if shared else "pg_advisory_xact_lock"
        calls = ", ".join(f"{how}(%s::int, %s::int)" for _ in locks)
        self._link.later(
            f"select {calls}", *(value for lock in locks for value in (lock, self.number))
        )

    def find(self, item_id: int, claim: int | None = None) -> Item:
        with self._lock:
            inside = self._link.inside
            if inside and claim is None:
                self.exclude(ORDER, KEYS)
            query = sql.FIND + " for update" if inside else sql.FIND
            row = self._link.row(query, self.number, item_id)
            if row is None:
                raise NoSuchItemError(f"there is no item {item_id}")
            if inside and self._time is None:
                now = row[-1] if self._clock is None else self._clock()
                self._time = now, time.monotonic()
            if inside:
                self.followers.seen(row)
            return item_of(row)

    def owner(self, key: str) -> Item | None:
        self.exclude(KEYS)
        row = self._link.row(sql.OWNER + " for update", self.number, key)
        if row is None:
            return None
        self.followers.seen(row)
        return item_of(row)

    def next(self, t: float) -> Item | None:
        if self._claiming != get_ident():
            self.exclude(ORDER, shared=True)
        passed: list[int] = []
        if self._ahead is not None:
            there, *ahead = self._ahead
            self._ahead = None
            if not there:
                return None
            if ahead[0] is not None:
                try:
                    item = item_of(tuple(ahead))
                except DamagedItemError as error:
                    self._report(error)
                    passed.append(ahead[0])
                else:
                    self._came = item.id, ahead[-1]
                    return item
        values = {
            **self._policy_values, "most": _HEADS, "t": t, "passed": passed, "locked": "",
            "limits": self._given_limits,
        }  # fmt: skip
        while True:
            row = self._link.row(sql.NEXT, values)
            if row is None:
                heads = (self._link.row(sql.MOST_HEADS, values) or (0,))[0]
                if heads < values["most"]:
                    return None  # of what there is, others are claiming the rest
                values["most"] *= 4
                continue
            if row[0] is None:
                self._lock_limit(row[-1], instead_of=values["locked"])
                values["locked"] = row[-1]
                continue
            try:
                return item_of(row)
            except DamagedItemError as error:
                self._report(error)
                passed.append(row[0])

    @cached_property
    def _policy_values(self) -> dict[str, Any]:
        """What claims are ordered by, as it is sent: it is the same each time."""
        config = self._config
        values = {
            "queue": self.number, "ranks": int(config.enable_priority), "small": _SMALL,
            "threshold": config.aging_threshold_seconds, "boost": config.aging_boost,
            "cap": config.max_priority_boost if config.enable_aging else 0, "most": _HEADS,
            "manual": config.aging_clock == "manual",
        }  # fmt: skip
        return {name: dumped(value) for name, value in values.items()}

    def _take(self, now: float | None) -> Row | None:
        """Return what OPENING does, and take ahead the item that `next` will very likely want.

        That is left to `next` where somebody may have died: his items come back first.
        """
        self.exclude(ORDER, shared=True)
        if time.monotonic() >= self._next_census or self._unheard:
            return self._link.row(sql.OPENING, now, self.number)
        row = self._link.row(sql.TAKE, {**self._policy_values, "now": now})
        if row is not None and row[5]:
            self._ahead = row[6:]
        return row

    def _lock_limit(self, limit: str, instead_of: str) -> None:
        """Keep others from letting items of a limit become active, until the transaction ends.

        One lock at a time: whoever held two could wait for somebody who waits for them.
        """
        if instead_of:
            self._link.rows("rollback to savepoint of_limit")
        else:
            self._link.rows("savepoint of_limit")
        self._link.rows(sql.LOCK_LIMIT, str(self.number), limit)

    def has_slot(self, limit: str) -> bool:
        self._link.rows(sql.LOCK_LIMIT, str(self.number), limit)
        rows = self._link.rows(sql.AT_WORK, {"queue": self.number, "limit": limit})
        return (rows[0][1] if rows else 0) < self._most().get(limit, 1)

    def overdue(self, now: float) -> Iterator[tuple[Item, str]]:
        dead = self._dead()
        if not (dead or self._unheard) and (self._next_lease is None or self._next_lease > now):
            return
        self.exclude(ORDER, shared=True)
        if self._unheard:
            ids, said = map(list, zip(*self._unheard, strict=True))
            for item in self._over(sql.UNHEARD, ids, said):
                yield item, transitions.UNHEARD
            if time.monotonic() > self._unheard_until:
                self._unheard.clear()
        for item in self._over(sql.OVERDUE, now):
            yield item, transitions.LEASE_OVER
        if dead:
            for item in self._over(sql.ABANDONED, dead):
                yield item, transitions.WORKER_DIED
            self._link.rows(
                "delete from pq.worker where queue = %s and number = any(%s::bigint[])",
                self.number, dead,
            )  # fmt: skip

    def _over(self, query: str, *how: object) -> Iterator[Item]:
        while rows := self._link.rows(query, self.number, *how):
            for row in rows:
                try:
                    item = item_of(row)
                except DamagedItemError as error:
                    self._report(error)
                    self._link.rows(
                        "update pq.item set lease_until = 'infinity', worker = null"
                        " where queue = %s and id = %s", self.number, row[0]
                    )  # fmt: skip
                    continue
                self.followers.seen(row)
                yield item

    def _dead(self) -> list[int]:
        """Return the numbers of workers that are certainly gone; looked for once a second.

        A server that was restarted or took over knows no session of before: so whoever came to
        another one is given some time to come to this one. This process is here itself, or comes
        now: should it come later, it would wait for what is locked here until the transaction ends.
        """
        if time.monotonic() < self._next_census:
            return []
        self._next_census = time.monotonic() + CENSUS
        self._reappear()
        rows = self._link.rows(sql.ABSENT, {"queue": self.number, "lock": sql.LOCK})
        new = [number for number, here, doubted in rows if not here and doubted is None]
        if new:
            self._link.rows(sql.DOUBT, self.number, new)
        return [number for number, here, doubted in rows if here or (doubted or 0.0) > sql.COMING]

    def removals(self) -> Iterator[tuple[float, list[int]]]:
        if self._link.inside:
            self.exclude(_REMOVALS)  # no two removals have the same second
        before = math.inf
        while True:
            with self._lock:
                row = self._link.row(sql.REMOVALS, self.number, self.number, before)
            if row is None:
                return
            before = row[0]
            yield before, row[1]

    def look_in(self) -> None:
        """Take note that a claim comes: what is read first then takes its lock, too."""
        self._claiming = get_ident()

    def promote(self, now: float) -> None:
        if self._time is not None and (self._next_due is None or self._next_due > now):
            return
        self.exclude(ORDER, shared=True)
        while rows := self._link.rows(sql.PROMOTE, self.number, now):
            for row in rows:
                try:
                    item = item_of(row)
                except DamagedItemError as error:
                    self._report(error)
                    self._link.rows(
                        "update pq.item set not_before = 'infinity' where queue = %s and id = %s",
                        self.number, row[0],
                    )  # fmt: skip
                    continue
                self.put(item, transitions.due(item))

    def next_event(self) -> float | None:
        if self._time is None:
            self._open()
        times = [at for at in (self._next_due, self._next_lease) if at is not None]
        return min((at for at in times if at < math.inf), default=None)


class Ends(Finds):
    """Lets items go; `PostgresStore` is one."""

    _known: tuple[float, float, float | None] | None
    _own: dict[int, tuple[Item, str]]
    _new_claims: list[tuple[int, str]]
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
            before, moving = self._own.pop(item_id, (None, ""))
            if before is None or before.claims != claim or not self._link.stands():
                return None
            at, guess = self._time_now()
            after = transitions.completed(before, at, status)
            said = to_json(events.transition(before, after)).decode()
            values: dict[str, Any] = {
                "queue": self.number, "id": item_id, "moving": moving, "now": guess, "said": said,
            }  # fmt: skip
            self._link.begin()
            if later or self._config.durability == "fast":
                self._link.later(sql.SYNCED, "off")
            if before.limit is not None:
                self._link.later(sql.NOTIFY, channel(self.number))  # there may be a slot
            self._link.later(sql.END, values)
            noted = self._link.commit()[-1]
            if not noted:
                return None
            self._came = 0, None
            self._link.unsettled += later
            self._trim(noted)
            return after

    def _time_now(self) -> tuple[float, float | None]:
        """Return the time, and what the server is to compare with its own, if that counts."""
        if self._clock is not None:
            return self._clock(), None
        then, moment, _ = self._known or (0.0, 0.0, None)
        at = then + (time.monotonic() - moment)
        return at, at

    def _trim(self, noted: list[Row]) -> None:
        """Let old events go, once in a while; noted: the numbers of those that have just come."""
        if any(seq % _TRIM_EVERY == 0 for (seq,) in noted):
            try:
                self._link.rows(sql.TRIM, self.number, self.number, _MOST_EVENTS)
            except (PqError, OSError):
                pass  # the change stands, and others will do it
