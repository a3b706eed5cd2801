"""The wire: what is loaded for it, what goes over it, and who is waited for."""

from __future__ import annotations

import contextlib
import errno
import math
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from database import need_postgres, server
from queues import Clock
from support import wait_until

from pq_cli import PostgresQueue
from pq_cli.errors import (
    ConfigError,
    ConnectionLostError,
    KeyTakenError,
    LockTimeoutError,
    NoSuchItemError,
    PermissionDeniedError,
    PqError,
    SpoolIOError,
    TryAgainError,
    UsageError,
)
from pq_cli.opened import os_error_status
from pq_cli.postgres.address import Address
from pq_cli.postgres.link import Link
from pq_cli.postgres.trouble import why_not_connected
from pq_cli.postgres.wire.session import Refused, Session

ONLY_LIBPQ = """
import sys
from pq_cli import open_queue
with open_queue(sys.argv[1]) as queue:
    queue.enqueue(b"x")
    assert queue.claim().id == 1
print(*sorted(name for name in sys.modules if name.startswith("psycopg.")))
import psycopg
from psycopg import rows, sql
print(psycopg.connect(sys.argv[1].partition("#")[0]).execute("select 7").fetchone()[0])
print(psycopg.errors.Error.__name__, psycopg.pq.__name__, psycopg.sql.__name__)
with open_queue(sys.argv[1]) as queue:
    print(queue.enqueue(b"y").id)
"""
WAITS = """
import sys
from pq_cli import PostgresQueue
with PostgresQueue(sys.argv[1], lock_timeout=600) as queue:
    print("ready", flush=True)
    queue.remove(1)
"""


ASKS = """
import sys
from pq_cli import PostgresQueue
with PostgresQueue(sys.argv[1]) as queue:
    print("ready", flush=True)
    sys.stdin.readline()
    queue.get(1)
"""


@contextlib.contextmanager
def cable(url):
    """Yield (URL, cut, asked) of a server behind a cable: once it is cut, nothing comes through.

    asked: set when somebody tries.
    """
    cut, asked = threading.Event(), threading.Event()
    ends = []

    def pass_on(come, go):
        with contextlib.suppress(OSError):  # it was closed
            while said := come.recv(65536):
                if cut.is_set():
                    asked.set()
                else:
                    go.sendall(said)

    def plug():
        with contextlib.suppress(OSError):
            while True:
                near, far = listener.accept()[0], socket.socket(socket.AF_UNIX)
                ends.extend((near, far))
                if not cut.is_set():
                    far.connect(f"{server().folder}/.s.PGSQL.5432")
                    for way in ((near, far), (far, near)):
                        threading.Thread(target=pass_on, args=way, daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=plug, daemon=True).start()
        port, name = listener.getsockname()[1], url.partition("#")[2]
        yield f"postgresql://pq@127.0.0.1:{port}/postgres?sslmode=disable#{name}", cut, asked
        listener.shutdown(socket.SHUT_RDWR)  # who waits at it wakes up
    for end in ends:
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()


def test_only_libpq_is_loaded_and_who_wants_psycopg_has_it_whole(url):
    """A command pays for libpq alone; a program that imports psycopg as well has all of it."""
    argv = [sys.executable, "-c", ONLY_LIBPQ, url]
    loaded, seven, names, last = subprocess.check_output(argv, text=True).splitlines()
    assert {"psycopg.pq"} < set(loaded.split())
    assert not {"psycopg.connection", "psycopg.cursor", "psycopg.adapt"} & set(loaded.split())
    assert (seven, names, last) == ("7", "Error psycopg.pq psycopg.sql", "2")


def test_values_come_back_as_they_went(url):
    """Numbers to their limits, any text, any bytes, lists of them with gaps; NUL is refused."""
    link = Link(Address(url), 5.0)
    texts = ["", "é\U0001f600", 'a"b\\c,{}', None]
    numbers = [0, -(2**63), 2**63 - 1, None]
    floats = [0.1, math.inf, -math.inf, 1e-308, None]
    lists = {"text": texts, "bigint": numbers, "float8": floats, "bool": [True, False],
             "bytea": [b"", bytes(range(256)), None]}  # fmt: skip
    for kind, values in lists.items():
        assert link.row(f"select %s::{kind}[]", values) == (values,)
        for value in values:
            assert link.row(f"select %s::{kind}", value) == (value,)
    assert link.row("select %(b)s::int, %(a)s::int, %(b)s::int", {"a": 1, "b": 2}) == (2, 1, 2)
    assert link.row("select %s::bigint[], %s::text[]", [], [None]) == ([], [None])
    assert link.rows("select 1 where 1 = %s", 10**30) == []
    assert math.isnan(link.row("select %s::float8", math.nan)[0])
    with pytest.raises(SpoolIOError, match="invalid byte sequence"):
        link.row("select %s::text", "a\0b")
    assert link.row("select 1") == (1,)
    link.close()


def test_one_refused_statement_of_several_undoes_all(url):
    """What is sent together with the end of a transaction counts whole, or not at all."""
    link = Link(Address(url), 5.0)
    link.rows("create temporary table seen (n int primary key)")
    for _ in range(3):  # the third time all are prepared
        link.begin()
        link.later("insert into seen values (%s)", 1)
        link.later("insert into seen values (%s)", 1)
        with pytest.raises(KeyTakenError):
            link.commit()
        assert link.rows("select n from seen") == []
    link.begin()
    link.later("insert into seen values (%s) returning n", 1)
    link.later("insert into seen values (%s) returning n", 2)
    assert link.commit() == [[(1,)], [(2,)]]
    link.close()


@pytest.mark.parametrize(
    ("state", "error", "status"),
    [
        ("42501", PermissionDeniedError, 77), ("3F000", ConfigError, 78),
        ("42P01", ConfigError, 78), ("23505", KeyTakenError, 4), ("55P03", LockTimeoutError, 75),
        ("25006", TryAgainError, 75), ("40P01", TryAgainError, 75), ("53200", TryAgainError, 75),
        ("57014", TryAgainError, 75), ("08006", ConnectionLostError, 75),
        ("53100", errno.ENOSPC, 74), ("58030", errno.EIO, 74),
        ("XX001", SpoolIOError, 74),
    ],
)  # fmt: skip
def test_what_a_server_refuses_has_its_status(url, state, error, status):
    """What passes is for later; rights, tables, a full disk and a damaged one are told apart."""
    link = Link(Address(url), 5.0)
    with pytest.raises((PqError, OSError)) as refused:
        link.rows(f"do $$ begin raise exception 'no' using errcode = '{state}'; end $$")
    if isinstance(error, int):
        assert refused.value.errno == error and os_error_status(refused.value) == status
    else:
        assert type(refused.value) is error and refused.value.exit_code == status
    link.close()


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ("host=h&port=notaport", UsageError), ("host=a,b&port=1,2,3", UsageError),
        ("host=/" + "x" * 120, UsageError), ("sslmode=no", UsageError),
        ("require_auth=nothing", UsageError), ("target_session_attrs=x", UsageError),
        ("sslmode=allow&sslrootcert=system", UsageError), ("nonsense=1", UsageError),
        ("service=missing", ConfigError), ("host=/nowhere", LockTimeoutError),
    ],
)  # fmt: skip
def test_what_keeps_from_connecting_has_its_status(more, error):
    """A URL that is wrong is told at once, not tried again; what to type next is always told."""
    link = Link(Address(f"postgresql:///db?{more}"), 0.0)
    with pytest.raises(PqError) as refused:
        link.rows("select 1")
    assert type(refused.value) is error
    assert refused.value.told("enqueue").count("`") == 2


@pytest.mark.parametrize(
    "said",
    [
        'pg_hba.conf rejects connection for host "h"', 'no pg_hba.conf entry for host "h"',
        'password authentication failed for user "u"', 'role "u" does not exist',
        "fe_sendauth: no password supplied", "empty password returned by client",
        "connection requires a valid client certificate", "server does not support SSL",
        'authentication method requirement "scram-sha-256" failed',
        'role "u" is not permitted to log in',
        'permission denied for database "d"', "SSL error: certificate verify failed",
    ],
)  # fmt: skip
def test_who_is_not_let_in_need_not_try_again(said):
    """Whatever the server objects to: 77, and where it is told how to be let in."""
    error = why_not_connected(
        Refused(None, f"connection failed: {said}"), Address("postgresql:///d")
    )
    assert type(error) is PermissionDeniedError and "`man pq-postgres`" in str(error)


def test_a_connection_that_was_lost_is_made_anew(url):
    """Nothing was done on it yet: nobody notices; within a transaction it is for who began it."""
    link = Link(Address(url), 5.0)
    end = "select pg_terminate_backend(%s, 60000)"
    server().sql(end, link.row("select pg_backend_pid()")[0])
    assert link.row("select 1") == (1,)
    with pytest.raises(TryAgainError), link.transaction():
        server().sql(end, link.row("select pg_backend_pid()")[0])
        for _ in range(2):  # what comes after is not to be a transaction of its own
            with pytest.raises(TryAgainError):
                link.row("select 1")
    assert link.row("select 1") == (1,)
    link.close()


def test_a_host_that_says_nothing_is_left_for_the_next(url):
    """Of several hosts the first takes the connection and is silent: the second has its turn."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hosts = f"host=127.0.0.1,{server().folder}&port={silent.getsockname()[1]},5432"
        name = url.partition("#")[2]
        both = f"postgresql:///postgres?{hosts}&user=pq&sslmode=disable&connect_timeout=2#{name}"
        with PostgresQueue(both) as queue:
            assert queue.enqueue(b"").id == 1


def test_who_waits_for_a_lock_can_be_interrupted(url):
    """SIGINT ends a command that waits for others, at once, and what it waited for goes on."""
    need_postgres()
    import psycopg

    with PostgresQueue(url) as queue, psycopg.connect(server().conninfo) as other:
        queue.enqueue(b"")
        other.execute("select 1 from pq.item for update")
        with subprocess.Popen(
            [sys.executable, "-c", WAITS, url], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as waiting:
            waiting.stdout.readline()
            blocked = "select 1 from pg_stat_activity where wait_event_type = 'Lock'"
            wait_until(lambda: server().sql(blocked), "it waits")
            waiting.send_signal(signal.SIGINT)
            assert waiting.wait(20) != 0
        wait_until(lambda: not server().sql(blocked), "the server has stopped it")
        other.rollback()
        assert queue.remove(1).id == 1


def test_who_waits_for_a_server_that_is_gone_can_be_interrupted(url):
    """SIGINT ends a command that asks in vain, though the server cannot be told to stop."""
    with cable(url) as (behind, cut, asked), subprocess.Popen(
        [sys.executable, "-c", ASKS, behind],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    ) as waiting:  # fmt: skip
        try:
            assert waiting.stdout.readline() == b"ready\n"
            cut.set()
            waiting.stdin.write(b"\n")
            waiting.stdin.flush()
            assert asked.wait(60)
            waiting.send_signal(signal.SIGINT)
            assert waiting.wait(20) != 0
        finally:
            waiting.kill()


def test_what_a_verb_costs_in_round_trips(url, monkeypatch):
    """A claim with its payload is one, or finds nothing; the end is one, an enqueue, too.

    The network between worker and server is what most of their time is, and a statement more or
    less on a machine next door is not seen.
    """
    trips: list[int] = []
    run = Session.run
    monkeypatch.setattr(Session, "run", lambda *args: (trips.append(1), run(*args))[1])
    monkeypatch.setattr("pq_cli.postgres.finding.CENSUS", 3600.0)
    clock = Clock()

    def cost(verb):
        trips.clear()
        found = verb()
        return found, len(trips)

    with PostgresQueue(url + "-own") as queue:  # the server's time comes along
        queue.enqueue(b"")
        for held, trip_count in ((3600.0, 1), (-1.0, 2)):  # it is asked again once in a while
            monkeypatch.setattr("pq_cli.postgres.store.HOLDS", held)
            assert cost(lambda: queue.enqueue(b"x" * 100, priority=7))[1] == trip_count
    with PostgresQueue(url, clock=clock) as queue:
        queue.claim(bound=False)  # and looks for the dead, for once
        queue.enqueue(b"x" * 100, priority=7)
        queue.enqueue(b"y")
        item, trip_count = cost(lambda: queue.claim(bound=False))
        assert (item.id, trip_count) == (2, 1)
        assert cost(lambda: queue.payload(item)) == (b"y", 0)
        assert cost(lambda: queue.done(item))[1] == 1
        item, _ = cost(lambda: queue.claim(bound=False))
        assert queue.payload(item) == b"x" * 100
        assert cost(lambda: queue.claim(bound=False)) == (None, 1)


def test_a_session_that_the_server_has_ended_is_not_written_into(url, monkeypatch):
    """Who enqueues again soon has a new one before anything is sent: nothing is in doubt."""
    monkeypatch.setattr("pq_cli.postgres.store.HOLDS", 3600.0)
    with PostgresQueue(url) as queue:
        for number in (1, 2):
            assert queue.enqueue(b"").id == number
            ended = server().sql("select pid from pg_stat_activity where application_name = 'pq'")
            for (pid,) in ended:
                server().sql("select pg_terminate_backend(%s)", pid)
                wait_until(lambda pid=pid: not Path(f"/proc/{pid}").exists(), "it is gone")
            assert ended
        assert queue.enqueue(b"").id == 3


def test_who_enqueues_keeps_others_from_it_in_the_last_trip_only(url, monkeypatch):
    """Ids are given with all that is written: what takes a client long before that is its own."""
    with PostgresQueue(url) as slow, PostgresQueue(url, lock_timeout=1) as other:
        slow.enqueue(b"")
        assert other.enqueue(b"").id == 2
        run, between = Session.run, []

        def interrupted(*args):
            answers = run(*args)
            if not between:
                between.append(0)
                between.append(other.enqueue(b"").id)
            return answers

        monkeypatch.setattr(Session, "run", interrupted)
        assert slow.enqueue(b"", key="k").id == 4
        assert between == [0, 3]
        assert [event["id"] for event in slow.log()] == [1, 2, 3, 4]


def test_the_payload_that_came_along_goes_with_its_item(url):
    """Who has ended an item finds no payload of it; who has not finds it however often he looks."""
    with PostgresQueue(url) as queue:
        for content in (b"", b"small", bytes(9_000), bytes(3_000_000)):
            item = queue.enqueue(content)
            claimed = queue.claim()
            assert claimed.id == item.id
            assert [queue.payload(claimed), queue.payload(claimed)] == [content, content]
            queue.done(claimed)
            with pytest.raises(NoSuchItemError):
                queue.payload(claimed)
        queue.enqueue(b"unread")
        claimed = queue.claim()
        queue.done(claimed)
        with pytest.raises(NoSuchItemError):
            queue.payload(claimed)


def test_a_listing_shows_one_moment(url):
    """What is held while others are listing stands where it was when they began, and only there."""
    with PostgresQueue(url) as queue, PostgresQueue(url) as other:
        for _ in range(3):
            queue.enqueue(b"")
        queue.hold(3)
        listing = queue.items()
        assert next(listing).id == 1
        other.hold(2)
        assert [(item.id, str(item.state)) for item in listing] == [(2, "pending"), (3, "held")]
