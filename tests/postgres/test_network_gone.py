"""The network between a worker and its server is gone for a while, and nobody says so."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time

import pytest
from crowd import LONG, Crowd
from database import need_postgres, new_server
from support import Pq, need_tool, readable, wait_until
from survived import TALLY

from pq_cli import open_queue
from pq_cli.postgres.address import Address
from pq_cli.postgres.link import Link

GONE = 60.0 if LONG else 3.0
"""Seconds: in the long form as long as it takes both sides to notice by themselves."""
SOON = "" if LONG else "&tcp_user_timeout=1500&connect_timeout=2"


class Far:
    """A host of its own: a network namespace, from which a server here is reached by one cable."""

    def __init__(self) -> None:
        me = os.getpid() % 10_000
        self.name, self.near, behind = f"pqfar{me}", f"pqa{me}", f"pqb{me}"
        network = f"198.18.{me % 250}"  # kept for such tests: RFC 2544
        self.address = f"{network}.1"
        self.within = ["ip", "netns", "exec", self.name]
        inside = ["-n", self.name]
        for words in (
            ["netns", "add", self.name],
            ["link", "add", self.near, "type", "veth", "peer", "name", behind, "netns", self.name],
            ["addr", "add", f"{network}.1/30", "dev", self.near],
            ["link", "set", self.near, "up"],
            [*inside, "addr", "add", f"{network}.2/30", "dev", behind],
            [*inside, "link", "set", behind, "up"],
        ):
            if subprocess.run(["ip", *words], capture_output=True, check=False).returncode:
                self.remove()
                pytest.skip("network namespaces are not allowed here")
        self.server = new_server(f"listen_addresses={self.address}")
        with open(self.server.data / "pg_hba.conf", "a") as rules:
            rules.write("host all all 198.18.0.0/15 trust\n")
        self.server.sql("select pg_reload_conf()")

    def url(self, queue: str) -> str:
        """Return the URL of a queue as it is from there."""
        return f"postgresql://pq@{self.address}/postgres?{SOON.strip('&')}#{queue}"

    def cut(self) -> None:
        """From now on nothing arrives, on either side."""
        subprocess.run(["ip", "link", "set", self.near, "down"], check=True)
        TALLY["networks cut between worker and database"] += 1
        if not LONG:  # what the server does by itself when it has heard nothing for 30 s
            gone = "select pg_terminate_backend(pid) from pg_stat_activity"
            self.server.sql(f"{gone} where client_addr is not null")

    def mend(self) -> None:
        """And on it goes."""
        subprocess.run(["ip", "link", "set", self.near, "up"], check=True)

    def remove(self) -> None:
        """Leave nothing behind."""
        if hasattr(self, "server"):
            self.server.remove()
        subprocess.run(["ip", "netns", "del", self.name], capture_output=True, check=False)
        subprocess.run(["ip", "link", "del", self.near], capture_output=True, check=False)


@pytest.fixture(scope="module")
def far():
    """A host from which the server is far away."""
    need_postgres()
    need_tool("ip")
    if os.geteuid() != 0:
        pytest.skip("only root can lay cables")
    made = Far()
    try:
        yield made
    finally:
        made.remove()


def test_both_sides_notice_within_half_a_minute(far):
    """Keepalives of the server and of ours, and how long what was sent may be unanswered."""
    link = Link(Address(f"postgresql://pq@{far.address}/postgres"), 5.0)
    names = ("tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_keepalives_count",
             "tcp_user_timeout")  # fmt: skip
    theirs = link.row("select " + ", ".join(f"current_setting('{name}')" for name in names))
    with socket.socket(fileno=os.dup(link.session.fileno())) as ours:
        told = [ours.getsockopt(socket.IPPROTO_TCP, option) for option in (
            socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT, socket.TCP_USER_TIMEOUT
        )]  # fmt: skip
        assert ours.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    link.close()
    for idle, interval, count, unanswered in (told, map(int, theirs)):
        assert idle + interval * count <= 30 and 0 < unanswered <= 30_000


def test_a_worker_that_was_cut_off_stops_what_it_lost_and_goes_on(far, tmp_path):
    """Its item is another's meanwhile: it stops its command, refuses its result, works on."""
    pq = Pq(tmp_path)
    pq.env["PQ_SPOOL"] = far.server.url("one")
    pq("enqueue", stdin=b"x")
    script = f"""
    if [ "$PQ_CLAIM" != 1.1 ]; then echo $PQ_CLAIM; exit; fi
    trap 'touch {tmp_path}/stopped; exit' TERM
    echo began; while :; do sleep 0.1; done
    """
    argv = [
        *far.within,
        *pq.argv("run", "--follow", "-s", far.url("one"), "--", "sh", "-c", script),
    ]
    with contextlib.ExitStack() as end:
        run = end.enter_context(subprocess.Popen(argv, stdout=subprocess.PIPE, env=pq.env))
        end.callback(run.kill)
        assert readable(run.stdout.fileno()) and os.read(run.stdout.fileno(), 9) == b"began\n"
        far.cut()
        end.callback(far.mend)
        queue = end.enter_context(open_queue(pq.env["PQ_SPOOL"]))
        item = wait_until(queue.claim, "the item is free again")
        assert item.claim == "1.2" and not (tmp_path / "stopped").exists()
        time.sleep(GONE)  # it is the network that takes so long
        far.mend()
        wait_until((tmp_path / "stopped").exists, "it learns that the claim was lost")
        queue.done(item)
        pq("enqueue", stdin=b"y")
        assert readable(run.stdout.fileno()) and os.read(run.stdout.fileno(), 9) == b"2.1\n"
        run.terminate()
        assert run.wait(60) == 143


# Who was cut off while it claimed may hold an item by its lease alone: five minutes.
@pytest.mark.timeout(900)
def test_producers_and_workers_that_are_cut_off(far):
    """Under load: what was told is served, no claim was two's; all go on by themselves."""
    with Crowd(far.url("many"), within=far.within) as crowd:
        far.cut()
        time.sleep(GONE)
        done, told = len(crowd.done), len(crowd.told)
        far.mend()
        wait_until(lambda: len(crowd.done) > done and len(crowd.told) > told, "work goes on")
    crowd.url = far.server.url("many")
    crowd.settle()
