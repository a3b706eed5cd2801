"""Finds: the part of a `Store` that looks for items in order to change them, and locks them."""

from __future__ import annotations

import math
import time
from functools import cached_property
from typing import TYPE_CHECKING

from pq_cli.core import transitions
from pq_cli.core.item import Item
from pq_cli.errors import DamagedItemError, NoSuchItemError
from pq_cli.postgres import statements as sql
from pq_cli.postgres.looking import Looks
from pq_cli.postgres.rows import item_of
from pq_cli.postgres.wire.values import dumped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from pq_cli.postgres.followers import PostgresFollowers
    from pq_cli.postgres.wire.session import Row

ORDER, KEYS, _REMOVALS, RETURNS = 0x7071_0001, 0x7071_0002, 0x7071_0003, 0x7071_0005
"""Locks for all of a queue; see `store`."""
_HEADS = 8
"""Heads of each lane that are looked at: as many as others may be claiming at the moment."""
CENSUS = 1.0
"""Seconds between looks for workers that have died."""


class Finds(Looks):
    """Finds items in a transaction; `PostgresStore` is one."""

    where: str
    _clock: Callable[[], float] | None
    _time: tuple[float, float] | None
    _next_due: float | None
    _next_lease: float | None
    _next_census: float
    _unheard: list[tuple[float | None, str]]
    _unheard_until: float
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
        calls = " or ".join(f"{how}(%s::int, %s::int) is null" for _ in locks)  # no row comes back
        self._link.later(
            f"select where {calls}", *(value for lock in locks for value in (lock, self.number))
        )

    def find(self, item_id: int, claim: int | None = None) -> Item:
        with self._lock:
            inside = self._link.inside
            row = self._claimed_row(item_id) if inside and claim else None
            if row is None:
                if inside and claim is None:
                    self.exclude(ORDER, KEYS)
                query = sql.FIND + " for update" if inside and not claim else sql.FIND
                row = self._link.row(query, self.number, item_id)
            if row is None:
                raise NoSuchItemError(f"there is no item {item_id} in {self.where}")
            if inside and self._time is None:
                now = row[-1] if self._clock is None else self._clock()
                self._time = now, time.monotonic()
            if inside:
                self.followers.seen(row)
            return item_of(row)

    def _claimed_row(self, item_id: int) -> Row | None:
        """Return the row of an item that is active, and lock it; None: it is not, nor is it locked.

        The first that its transaction asks for. So whose claim is over locks nothing that others
        may be about to claim. Of one for which others wait the keys are locked first: to tell them
        may need those.
        """
        row = self._link.row(sql.FIND_CLAIMED + " and not awaited for update", self.number, item_id)
        if row is None:
            self._link.begin_anew()  # it may have waited for the row, and would keep it
            self.exclude(KEYS)
            row = self._link.row(sql.FIND_CLAIMED + " for update", self.number, item_id)
        return row

    def owner(self, key: str) -> Item | None:
        self.exclude(KEYS)
        row = self._link.row(sql.OWNER + " for update", self.number, key)
        if row is None:
            return None
        self.followers.seen(row)
        return item_of(row)

    def next(self, t: float) -> Item | None:
        self.exclude(ORDER, shared=True)
        passed: list[int] = []
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
            "queue": self.number, "ranks": int(config.enable_priority),
            "threshold": config.aging_threshold_seconds, "boost": config.aging_boost,
            "cap": config.max_priority_boost if config.enable_aging else 0, "most": _HEADS,
            "manual": config.aging_clock == "manual",
        }  # fmt: skip
        return {name: dumped(value) for name, value in values.items()}

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
        self.exclude(RETURNS)
        self.exclude(ORDER, shared=True)
        self.exclude(KEYS)  # others may wait for what is over
        if self._unheard:
            until, said = map(list, zip(*self._unheard, strict=True))
            for item in self._over(sql.UNHEARD, until, said):
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
        for row, item in self._each(query, "lease_until = 'infinity', worker = null", *how):
            self.followers.seen(row)
            yield item

    def _each(self, query: str, never: str, *how: object) -> Iterator[tuple[Row, Item]]:
        """Yield what a query finds until that is nothing; the caller puts each elsewhere.

        never: what is to stand in the row of one that cannot be read, so that it is found no more.
        """
        while rows := self._link.rows(query, self.number, *how):
            for row in rows:
                try:
                    item = item_of(row)
                except DamagedItemError as error:
                    self._report(error)
                    update = f"update pq.item set {never} where queue = %s and id = %s"
                    self._link.rows(update, self.number, row[0])
                    continue
                yield row, item

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
            self.exclude(RETURNS)
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
        pass

    def promote(self, now: float, *, at_once: bool = False) -> tuple[()]:
        if self._time is not None and (self._next_due is None or self._next_due > now):
            return ()
        self.exclude(RETURNS)
        self.exclude(ORDER, shared=True)
        for _, item in self._each(sql.PROMOTE, "not_before = 'infinity'", now):
            self.put(item, transitions.due(item))
        return ()

    def next_event(self) -> float | None:
        if self._time is None:
            self._open()
        times = [at for at in (self._next_due, self._next_lease) if at is not None]
        return min((at for at in times if at < math.inf), default=None)
