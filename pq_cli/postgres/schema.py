"""The tables, made and upgraded by `pq init` and by nothing else."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from pq_cli.core.arguments import LOCK_TIMEOUT
from pq_cli.core.item import printable
from pq_cli.errors import ConfigError, UsageError
from pq_cli.postgres.address import Address
from pq_cli.postgres.link import Link
from pq_cli.postgres.trouble import no_schema, owners_only

if TYPE_CHECKING:
    from collections.abc import Sequence

VERSION = 3
LOCK = 0x7071_0000
"""The advisory lock under which the schema is changed."""

_TABLES = """
create schema pq;
create table pq.version (version int not null);

create table pq.queue (
    number int generated always as identity primary key,
    name text collate "C" not null unique,
    uuid text not null default replace(gen_random_uuid()::text, '-', ''),
    policy text not null default '',
    limits jsonb not null default '{}',
    aged_at float8,
    paused text
);
-- Apart from pq.queue: whoever enqueues locks and writes it, and whoever claims reads that one.
create table pq.counter (
    queue int primary key,
    last_id bigint not null default 0
) with (fillfactor = 20);

-- `fixed` and `moving` are the JSON of the item's meta, the part that a claim leaves alone and the
-- part that it writes; as text, because jsonb refuses some of what a meta may hold. The other
-- columns are what the indexes need of it, and where both say something the column counts.
-- `limited_by` is the name of its limit; empty: none. The most that may be active of each are in
-- pq.queue, beside the policy that says them.
create table pq.item (
    queue int not null,
    id bigint not null,
    state text collate "C" not null,
    priority smallint not null,
    created_at float8 not null,
    not_before float8,
    lease_until float8,
    kept_until float8,
    worker bigint,
    limited_by text collate "C" not null default '',
    key text collate "C",
    blob bigint not null,
    awaited boolean not null default false, -- whether others ever came after it
    called text, -- what events call it, as JSON; empty: nothing; null: nobody has written it down
    fixed text not null,
    moving text not null,
    primary key (queue, id)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02,
        autovacuum_analyze_scale_factor = 0.05);
create index item_pending on pq.item (queue, priority, limited_by, id) where state = 'pending';
create index item_delayed on pq.item (queue, not_before, id) where state = 'delayed';
-- Of what is active there is this one alone: every claim writes it, and with another one to choose
-- from the planner would go through all that are active to find the next lease.
create index item_lease on pq.item (queue, lease_until) where state = 'active';
create index item_limited on pq.item (queue, limited_by)
    where state = 'active' and limited_by <> '';
create index item_other on pq.item (queue, state, id) where state in ('held', 'failed', 'done');
create index item_removed on pq.item (queue, kept_until, id) where state = 'removed';
create unique index item_key on pq.item (queue, key)
    where key is not null and state in ('active', 'pending', 'delayed', 'held');

-- Who is to be told how an item ends: see transitions.ties.
create table pq.follower (
    queue int not null,
    item bigint not null,
    follower bigint not null,
    primary key (queue, item, follower)
);

create sequence pq.blob;
-- By its queue first, here and in pq.staging: a blob's number alone is not to be believed, whoever
-- works at another queue may write it into rows of theirs.
create table pq.payload (
    queue int not null,
    blob bigint not null,
    no int not null,
    data bytea not null,
    primary key (queue, blob, no)
) with (autovacuum_vacuum_scale_factor = 0.05);
alter table pq.payload alter column data set storage external;
-- Payloads that are still coming in and have no item.
create table pq.staging (
    queue int not null,
    blob bigint not null,
    touched float8 not null,
    primary key (queue, blob)
);

-- Those who are at work, each with a session's advisory lock: when that is free, they are gone.
create sequence pq.worker_number;
create table pq.worker (
    queue int not null,
    number bigint not null,
    host text not null,
    pid int not null,
    since float8 not null default extract(epoch from clock_timestamp()),
    command text not null,
    duty text,
    server timestamptz not null default pg_postmaster_start_time(),
    doubted float8,
    primary key (queue, number)
);

create table pq.event (
    queue int not null,
    seq bigint generated always as identity,
    item bigint, -- of one that is new, whose id was not known when it was said
    said text not null,
    primary key (queue, seq)
);

-- Whence items came that have a past, so that none enters twice: digests.
create table pq.origin (
    queue int not null,
    realm text collate "C" not null,
    name text collate "C" not null,
    primary key (queue, realm, name)
);
create table pq.realm (
    queue int not null,
    realm text collate "C" not null,
    reader text not null,
    primary key (queue, realm)
);

create table pq.output (
    queue int not null,
    id bigint not null,
    claim bigint not null,
    data bytea not null,
    primary key (queue, id, claim)
);

-- Which roles may work at which queues, apart from the owner of the tables; by the role's oid.
create table pq.access (
    queue int not null,
    role oid not null,
    primary key (queue, role)
);
"""
_UPGRADES = {
    1: "alter table pq.event add column item bigint",
    2: "alter table pq.item add column called text",
}
"""What makes tables of an older version those of the next."""
_ROWS = ("item", "follower", "payload", "staging", "worker", "event", "output", "origin", "realm")
_MINE = "(select queue from pq.access where pg_has_role(role, 'member'))"
_WALLS = "\n".join(
    [
        f"alter table pq.{table} enable row level security;"
        f"create policy mine on pq.{table} using (queue in {_MINE});"
        for table in (*_ROWS, "counter")
    ]
    + [
        "alter table pq.queue enable row level security;",
        f"create policy mine on pq.queue using (number in {_MINE});",
    ]
)
"""Rows of other queues are not there for a role that was let in to one."""
_RIGHTS = (
    "usage on schema pq",
    "select on pq.version, pq.access, pq.queue, pq.counter",
    "update (aged_at, paused) on pq.queue",
    "update (last_id) on pq.counter",
    f"select, insert, update, delete on {', '.join('pq.' + table for table in _ROWS)}",
    "usage on sequence pq.blob, pq.worker_number",
)
"""What a worker needs, and no more: neither the tables nor the policy are its to change."""


def check(link: Link) -> None:
    """Raise ConfigError unless the tables are there and of our version."""
    found = _version(link)
    if found is None:
        raise no_schema(link.address)
    where = link.address.shown
    if found < VERSION:
        raise ConfigError(f"{where}: its tables are of an older pq ({found}): run `pq init`")
    if found > VERSION:
        raise ConfigError(
            f"{where}: its tables are of a newer pq ({found}); `pq --version` tells which this is"
        )


def _version(link: Link) -> int | None:
    """Return the version of the tables, or None where there are none."""
    if link.row("select to_regclass('pq.version') is not null") != (True,):
        return None
    return int((link.row("select version from pq.version") or (0,))[0])


def set_up(url: str, grants: Sequence[str] = (), *, lock_timeout: float = LOCK_TIMEOUT) -> str:
    """Make or upgrade the tables in a database and the queue of this URL; return it, as shown.

    grants: the roles that are to work at this queue. Raises UsageError for an unknown role,
    ConfigError, PermissionDeniedError, TryAgainError.
    """
    link = Link(Address(url), lock_timeout)
    with closing(link), link.transaction():
        link.rows("select pg_advisory_xact_lock(%s)", LOCK)
        with owners_only(link.address.shown, "makes tables and queues and lets roles in"):
            make(link)
            number = make_queue(link)
            for role in grants:
                _grant(link, number, role)
    return link.address.shown


def make_queue(link: Link) -> int:
    """Return the number of the queue of this link's URL, made if it is missing."""
    name = link.address.queue
    link.rows(
        "with made as (insert into pq.queue (name) values (%s) on conflict do nothing"
        " returning number) insert into pq.counter (queue) select number from made", name
    )  # fmt: skip
    return int((link.row("select number from pq.queue where name = %s", name) or (0,))[0])


def _grant(link: Link, number: int, role: str) -> None:
    row = link.row("select oid, quote_ident(rolname) from pg_roles where rolname = %s", role)
    if row is None:
        raise UsageError(f"there is no role '{printable(role)}' on this server: CREATE ROLE first")
    oid, quoted = row  # as the server spells it: nobody's text comes into a statement
    for right in _RIGHTS:
        link.rows(f"grant {right} to {quoted}")
    link.rows("insert into pq.access values (%s, %s) on conflict do nothing", number, oid)


def make(link: Link) -> None:
    """Make the tables, or bring them up to our version, in a transaction.

    Raises ConfigError for a database that cannot hold them, PermissionDeniedError.
    """
    encoding = (link.row("select current_setting('server_encoding')") or ("",))[0]
    if encoding != "UTF8":
        raise ConfigError(
            f"{link.address.shown}: the database is in {printable(encoding)}; pq needs UTF8:"
            " `createdb -E UTF8 -T template0 NAME` makes one"
        )
    found = _version(link)
    if found is not None:
        _upgrade(link, found)
        return
    for statement in _statements(_TABLES + _WALLS):
        link.rows(statement)
    link.rows("insert into pq.version values (%s)", VERSION)


def _upgrade(link: Link, found: int) -> None:
    while found in _UPGRADES:
        link.rows(_UPGRADES[found])
        found += 1
        link.rows("update pq.version set version = %s", found)
    check(link)


def _statements(text: str) -> list[str]:
    lines = (line.partition("--")[0] for line in text.splitlines())
    return [part.strip() for part in "\n".join(lines).split(";") if part.strip()]
