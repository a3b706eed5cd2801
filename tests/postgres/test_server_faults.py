"""What goes wrong between a process and its server: nothing told is lost, no claim is two's."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time

import psycopg
import pytest
from crowd import LONG, Crowd
from database import Server, need_postgres, new_server, server
from support import Pq, wait_until
from survived import TALLY

from pq_cli import Request, TryAgainError, open_queue

SEED = int(os.environ.get("PQ_SEED", "1"))
SECONDS = 60.0 if LONG else 5.0


def hurt(what, seconds=SECONDS):
    """Let `what(chance)` happen again and again for a while."""
    chance = random.Random(SEED)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(chance.uniform(0.05, 0.4))
        what(chance)


def test_clients_that_are_killed():
    """SIGKILL of producers and workers at random moments: told ids are served, no claim twice."""
    need_postgres()
    with Crowd(server().url()) as crowd:
        hurt(crowd.kill_one)
    crowd.settle()


def test_sessions_that_are_terminated():
    """pg_terminate_backend of anybody at any time: they connect again and go on."""
    need_postgres()

    def terminate(chance):
        rows = server().sql(
            "select pid from pg_stat_activity where application_name = 'pq'"
            " and backend_type = 'client backend'"
        )
        if rows:
            server().sql("select pg_terminate_backend(%s::int)", chance.choice(rows)[0])
            TALLY["database sessions terminated under load"] += 1

    with Crowd(server().url()) as crowd:
        hurt(terminate)
        server().sql(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'pq'"
        )
        done = len(crowd.done)
        wait_until(lambda: len(crowd.done) > done + 10, "those who are there already go on")
    crowd.settle()


def test_a_server_that_crashes():
    """`immediate` stop and start under load, again and again: nothing told is lost."""
    own = new_server("fsync=on", "full_page_writes=on")
    try:
        with Crowd(own.url("q")) as crowd:

            def crash(_):
                own.stop(signal.SIGQUIT)
                own.start()
                TALLY["database servers crashed under load"] += 1
                before = len(crowd.done)
                wait_until(lambda: len(crowd.done) > before, "work goes on")

            for _ in range(20 if LONG else 2):
                crash(None)
        crowd.settle()
    finally:
        own.remove()


def only_shows(pq, url):
    """See what a standby in recovery lets commands do, which have its host alone in their URL."""
    pq.env["PQ_SPOOL"] = url
    assert "standby" in pq("doctor", expect=1).text and pq("stats", "--json").out
    for line in ("enqueue", "next", "pause", "config set lease=1m", "run -- true", f"init {url}"):
        said = pq(*line.split(), expect=75).err
        assert said.count("\n") == 1 and "read-only" in said, said


def test_a_standby_that_takes_over(tmp_path):
    """Primary and synchronous standby, both hosts in the URL: the primary dies, the other goes on.

    Nothing that was told is lost, and no claim is two workers'. Before, the standby only shows:
    what would change something is for later (75), and says so in a line.
    """
    primary = new_server("fsync=on")
    standby = Server("fsync=on")
    try:
        standby.follow(primary, "second")
        standby.start()
        primary.sql("alter system set synchronous_standby_names = second")
        primary.sql("select pg_reload_conf()")
        wait_until(
            lambda: primary.sql("select 1 from pg_stat_replication where sync_state = 'sync'"),
            "the standby follows",
        )
        both = f"{primary.folder},{standby.folder}"
        url = f"postgresql:///postgres?host={both}&user=pq&target_session_attrs=read-write#q"
        many = 8 if LONG else 3
        with Crowd(url, producers=many, workers=many) as crowd:
            only_shows(Pq(tmp_path), standby.url("q"))
            told = len(crowd.told)
            wait_until(lambda: len(crowd.told) > told + 30, "work goes on")
            primary.stop(signal.SIGQUIT)
            standby.promote()
            TALLY["database failovers under load"] += 1
            done = len(crowd.done)
            wait_until(lambda: len(crowd.done) > done + 10, "work goes on at the other server")
        crowd.settle()
    finally:
        primary.remove()
        standby.remove()


def test_no_connection_left():
    """Too many connections is for later: tried again for the lock timeout, then TryAgainError."""
    own = new_server("max_connections=5", "superuser_reserved_connections=0")
    try:
        with contextlib.ExitStack() as stack:
            for _ in range(5):
                with contextlib.suppress(psycopg.OperationalError):
                    stack.enter_context(psycopg.connect(own.conninfo))
            with pytest.raises(TryAgainError):
                open_queue(own.url("q"), lock_timeout=0.3)
            free = threading.Timer(0.5, stack.close)
            free.start()
            with open_queue(own.url("q"), lock_timeout=30) as queue:
                assert queue.enqueue(b"x").id == 1
            free.join()
    finally:
        own.remove()


def test_a_worker_goes_on_after_a_restart(tmp_path):
    """`pq run` finds a server that was gone for a while, also at its start; and works on."""
    from support import readable

    own = new_server()
    try:
        pq = Pq(tmp_path)
        pq.env["PQ_SPOOL"] = own.url("q")
        pq("enqueue", stdin=b"a")
        with pq.start("run", "--follow", "--", "cat") as run:
            assert readable(run.stdout.fileno()) and os.read(run.stdout.fileno(), 9) == b"a"
            own.stop()
            time.sleep(1.5)
            own.start()
            pq("enqueue", stdin=b"b")
            assert readable(run.stdout.fileno()) and os.read(run.stdout.fileno(), 9) == b"b"
        own.stop()
        with pq.start("run", "--follow", "--", "cat") as run:
            assert readable(run.stderr.fileno()) and b"yet" in os.read(run.stderr.fileno(), 99)
            own.start()
            pq("enqueue", stdin=b"c")
            assert readable(run.stdout.fileno()) and os.read(run.stdout.fileno(), 9) == b"c"
    finally:
        own.remove()


def test_a_restart_takes_no_work_away(tmp_path):
    """The server knows nobody after a restart: whoever is at work is given time to come back."""
    from support import readable

    own = new_server()
    try:
        pq = Pq(tmp_path)
        pq.env["PQ_SPOOL"] = own.url("q")
        pq("enqueue", stdin=b"a")
        script = f"echo began; while [ ! -e {tmp_path}/go ]; do sleep 0.1; done"
        with pq.start("run", "--", "sh", "-c", script) as run:
            assert readable(run.stdout.fileno())
            own.stop()
            own.start()
            with open_queue(own.url("q")) as queue:
                assert queue.claim(wait=3) is None
                wait_until(
                    lambda: own.sql(
                        "select 1 from pq.worker where server = pg_postmaster_start_time()"
                    ),
                    "the worker is back",
                )
                (tmp_path / "go").touch()
                assert run.wait(60) == 0 and list(queue.items()) == []
    finally:
        own.remove()


def test_who_is_not_back_yet_is_given_time():
    """After a restart: whose session is missed for five seconds has its items, for sixteen not."""
    need_postgres()
    url = server().url()
    with open_queue(url) as queue:
        queue.enqueue(b"x")
        assert queue.claim().claim == "1.1"
        (number,) = server().sql("select number from pq.queue where name = %s", url.split("#")[1])[
            0
        ]
        server().sql("update pq.item set worker = 77 where queue = %s", number)
        sign = "insert into pq.worker values (%s, 77, 'h', 1, 0, '[]', null, 'epoch', null)"
        server().sql(sign, number)
        missed = "update pq.worker set doubted = date_part('epoch', clock_timestamp()) - %s"
        for seconds, claim in ((None, None), (5, None), (16, "1.2")):
            if seconds is not None:
                server().sql(f"{missed} where queue = %s and number = 77", seconds, number)
            with open_queue(url) as other:
                found = other.claim()
                assert (found and found.claim) == claim, seconds


def test_a_worker_does_not_bury_itself():
    """Its session was ended while it lives: it comes back before it looks who has died.

    Else it would take its own claim for that of a dead one, and wait for its own lock.
    """
    need_postgres()
    url = server().url()
    with open_queue(url) as queue, open_queue(url, lock_timeout=5) as again:
        queue.enqueue_many([(b"", Request())] * 2)
        assert queue.claim().claim == "1.1"
        number = server().sql("select max(number) from pq.worker where pid = %s", os.getpid())[0][0]
        held = (
            "select pid from pg_locks where locktype = 'advisory' and objsubid = 1 and"
            f" (classid::bigint << 32) | objid::bigint = {0x7071 << 48} + {number}"
        )
        server().sql(f"select pg_terminate_backend(pid) from ({held}) as session")
        wait_until(lambda: not server().sql(held), "its session has ended")
        assert again.claim().claim == "2.1"
        assert queue.get(1).claim == "1.1" and queue.done("1.1")


def test_a_lost_claim_stops_its_command(tmp_path):
    """Whose claim was taken away while the connection was gone: the command is stopped."""
    need_postgres()
    from support import readable

    url = server().url()
    pq = Pq(tmp_path)
    pq.env["PQ_SPOOL"] = url
    pq("enqueue", stdin=b"a")
    script = "echo $$; trap 'exit 1' TERM; while :; do sleep 0.1; done"
    with pq.start("run", "--lease", "2s", "--", "sh", "-c", script) as run:
        assert readable(run.stdout.fileno())
        child = int(os.read(run.stdout.fileno(), 20))
        with open_queue(url) as queue:
            queue.release("1")
            queue.hold("1")
        assert run.wait(60) is not None
        with pytest.raises(ProcessLookupError):
            os.kill(child, 0)
    with open_queue(url) as queue:
        assert queue.get(1).state == "held"
