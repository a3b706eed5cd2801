"""What goes wrong between a process and its server: nothing told is lost, no claim is two's."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time

import psycopg
import pytest
from database import Server, need_postgres, new_server, server
from support import wait_until
from survived import TALLY

from pq_cli import TryAgainError, open_queue

SEED = int(os.environ.get("PQ_SEED", "1"))
LONG = bool(os.environ.get("PQ_LONG"))
SECONDS = 60.0 if LONG else 5.0
PRODUCE = """
import sys
from pq_cli import *
while True:
    try:
        item = open_queue(sys.argv[1]).enqueue(b"x", priority=3 + ord(sys.stdin.read(1)) % 3)
        print(item.id, flush=True)
    except TryAgainError:
        pass
"""
WORK = """
import os, sys, time
from pq_cli import *
q = None
while True:
    try:
        q = q or open_queue(sys.argv[1])
        item = q.claim(wait=1)
        if item is None: continue
        print(item.claim, "began", flush=True)
        q.done(item)
        print(item.claim, "done", flush=True)
    except (PqError, OSError) as error:
        print("-", type(error).__name__, flush=True)
"""


class Crowd:
    """Producers and workers, each started anew whenever it is killed; what they told is kept."""

    def __init__(self, url, producers=3, workers=3):
        self.url = url
        self.told, self.began, self.done = [], [], []
        self.ending = False
        self.running = {}
        self.threads = [
            threading.Thread(target=self.keep, args=(script, number))
            for number, script in enumerate([PRODUCE] * producers + [WORK] * workers)
        ]

    def keep(self, script, number):
        """Run a script again and again, and take down its lines."""
        while not self.ending:
            argv = [sys.executable, "-c", script, self.url]
            with open("/dev/urandom", "rb") as chance, subprocess.Popen(
                argv, stdin=chance, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            ) as process:  # fmt: skip
                self.running[number] = process
                for line in process.stdout:
                    words = line.split()
                    if not line.endswith("\n") or len(words) != (1 if script is PRODUCE else 2):
                        continue  # a piece of what it was about to tell when it was killed
                    if script is PRODUCE:
                        self.told.append(int(words[0]))
                    elif words[0] != "-":
                        (self.began if words[1] == "began" else self.done).append(words[0])

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        wait_until(lambda: self.told and self.done, "work goes on")
        return self

    def __exit__(self, *_):
        self.ending = True
        while any(thread.is_alive() for thread in self.threads):
            for process in list(self.running.values()):
                with contextlib.suppress(OSError):
                    process.kill()
            time.sleep(0.05)

    def kill_one(self, chance):
        """SIGKILL of one of them."""
        process = self.running.get(chance.randrange(len(self.threads)))
        if process is not None:
            process.kill()
            TALLY["database clients killed under load"] += 1

    def settle(self):
        """Work off what is left, and check what was promised of every id that was told."""
        with open_queue(self.url) as queue:
            while len(queue):
                item = queue.claim(wait=5)
                if item is not None:
                    self.began.append(item.claim)
                    queue.done(item)
                    self.done.append(item.claim)
            seen = {int(claim.partition(".")[0]) for claim in self.began}
            assert set(self.told) <= seen, "an id that was told was never served"
            assert len(set(self.told)) == len(self.told)
            assert len(set(self.began)) == len(self.began), "two had one claim"
            assert list(queue.items()) == []
        TALLY["items told by a database and served"] += len(self.told)


def hurt(crowd, what, seconds=SECONDS):
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
        hurt(crowd, crowd.kill_one)
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
        hurt(crowd, terminate)
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


def test_a_standby_that_takes_over():
    """Primary and synchronous standby, both hosts in the URL: the primary dies, the other goes on.

    Nothing that was told is lost, and no claim is two workers'.
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
    """`pq run` finds a server that was gone for a while, and works off what comes then."""
    from support import Pq, readable

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
    finally:
        own.remove()


def test_a_restart_takes_no_work_away(tmp_path):
    """The server knows nobody after a restart: whoever is at work is given time to come back."""
    from support import Pq, readable

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


def test_a_lost_claim_stops_its_command(tmp_path):
    """Whose claim was taken away while the connection was gone: the command is stopped."""
    need_postgres()
    from support import Pq, readable

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
