"""The SQL. Values are parameters, always; nothing else ever comes into a text from outside."""

from __future__ import annotations

from pq_cli.core.item import LIVE
from pq_cli.postgres.rows import COLUMNS

CLOCK = "date_part('epoch', clock_timestamp())"
"""Of the server, Unix seconds (`extract` takes longer, by way of a numeric). As `(select ...)`, or
no index would be used with it."""

_LIVE = "state in ('active', 'pending', 'delayed', 'held')"

OPENING = f"""
select coalesce(%s::float8, {CLOCK}), queue.aged_at, queue.paused,
    (select min(not_before) from pq.item where queue = queue.number and state = 'delayed'),
    (select min(lease_until) from pq.item where queue = queue.number and state = 'active')
from pq.queue where number = %s
""".replace("queue = queue.number", "item.queue = queue.number")
"""Parameters: now or null, queue. The time, the state of the queue, when something is next due."""

LOCK = 0x7071_0000_0000_0000
"""What a worker's number is added to, for its advisory lock."""
FORGOTTEN = 86400.0
"""Seconds after which a payload that nobody has gone on with is taken for left behind."""
COMING = 15.0
"""Seconds that workers have to come to a server that was restarted or took over."""
ABSENT = f"""
select number, server = pg_postmaster_start_time(), {CLOCK} - doubted
from pq.worker where queue = %(queue)s and pg_try_advisory_xact_lock_shared(%(lock)s + number)
union all
select worker, true, null from (
    select distinct worker from pq.item where queue = %(queue)s and state = 'active'
        and worker is not null and not exists (
            select from pq.worker where worker.queue = item.queue and number = item.worker)
    offset 0
) as struck_off where pg_try_advisory_xact_lock_shared(%(lock)s + worker)
"""
"""Workers whose lock nobody has; whether they came to this server, since when they are missed.

Among them those that were struck off, and have claimed since: they had not noticed that their
session was gone, and died before they did.
"""
DOUBT = f"""
update pq.worker set doubted = {CLOCK} where queue = %s and number = any(%s::bigint[])
    and doubted is null
"""
SIGN = """
insert into pq.worker (queue, number, host, pid, command, duty) values (%s, %s, %s, %s, %s, %s)
on conflict (queue, number)
    do update set server = excluded.server, duty = excluded.duty, doubted = null
"""
DESCRIBE_WORKER = "update pq.worker set duty = %s where queue = %s and number = %s"
# A standby has none of the locks; and to a server that has just started they are still to come.
WORKERS = f"""
select number, host, pid, since, command, duty, pg_is_in_recovery()
    or (server <> pg_postmaster_start_time()
        and {CLOCK} < extract(epoch from pg_postmaster_start_time())::float8 + %s)
    or exists (select 1 from pg_locks where locktype = 'advisory' and objsubid = 1 and granted
        and database = (select oid from pg_database where datname = current_database())
        and (classid::bigint << 32) | objid::bigint = %s + number)
from pq.worker where queue = %s order by number
"""

FIND = f"select {COLUMNS}, {CLOCK} from pq.item where queue = %s and id = %s"
FIND_CLAIMED = FIND + " and state >= 'active' and state <= 'active'"
"""Only if it is claimed; found by its number, so that no partial index fits."""
OWNER = f"select {COLUMNS} from pq.item where queue = %s and key = %s and {_LIVE}"


def rank(priority: str, age: str) -> str:
    """Return the effective priority: that of `order.effective`; 0 where priorities are off."""
    boost = f"least(floor(({age}) / %(threshold)s::float8) * %(boost)s::float8, %(cap)s::float8)"
    return f"greatest(%(ranks)s::int, {priority} * %(ranks)s::int - greatest(0, {boost}))::bigint"


def floor(priority: str) -> str:
    """Return the lowest that it can ever be: that of `order.floor`."""
    return f"greatest(%(ranks)s::int, ({priority}) * %(ranks)s::int - %(cap)s::float8)"


# The lanes that there are: from each the index is asked for the next, so it costs a look for every
# lane of a priority and a limit, and none for what lies in it.
_LANES = """
lane(priority, limited_by) as (
    (select priority, limited_by from pq.item where queue = %(queue)s and state = 'pending'
     order by priority, limited_by limit 1)
    union all
    select found.* from lane cross join lateral (
        select priority, limited_by from pq.item where queue = %(queue)s and state = 'pending'
            and (item.priority, item.limited_by) > (lane.priority, lane.limited_by)
        order by priority, limited_by limit 1) as found
)"""
# And those whose limit is not full.
_OPEN = f"""{_LANES}, unfilled as materialized (
    select priority, limited_by from lane where limited_by = '' or (
        select count(*) from pq.item as busy where busy.queue = %(queue)s and busy.state = 'active'
            and busy.limited_by <> '' and busy.limited_by = lane.limited_by
    ) < coalesce((coalesce(%(limits)s::jsonb, (select limits from pq.queue
        where number = %(queue)s)) ->> lane.limited_by)::int, 1)
)"""
# The heads are looked at without locks and materialised; only then are they tried for a lock, one
# after another until one is free. SKIP LOCKED where they are looked for would turn the order round.
# The last part must be a loop over the primary key, whatever the planner believes of the table: so
# it is lateral, has no order of its own, and says `=` so that no partial index fits. An item comes
# after all before it in its lane, whatever the clocks said when it came: so it is placed by the
# highest (rank, id) up to it. Nothing is taken from behind the last head of a lane that has more:
# others may be taking all its heads that were looked at, and the next one is more urgent. Of an
# item with a limit only that is told, and nothing locked, until the limit's lock is held.
NEXT = f"""
with recursive {_OPEN}, head as materialized (
    select found.id, lane.priority as lane, lane.limited_by, found.age
    from unfilled as lane cross join lateral (
        select id, %(t)s::float8 - created_at as age from pq.item
        where queue = %(queue)s and state = 'pending' and item.priority = lane.priority
            and item.limited_by = lane.limited_by and id <> all(%(passed)s::bigint[])
        order by id limit %(most)s
    ) as found
), ranked as (
    select id, lane, limited_by, {rank("lane", "age")} as rank from head
), placed as materialized (
    select id, lane, limited_by,
        max(array[rank, id]) over (partition by lane, limited_by order by id) as place
    from ranked
), sure as materialized (
    select id, limited_by, place from placed where place <= coalesce(
        (select min(last) from (select max(place) as last from placed group by lane, limited_by
                                having count(*) >= %(most)s) as longer), place)
    order by place, id
)
select taken.*, sure.limited_by from sure left join lateral (
    select {COLUMNS} from pq.item where queue = %(queue)s and id = sure.id
        and state >= 'pending' and state <= 'pending'
        and (sure.limited_by = '' or sure.limited_by = %(locked)s::text)
    for update skip locked
) as taken on true
where (taken.id is not null or (sure.limited_by <> '' and sure.limited_by <> %(locked)s::text))
    and not exists (select 1 from pq.queue where number = %(queue)s and paused is not null)
limit 1
"""
MOST_HEADS = f"""
with recursive {_OPEN}
select coalesce(max(found.heads), 0) from unfilled as lane cross join lateral (
    select count(*) as heads from (
        select 1 from pq.item where queue = %(queue)s and state = 'pending'
            and item.priority = lane.priority and item.limited_by = lane.limited_by
        limit %(most)s) as front
) as found
"""
LANES = f"""
with recursive {_LANES}
select priority, limited_by from lane union
select priority, limited_by from pq.item where queue = %(queue)s and state = 'delayed'
    and not_before <= %(now)s
order by priority, limited_by
"""
"""Parameters: queue, now. The lanes in which anything waits, or is due."""
LOCK_LIMIT = (
    "select pg_advisory_xact_lock(hashtextextended(%s::text || '@' || %s::text, 1886453765))"
)
"""Of a queue and a limit: held by those who let an item of it become active."""
AT_WORK = """
select limited_by, count(*) from pq.item
where queue = %(queue)s and state = 'active' and limited_by <> ''
    and (%(limit)s::text is null or limited_by = %(limit)s::text)
group by limited_by
"""

OVERDUE = f"""
select {COLUMNS}, lease_until from pq.item where queue = %s and state = 'active'
    and lease_until <= %s order by lease_until, id limit 500 for update skip locked
"""
"""Who has the row is about to change it, and may need the order, which is held here: it is looked
for again by the next. So it is with all that are brought back."""
ABANDONED = f"""
select {COLUMNS}, lease_until from pq.item where queue = %s and state = 'active'
    and worker = any(%s::bigint[]) order by id limit 500 for update skip locked
"""
UNHEARD = f"""
select {COLUMNS}, lease_until from (select %s::int as queue) as mine join pq.item using (queue)
    join unnest(%s::float8[], %s::text[]) as claim(until, said)
        on lease_until = claim.until and moving = format(said, id, priority)
where state = 'active' order by id for update of item skip locked
"""
"""Of claims, by their lease and what was written; that as `format` fills it in."""
PROMOTE = f"""
select {COLUMNS} from pq.item where queue = %s and state = 'delayed' and not_before <= %s
order by not_before, id limit 500 for update skip locked
"""

PUT = """
update pq.item set state = %s, priority = %s, not_before = %s, lease_until = %s, kept_until = %s,
    worker = %s, moving = %s
where queue = %s and id = %s
"""
PUT_ALL = PUT.replace("moving = %s", "moving = %s, fixed = %s, limited_by = %s, called = %s")

DROP = """
with gone as (delete from pq.item where queue = %s and id = any(%s::bigint[])
              returning queue, blob, id),
    logs as (delete from pq.output using gone
             where output.queue = %s and output.id = gone.id returning 1)
delete from pq.payload using gone where payload.queue = gone.queue and payload.blob = gone.blob
"""

END = f"""
with gone as (
    delete from pq.item where queue = %(queue)s and id = %(id)s and moving = %(moving)s
        and not awaited and coalesce(abs({CLOCK} - %(now)s::float8) < 0.25, true)
    returning queue, blob, id
), logs as (
    delete from pq.output where queue = %(queue)s and id = (select id from gone)
), content as (
    delete from pq.payload where queue = %(queue)s and blob = (select blob from gone)
)
insert into pq.event (queue, said) select queue, %(said)s from gone
returning seq,
    case when %(order)s::int is not null then set_config('pq.ended',
        pg_try_advisory_xact_lock_shared(%(order)s::int, queue)::text, true) end,
    case when %(later)s::bool then set_config('synchronous_commit', 'off', true) end
"""
"""DROP and NOTE at once, of an item that is as it was when it was written `moving`.

order: the lock for a claim that comes after it in its transaction; null: none does. That sees by
`pq.ended` that the end was made and the lock is held. It is not waited for: who has it may be
waiting for this row. later: the commit does not wait for the disk.

Not of one for which others wait: they are to be told. Nor where the time that the event tells is
not the server's: its clock was set, or ours stood still.
"""
NOTIFY = "select pg_notify(%s, '')"
SYNCED = "select set_config('synchronous_commit', %s, true)"
"""Let the commit wait for the disk (on), or not (off)."""

SYNC = "select pg_logical_emit_message(true, 'pq', '')::text"
"""Something to commit: when that is on the disk, all that came before it is."""

NO_MORE_IDS = "select 1 from pq.counter where queue = %s for update"
"""Let nobody else give an id until the end of the transaction."""
LIVE_COUNT = "select count(*) from (select 1 from ({}) as live limit %(most)s) as counted".format(
    " union all ".join(
        f"select 1 from pq.item where queue = %(queue)s and state = '{state}'" for state in LIVE
    )
)
"""The live items, no more than `most` of them looked at."""
ENTER = """
with counted as (
    update pq.counter set last_id = last_id + cardinality(%(state)s::text[])
    where queue = %(queue)s returning last_id - cardinality(%(state)s::text[]) as before
), line as materialized (
    select * from unnest(%(state)s::text[], %(priority)s::int[], %(created_at)s::float8[],
        %(not_before)s::float8[], %(limited_by)s::text[], %(key)s::text[], %(blob)s::bigint[],
        %(data)s::bytea[], %(fixed)s::text[], %(moving)s::text[], %(called)s::text[],
        %(said)s::text[])
    with ordinality as line(
        state, priority, created_at, not_before, limited_by, key, blob, data, fixed, moving, called,
        said, place)
), numbered as materialized (
    select before + place as id, coalesce(blob, nextval('pq.blob')) as number, line.*
    from counted cross join line
), content as (
    insert into pq.payload (blob, queue, no, data)
    select number, %(queue)s, 0, data from numbered where blob is null and data <> ''
), entered as (
    insert into pq.item
        (queue, id, state, priority, created_at, not_before, limited_by, key, blob, fixed, moving,
        called)
    select %(queue)s, id, state, priority, created_at, not_before, limited_by, key, number, fixed,
        moving, called
    from numbered
)
insert into pq.event (queue, item, said) select %(queue)s, id, said from numbered order by id
returning seq, item
"""
"""Give new items their ids, and write them down with their payloads and events."""

NOTE = """
insert into pq.event (queue, said) select %s, said from unnest(%s::text[]) as said returning seq
"""
TRIM = """
delete from pq.event where queue = %s and seq <= (
    select seq from pq.event where queue = %s order by seq desc offset %s limit 1)
"""
EVENTS = "select seq, said, item from pq.event where queue = %s order by seq"
NEWEST_EVENT = """
select min(seq), max(seq) from (
    select seq from pq.event where queue = %s and seq >= %s order by seq limit 500) as next
"""
LAST_EVENT = "select max(seq) from pq.event where queue = %s"
EVENTS_BETWEEN = """
select seq, said, item from pq.event where queue = %s and seq between %s and %s order by seq
"""
WRITING = """
select virtualtransaction, pid from pg_locks
where locktype = 'relation' and relation = 'pq.event'::regclass and mode = 'RowExclusiveLock'
    and database = (select oid from pg_database where datname = current_database()) and granted
"""
"""Transactions that have written, or are about to write, an event: their lock ends after them."""

REMOVALS = """
select kept_until, array_agg(id order by id) from pq.item
where queue = %s and state = 'removed' and kept_until = (
    select max(kept_until) from pq.item where queue = %s and state = 'removed' and kept_until < %s)
group by kept_until
"""
EXPIRED = """
select id from pq.item where queue = %s and state = 'removed' and kept_until <= %s
order by kept_until, id limit 500 for update skip locked
"""

# STATE stands for one of ours, spelled out: no partial index fits a parameter.
COUNT = "select count(*) from pq.item where queue = %(queue)s and state = 'STATE'"
SUGGEST = f"""
select {COLUMNS} from pq.item where queue = %s and state = 'STATE' and id between %s and %s
order by id limit 100
"""
KEYS = f"""
select key from pq.item where queue = %s and key >= %s and key < %s and {_LIVE}
order by key limit 1000
"""

KEEP_LOG = """
insert into pq.output (queue, id, claim, data) values (%s, %s, %s, %s)
on conflict (queue, id, claim) do update set data = excluded.data
"""
TRIM_LOGS = """
delete from pq.output where queue = %s and id = %s and claim <= (
    select claim from pq.output where queue = %s and id = %s order by claim desc offset %s limit 1)
"""
LOG = "select data from pq.output where queue = %s and id = %s and claim = %s"

_IMPORT = 0x7071_0004
LOCK_IMPORT = f"select pg_try_advisory_lock({_IMPORT}, %s::int)"
UNLOCK_IMPORT = f"select pg_advisory_unlock({_IMPORT}, %s::int)"
DESCRIBE = """
insert into pq.realm (queue, realm, reader) values (%s, %s, %s)
on conflict (queue, realm) do update set reader = excluded.reader
"""
READER = "select reader from pq.realm where queue = %s and realm = %s"
REMEMBER = """
insert into pq.origin (queue, realm, name)
select %s, realm, name from unnest(%s::text[], %s::text[]) as came(realm, name)
"""
TAKEN = """
select name from pq.origin where queue = %s and realm = %s and name > %s order by name limit 10000
"""
