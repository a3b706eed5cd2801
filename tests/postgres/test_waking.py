"""Who waits is woken, and costs next to nothing meanwhile; also after the server was restarted."""

from __future__ import annotations

import os
import signal
import statistics
import time

import pytest
from database import need_postgres, new_server, server
from support import Pq, readable, wait_until

from pq_cli import open_queue

LONG = bool(os.environ.get("PQ_LONG"))
IDLE = 60.0
"""Seconds for which who waits is watched, in the long form."""
ROUNDS = 30 if LONG else 2
TICK = os.sysconf("SC_CLK_TCK")


def seconds_of(pid):
    """Return the CPU seconds that a process has taken."""
    with open(f"/proc/{pid}/stat") as stat:
        words = stat.read().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / TICK


def woken(queue, run, times):
    """Enqueue one, and note how long it takes until its command has said something."""
    began = time.monotonic()
    queue.enqueue(b"x")
    assert readable(run.stdout.fileno()) and os.read(run.stdout.fileno(), 9) == b"x"
    times.append(time.monotonic() - began)


@pytest.mark.timeout(600)
def test_who_waits_is_woken_and_costs_nothing(tmp_path, capsys):
    """`run --follow` and `next --wait`, before a restart of the server and after it.

    PQ_LONG: less than 0.5 % of a core while nothing comes. How soon they wake is told, not judged.
    """
    need_postgres()
    own = new_server()
    pq = Pq(tmp_path)
    pq.env["PQ_SPOOL"] = own.url("q")
    told = []
    try:
        with pq.start("run", "--follow", "--", "cat") as run:
            for when in ("before", "after"):
                with open_queue(own.url("q")) as queue:
                    woken(queue, run, [])
                    times = []
                    for _ in range(ROUNDS):
                        time.sleep(0.1 if LONG else 0.0)  # so that it waits again: for the figure
                        woken(queue, run, times)
                told.append(f"{when} a restart run --follow in {statistics.median(times):.3f} s")
                with pq.start("next", "--wait", "-s", own.url("other")) as waiting:
                    if LONG:
                        time.sleep(3)
                        for name, process in (("run", run), ("next", waiting)):
                            before = seconds_of(process.pid)
                            time.sleep(IDLE)
                            share = (seconds_of(process.pid) - before) / IDLE
                            told.append(f"{name} idle {100 * share:.2f} %")
                            assert share < 0.005, told
                    if when == "before":
                        own.stop(signal.SIGINT)
                        own.start()
                    with open_queue(own.url("other")) as queue:
                        began = time.monotonic()
                        queue.enqueue(b"y")
                        assert readable(waiting.stdout.fileno())
                        told.append(f"next --wait in {time.monotonic() - began:.3f} s")
                        assert waiting.wait(60) == 0 and waiting.stdout.read() == b"y"
    finally:
        own.remove()
    if LONG:
        with capsys.disabled():
            print("\nwaking: " + ", ".join(told))


def test_who_waits_first_makes_the_queue(pq, url):
    """So that it hears what comes there: else it would ask for the queue again and again."""
    made = "select 1 from pq.queue where name = %s"
    with pq.start("next", "--wait"):
        wait_until(lambda: server().sql(made, url.partition("#")[2]), "the queue is there")


def test_news_come_and_may_be_lost(pq):
    """What comes is told at once to who listens, also on a new connection; else a look finds it."""
    url = pq.env["PQ_SPOOL"]
    with open_queue(url) as queue, open_queue(url) as other:
        assert queue.ear()[1] == 0.0  # something may have come before it listened
        fd, seconds = queue.ear()
        assert seconds > 0
        other.enqueue(b"x")
        assert readable(fd)
        other.hold(1)
        end = "select pg_terminate_backend(pid, 60000) from pg_stat_activity"
        server().sql(f"{end} where application_name = 'pq'")
        assert queue.ear()[1] == 0.0  # something may have come meanwhile
        fd, seconds = queue.ear()
        assert seconds > 0
        other.enqueue(b"y")
        assert readable(fd)
        other.remove(2)
        now = server().sql("select clock_timestamp()")[0][0]
        sessions = "select 1 from pg_stat_activity where application_name = 'pq'"
        with pq.start("next", "--wait") as waiting:
            wait_until(
                lambda: len(server().sql(f"{sessions} and backend_start > %s", now)) == 2,
                "it has found nothing, and listens",
            )
            name = url.partition("#")[2]
            server().sql(
                "update pq.item set state = 'pending' where queue ="
                " (select number from pq.queue where name = %s)", name
            )  # fmt: skip
            assert waiting.wait(60) == 0 and waiting.stdout.read() == b"x"
