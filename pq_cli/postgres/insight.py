"""What people and `doctor` ask of a queue in a database, beside its items."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pq_cli.core.insight.fact import Fact
from pq_cli.core.insight.shape import Backlog, slots
from pq_cli.core.insight.workers import Worker, duty_of
from pq_cli.core.item import printable
from pq_cli.core.jsonio import parse_python
from pq_cli.errors import ConfigError, DamagedItemError, EventsGoneError
from pq_cli.postgres import statements as sql
from pq_cli.postgres.rows import COLUMNS, OUT_OF_RANGE, event_of, fits, item_of, sql_fits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from threading import RLock
    from typing import Any

    from pq_cli.core.order import LaneName
    from pq_cli.core.policy import QueueConfig
    from pq_cli.postgres.link import Link

    Ask = Callable[..., list[tuple[Any, ...]]]


_WAITING = f"""
select priority, limited_by, array_agg(id order by id), array_agg(
    case when {sql_fits("created_at")} then created_at else {sql.CLOCK} end order by id)
from pq.item
where queue = %s and (state = 'pending' or (state = 'delayed' and not_before <= %s))
group by priority, limited_by order by priority, limited_by
"""
_DELAYED = f"""
select count(*), min(not_before) filter (where {sql_fits("not_before")}) from pq.item
where queue = %s and state = 'delayed' and not_before > %s
"""
_OLDEST = f"""
select pid, coalesce(usename, '?'), {sql.CLOCK} - extract(epoch from xact_start)::float8
from pg_stat_activity where datname = current_database() and xact_start is not null
    and pid <> pg_backend_pid() and backend_type = 'client backend'
order by xact_start limit 1
"""
_PAGE = f"""
select {COLUMNS}, (select sum(octet_length(data)) from pq.payload
                   where payload.queue = item.queue and payload.blob = item.blob)::bigint,
    {" and ".join(map(sql_fits, ("created_at", "not_before", "lease_until")))}
from pq.item where queue = %s and id > %s order by id limit 500
"""
_LEFT = (
    ("""select count(distinct blob) from pq.payload where queue = %s and not exists (
            select 1 from pq.item where item.queue = payload.queue and item.blob = payload.blob)
        and not exists (select 1 from pq.staging
            where staging.queue = payload.queue and staging.blob = payload.blob)""",
     "orphan", "payloads belong to no item"),
    (f"""select count(*) from pq.staging where queue = %s
        and touched < (select {sql.CLOCK} - {sql.FORGOTTEN})""",
     "tmp", "payloads were left behind on their way in; the next large one clears them away"),
)  # fmt: skip
_ROWS = """
select coalesce(sum(n_dead_tup), 0)::bigint, coalesce(sum(n_live_tup), 0)::bigint
from pg_stat_user_tables where schemaname = 'pq'
"""
_LONG = 60.0
"""Seconds after which an open transaction is named: what was claimed since then cannot go."""

_PATIENCE = 2.0
"""Seconds that a look waits for the changes that are being written."""
_FIRST_WAIT, _LONGEST_WAIT = 0.002, 0.05


def _parsed(text: str | None) -> Any:
    """Return what a worker has told of itself; None for what makes no sense."""
    try:
        return None if text is None else parse_python(text)
    except (ValueError, RecursionError):
        return None


def _words(text: str) -> tuple[str, ...]:
    told = _parsed(text)
    return tuple(map(str, told)) if isinstance(told, list) else ()


class EventTail:
    """See `queue.following.Tail`. after: the number of the last event that is known.

    A transaction takes the numbers of its events shortly before its end, and others may end before
    it with higher ones. What may still bring a lower number is known without a word from those who
    write: whoever is writing an event has a lock on the table until its end.
    """

    def __init__(self, ask: Ask, queue: int, after: int) -> None:
        self._ask = ask
        self._queue = queue
        self._after = after

    def read(self) -> Iterator[dict[str, Any]]:
        """Yield what came since."""
        while (last := self._newest()) > self._after and self._all_have_ended():
            rows = self._ask(sql.EVENTS_BETWEEN, self._queue, self._after, last)
            if self._after and rows[:1] and rows[0][0] != self._after:
                raise EventsGoneError.after(self._after, last)
            for row in rows:
                if row[0] > self._after:
                    self._after = row[0]
                    if event := event_of(row):
                        yield event

    def _newest(self) -> int:
        """Return the number of an event that was seen, some hundreds further on or less."""
        first, last = self._ask(sql.NEWEST_EVENT, self._queue, self._after)[0]
        if self._after and first != self._after:
            end = last or self._ask(sql.LAST_EVENT, self._queue)[0][0] or 0
            raise EventsGoneError.after(self._after, end)
        return last or 0

    def _all_have_ended(self) -> bool:
        """Wait until all who are writing now have ended; tell whether they have."""
        deadline, wait = time.monotonic() + _PATIENCE, _FIRST_WAIT
        first = writing = set(self._ask(sql.WRITING))
        while writing:
            if time.monotonic() > deadline:
                return False
            time.sleep(wait)
            wait = min(2 * wait, _LONGEST_WAIT)
            writing = first.intersection(self._ask(sql.WRITING))
        return True

    def close(self) -> None:
        """Nothing to let go of."""


class Insight:
    """The part of a `Store` that tells of a queue as a whole, and of the server."""

    _link: Link
    number: int
    _config: QueueConfig
    _lock: RLock
    _given_limits: str | None
    where: str

    def ask(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Return the rows of a query, between whatever else threads do with the queue."""
        with self._lock:
            return self._link.rows(query, *values)

    def _most(self) -> dict[str, int]:
        """Return how many items of each limit may be active, by the policy of this moment."""
        if self._given_limits is not None:
            return self._config.limits
        rows = self.ask("select limits::text from pq.queue where number = %s", self.number)
        most = parse_python(rows[0][0]) if rows else {}
        if not isinstance(most, dict) or not all(type(n) is int and n > 0 for n in most.values()):
            raise ConfigError(
                f"{self.where}: what its row in pq.queue says of limits makes no sense:"
                " `pq config set limits.NAME=N` writes it anew"
            )
        return most

    def tail(self, after: int) -> EventTail:
        return EventTail(self.ask, self.number, after)

    def backlog(self, now: float) -> Backlog:
        lanes: dict[LaneName, list[int]] = {}
        created: dict[LaneName, dict[int, float]] = {}
        for priority, limit, ids, times in self.ask(_WAITING, self.number, now):
            lanes[priority, limit] = ids
            created[priority, limit] = dict(zip(ids, times, strict=True))
        active: dict[str, int] = dict(self.ask(sql.AT_WORK, {"queue": self.number, "limit": None}))
        delayed, next_due = self.ask(_DELAYED, self.number, now)[0]
        return Backlog(
            lanes=lanes,
            created_in=lambda lane: created[lane].__getitem__,
            delayed=delayed,
            next_due=next_due,
            slots=slots(lanes, active, self._most()),
        )

    def workers(self) -> Iterator[Worker]:
        for number, host, pid, since, command, duty, alive in self.ask(
            sql.WORKERS, sql.COMING, sql.LOCK, self.number
        ):
            since = since if fits(since) else 0.0  # what they say of themselves
            yield Worker(
                lock=str(number), host=host, pid=pid, since=since, alive=alive,
                command=_words(command), duty=duty_of(_parsed(duty)),
            )  # fmt: skip

    def facts(self) -> Iterator[Fact]:
        version, user, standby, size = self.ask(
            "select current_setting('server_version'), current_user::text, pg_is_in_recovery(),"
            " pg_size_pretty(pg_total_relation_size('pq.item')"
            " + pg_total_relation_size('pq.payload'))"
        )[0]
        yield Fact(name="server", value=f"PostgreSQL {printable(version)}")
        yield Fact(name="role", value=printable(user))
        wrong = (
            "a standby only shows; name all hosts and target_session_attrs=read-write in the URL"
        )
        yield Fact(name="replication", value="standby" if standby else "primary",
                   wrong=wrong if standby else None)  # fmt: skip
        yield Fact(name="tables", value=size)
        began = time.perf_counter()
        dead, live = self.ask(_ROWS)[0]
        yield Fact(name="round trip", value=f"{1000 * (time.perf_counter() - began):.1f} ms")
        yield Fact(name="dead rows", value=f"{dead} beside {live} that live")
        oldest = self.ask(_OLDEST)
        if oldest:
            pid, who, age = oldest[0]
            yield Fact(
                name="oldest transaction",
                value=f"{age:.0f} s, of {printable(who)}, pid {pid}",
                wrong="while it is open dead rows stay and claims grow slower"
                if age > _LONG
                else None,
            )

    def findings(self) -> Iterator[tuple[str, int | None, str] | None]:
        """Yield (kind, id, detail) of what is wrong in the tables, None after each page of items.

        The kinds are those of `pq check` that there can be. Nothing is changed or locked.
        """
        last = -(2**63)
        while rows := self.ask(_PAGE, self.number, last):
            for row in rows:
                try:
                    item = item_of(row)
                except DamagedItemError as error:
                    yield "meta", row[0], str(error)
                    continue
                size, times_fit = row[-2:]
                if not times_fit:
                    yield "meta", item.id, f"item {item.id}: its row in pq.item: {OUT_OF_RANGE}"
                if size is None and item.size:
                    yield "missing", item.id, "there is no payload"
                elif (size or 0) != item.size:
                    yield "torn", item.id, f"the payload has {size} bytes, not {item.size}"
            last = rows[-1][0]
            yield None
        given = self.ask("select last_id from pq.counter where queue = %s", self.number)
        if not given or given[0][0] < last:
            yield "counter", None, f"ids up to {last} are there, but the counter is below"
        for query, kind, detail in _LEFT:
            count = self.ask(query, self.number)[0][0]
            if count:
                yield kind, None, f"{count} {detail}"
