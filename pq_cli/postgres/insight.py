"""What people and `doctor` ask of a queue in a database, beside its items."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pq_cli.core.insight.fact import Fact
from pq_cli.core.insight.shape import Backlog
from pq_cli.core.item import printable
from pq_cli.postgres.statements import CLOCK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any


_WAITING = """
select priority, array_agg(id order by id), array_agg(created_at order by id) from pq.item
where queue = %s and (state = 'pending' or (state = 'delayed' and not_before <= %s))
group by priority order by priority
"""
_DELAYED = """
select count(*), min(not_before) from pq.item
where queue = %s and state = 'delayed' and not_before > %s
"""
_OLDEST = f"""
select pid, coalesce(usename, '?'), {CLOCK} - extract(epoch from xact_start)::float8
from pg_stat_activity where datname = current_database() and xact_start is not null
    and pid <> pg_backend_pid() and backend_type = 'client backend'
order by xact_start limit 1
"""
_LONG = 60.0
"""Seconds after which an open transaction is named: what was claimed since then cannot go."""


def backlog(ask: Callable[..., list[tuple[Any, ...]]], queue: int, now: float) -> Backlog:
    """Return what waits at `now`; see `Store.backlog`."""
    lanes: dict[int, list[int]] = {}
    created: dict[int, dict[int, float]] = {}
    for priority, ids, times in ask(_WAITING, queue, now):
        lanes[priority] = ids
        created[priority] = dict(zip(ids, times, strict=True))
    delayed, next_due = ask(_DELAYED, queue, now)[0]
    return Backlog(
        lanes=lanes,
        created_in=lambda lane: created[lane].__getitem__,
        delayed=delayed,
        next_due=next_due,
    )


def facts(ask: Callable[..., list[tuple[Any, ...]]], queue: int) -> Iterator[Fact]:
    """Yield what should be known of the server and the tables."""
    version, user, standby, size = ask(
        "select current_setting('server_version'), current_user::text, pg_is_in_recovery(),"
        " pg_size_pretty(pg_total_relation_size('pq.item') + pg_total_relation_size('pq.payload'))"
    )[0]
    yield Fact(name="server", value=f"PostgreSQL {printable(version)}")
    yield Fact(name="role", value=printable(user))
    wrong = "a standby only shows; name all hosts and target_session_attrs=read-write in the URL"
    yield Fact(name="replication", value="standby" if standby else "primary",
               wrong=wrong if standby else None)  # fmt: skip
    yield Fact(name="tables", value=size)
    oldest = ask(_OLDEST)
    if oldest:
        pid, who, age = oldest[0]
        yield Fact(
            name="oldest transaction",
            value=f"{age:.0f} s, of {printable(who)}, pid {pid}",
            wrong="while it is open dead rows stay and claims grow slower" if age > _LONG else None,
        )
