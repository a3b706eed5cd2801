"""Claims: the part of a `Store` that claims an item in one statement, as nearly all claims can be.

What a claim makes of an item that nobody ever claimed is the same for all of them, but for its
number and its priority, and the time. So `core.transitions` says it once, and the server fills in
what it has found: one round trip, where to find the item, to lock it and then to write it are two.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from pq_cli.core import events, transitions
from pq_cli.core.item import Item
from pq_cli.core.jsonio import to_json
from pq_cli.core.timefmt import format_time
from pq_cli.errors import DamagedItemError, PqError
from pq_cli.postgres import statements as sql
from pq_cli.postgres.finding import ORDER
from pq_cli.postgres.own.ends import End, Ends
from pq_cli.postgres.rows import COLUMNS, item_of, texts, worker_of

if TYPE_CHECKING:
    from pq_cli.core.item import Holder
    from pq_cli.postgres.wire.session import Row

_SMALL = 8192
"""Bytes of a payload that comes along with a claim."""
_NEAR = 200
"""Numbers behind a lane's head among which the next few are looked for: the server reads a whole
page of the index otherwise."""
_NEW = Item(id=-1, priority=-2, created_at=0.0, updated_at=0.0)
"""An item that nobody ever claimed, with what is to be filled in."""
_AT, _UNTIL = f'"{format_time(0.0)}"', f'"{format_time(1.0)}"'
_NOW = "date_part('epoch', statement_timestamp())"
_MADE = ", ".join(f"made.{name}" for name in COLUMNS.split(", "))

# What most claims are: nothing is due, no lease is over, and of the lane whose head comes first one
# of the next few is free that comes before the heads of all other lanes, and was never claimed.
# Where it is not so nothing is locked or taken, and NEXT looks at all lanes: the first of the few
# that is not `sure` ends the search, it is neither locked nor passed over. Lanes are looked at as
# long as age can have brought one of the rest before the best so far; the first row of `head` is
# none of them, but the queue. As in NEXT, what is locked is found by a loop over the primary key;
# `offset 0` keeps the planner from asking the same thing twice. It has few parts: to set up its
# plan takes the server as long as all that it then finds. Where it is not the `first` of its
# transaction it comes after END, and does nothing unless that did, and has locked the order. A
# claim waits for the disk, also where that end need not (`later`), or nothing does (as in "fast"):
# see `PostgresStore._relax`.
TAKE = f"""
with recursive head as (
    select now, next, case when %(manual)s::bool then coalesce(aged_at, 0) else now end as t,
        paused is null and coalesce(next > now, true) and abs(now - %(at)s::float8) < 0.25
            and (%(first)s::bool or coalesce(current_setting('pq.ended', true) = 'true', false))
            as clear,
        null::bigint as id, 0::smallint as priority, '' collate "C" as limited_by,
        null::bigint as rank, 9223372036854775807 as best
    from (
        select coalesce(%(now)s::float8, {_NOW}) as now, aged_at, paused, least(
            (select not_before from pq.item where item.queue = %(queue)s and state = 'delayed'
             order by not_before limit 1),
            (select lease_until from pq.item where item.queue = %(queue)s and state = 'active'
             order by lease_until limit 1)) as next
        from pq.queue where number = %(queue)s offset 0
    ) as opened
    union all
    select now, next, t, clear, found.*, least(best, found.rank) from head cross join lateral (
        select id, priority, limited_by, {sql.rank("priority", "t - created_at")} as rank
        from pq.item where queue = %(queue)s and state = 'pending'
            and (item.priority, item.limited_by) > (head.priority, head.limited_by)
        order by priority, limited_by, id limit 1
    ) as found where clear and {sql.floor("head.priority")} <= best
), made as (
    update pq.item set state = 'active', not_before = null, lease_until = %(until)s::float8,
        worker = %(worker)s, moving = format(%(moving)s::text, id, priority)
    where queue = %(queue)s and id = (
        select free.id from (
            select * from head order by rank, id limit 1
        ) as first cross join lateral (
            select case when moving like %(fresh)s and created_at <= %(at)s::float8
                and called is not null and limited_by = ''
                and {sql.rank("priority", "first.t - created_at")} <= first.rank then id end as sure
            from pq.item where queue = %(queue)s and state = 'pending'
                and priority = first.priority and limited_by = first.limited_by
                and id < least(first.id + {_NEAR},
                    (select min(id) from head where rank = first.rank and id > first.id))
            order by id limit %(most)s
        ) as front left join lateral (
            select id from pq.item where queue = %(queue)s and id = front.sure
                and state >= 'pending' and state <= 'pending' and moving like %(fresh)s
            for update skip locked
        ) as free on true where free.id is not null or sure is null limit 1
    )
    returning {COLUMNS}, blob, created_at, called
), noted as (
    insert into pq.event (queue, said)
    select %(queue)s, format(%(said)s::text, id, priority, ',"name":' || nullif(called, ''),
        round(greatest(0, %(at)s::float8 - created_at) * 1000) / 1000)
    from made
    returning seq, case when %(later)s::bool then set_config('synchronous_commit', 'on', true) end
)
select now, next, clear, exists (select from head where id is not null),
    (select seq from noted), {_MADE},
    (select data from pq.payload where queue = %(queue)s and blob = made.blob and no = 0
        and octet_length(data) <= {_SMALL})
from head left join made on true where head.id is null
"""
"""The time, when something is due, whether it was so, whether anything is pending, the number of
the event, the item as it is now, its payload."""

_GIVE_BACK = """
update pq.item set state = 'pending', lease_until = null, worker = null, moving = %s
where queue = %s and id = %s and moving = %s
"""


def _to_fill(text: str) -> str:
    """Return a text about `_NEW` for `format`: 1 is its number, 2 its priority."""
    said = ('"id":-1,', '"id":%1$s,'), ('"claim":"-1.1"', '"claim":"%1$s.1"')
    for now, then in (("%", "%%"), *said, ('"priority":-2,', '"priority":%2$s,')):
        text = text.replace(now, then)
    return text


_FRESH = _to_fill(texts(_NEW)[1]).replace("%2$s", "%").replace(_AT, "%")
"""What the row of an item says that nobody ever claimed, for `like`."""


class _Stencil:
    """What a claim by this holder makes of an item that nobody ever claimed, and its event."""

    def __init__(self, holder: Holder) -> None:
        self.holder = holder
        after = transitions.claimed(_NEW, 0.0, 1.0, holder)
        self.worker = worker_of(after)
        self._moving = _to_fill(texts(after, _NEW)[1])
        said = _to_fill(to_json(events.transition(_NEW, after)).decode())
        head, waited, _ = said.rpartition('"waited":')
        self._said = head.replace(',"claim":', '%3$s,"claim":') + waited + "%4$s}"

    def at(self, now: float, until: float) -> tuple[str, str]:
        """Return both for a claim at `now` that holds `until` then, for `format`.

        Of the event 3 is the name, 4 the seconds that the item has waited.
        """
        at = f'"{format_time(now)}"'
        moving = self._moving.replace(_UNTIL, f'"{format_time(until)}"').replace(_AT, at)
        return moving, self._said.replace(_AT, at)


class Claims(Ends):
    """Claims in one statement; `PostgresStore` is one."""

    _whole = True
    """Whether all that was taken so far could be read."""
    _stencil: _Stencil | None = None

    def holder(self, *, bound: bool) -> Holder:
        raise NotImplementedError

    def _is_known(self) -> bool:
        """Tell whether others see this process as a worker at the queue."""
        raise NotImplementedError

    def take(self, seconds: float, bound: bool) -> tuple[bool, Item | None]:
        """Claim the next item, in a transaction of its own.

        Returns whether that is all there is to it, and the item; if it is not, nothing was done.
        What is due, who may have died, and what stands in the row of an item that was claimed
        before, is for `next` and those before it.
        """
        with self._lock:
            stencil = self._prepared(bound)
            return (False, None) if stencil is None else self._take(stencil, seconds)

    def end_and_take(
        self,
        item_id: int,
        claim: int | None,
        status: int | None,
        later: bool,
        seconds: float,
        bound: bool,
    ) -> tuple[bool, bool, Item | None]:
        """End a claim that was made here as done, and then `take`, in one transaction.

        Returns whether it ended, and what `take` does. If it did not, nothing was claimed either.
        later: as for `drop`; but where something was claimed both wait for the disk.
        """
        with self._lock:
            try:
                stencil = self._prepared(bound)
            except (PqError, OSError):
                stencil = None  # the end needs nobody to see us
            end = None if stencil is None else self._end_of_own(item_id, claim, status, later)
            if stencil is None or end is None:
                return False, False, None
            settled, item = self._take(stencil, seconds, end)
            self._link.unsettled += later and end.went and item is None
            return end.went, settled, item

    def _prepared(self, bound: bool) -> _Stencil | None:
        """Return what a claim is to write; None where one statement is not enough for it."""
        asked = time.monotonic() < self._next_census and self._known and not self._unheard
        if not asked or not self._whole or not self._link.stands():
            return None
        if bound and not self._is_known():
            return None  # who finds nothing is no worker
        holder = self.holder(bound=bound)
        if self._stencil is None or self._stencil.holder is not holder:
            self._stencil = _Stencil(holder)
        return self._stencil

    def _take(
        self, stencil: _Stencil, seconds: float, end: End | None = None
    ) -> tuple[bool, Item | None]:
        at, row = self._taken(stencil, seconds, end)
        if row is None or not row[2]:
            return False, None
        (now, due, _, there, seq), found = row[:5], row[5:]
        self._known = now, time.monotonic(), None if due == math.inf else due
        if seq is None:
            return not there, None
        try:
            item = item_of(found)
        except DamagedItemError:
            self._whole = False  # from now on each is read before it is claimed
            unread = _NEW.replace(id=found[0], priority=found[2], updated_at=at)
            try:
                self._link.rows(_GIVE_BACK, texts(unread)[1], self.number, found[0], found[6])
            except (PqError, OSError):
                if end is None:
                    raise
                self._not_heard()  # that the other one has ended must not be lost over it
            return False, None
        self._claimed(item, found[6])
        self._came = item.id, found[-1]
        self._trim([(seq,)])
        return True, item

    def _taken(
        self, stencil: _Stencil, seconds: float, end: End | None
    ) -> tuple[float, Row | None]:
        """Run TAKE, after the end if there is one; return the time of the claim, and its row."""
        at, guess = self._time_now()
        at = transitions.stamp(at)
        until = transitions.stamp(at + seconds)
        moving, said = stencil.at(at, until)
        values = {
            **self._policy_values, "now": at if guess is None else None, "at": at, "until": until,
            "worker": stencil.worker, "moving": moving, "said": said, "fresh": _FRESH,
            "first": end is None,
            "later": self._config.durability == "fast" if end is None else end.values["later"],
        }  # fmt: skip
        self._new_claims = [(until, moving)]
        link = self._link
        link.begin()
        if end is None:
            self.exclude(ORDER, shared=True)
        else:
            self._send(end, order=ORDER)
        link.later(TAKE, values)
        try:
            answers = link.commit()
        except BaseException:
            self._not_heard()  # an interrupt, too; what was refused is just not found
            raise
        if end is not None:
            self._sent(end, answers[-2])
        return at, answers[-1][0] if answers[-1] else None
