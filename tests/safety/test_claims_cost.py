"""Claims cost the next one nothing: none of their metas is read unless one may be over."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from queues import Clock
from support import HANG, need_tool, wait_until

from pq_cli import Spool
from pq_cli.queue.request import Request

WORKER = """
import sys
from pq_cli import Spool
spool = Spool(sys.argv[1])
print(*[spool.claim(lease=1000).id for _ in range(int(sys.argv[2]))], flush=True)
sys.stdin.read()
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A spool with a hundred items."""
    with Spool(tmp_path / "spool") as spool:
        spool.enqueue_many([(b"x", Request())] * 100)
    return tmp_path / "spool"


@pytest.fixture
def workers(root: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Four processes that hold ten claims each, and live."""
    argv = [sys.executable, "-c", WORKER, str(root), "10"]
    pipe = subprocess.PIPE
    started = [subprocess.Popen(argv, stdin=pipe, stdout=pipe) for _ in range(4)]
    try:
        for process in started:
            assert process.stdout is not None and len(process.stdout.readline().split()) == 10
        yield started
    finally:
        for process in started:
            process.kill()
            process.communicate(timeout=HANG)


def metas_read(root: Path) -> int:
    """Return how many metas of claims `pq next` reads."""
    log = root.parent / "strace.log"
    command = ["strace", "-f", "-o", str(log), "--trace=openat", sys.executable, "-m", "pq_cli"]
    subprocess.run(
        [*command, "next"], check=True, timeout=HANG, stdout=subprocess.DEVNULL,
        env={**os.environ, "PQ_SPOOL": str(root)},
    )  # fmt: skip
    return sum("/active/" in line and ".meta.json" in line for line in log.open())


def test_claims_of_living_workers_are_not_read(root: Path, workers: list) -> None:
    """Of many workers, or of `next --claim`: the next one looks at its own only."""
    need_tool("strace")
    metas_read(root)  # nobody may have known yet when the first lease ends
    with Spool(root) as spool:
        for _ in range(10):
            spool.claim(bound=False)
    assert metas_read(root) == 0


def test_a_dead_workers_items_are_free_to_the_next(root: Path, workers: list) -> None:
    """At once, and only they; its lock is gone then, and claims cost nothing again."""
    need_tool("strace")
    with Spool(root) as spool:
        lost = {i.id for i in spool.items() if i.holder and i.holder.pid == workers[1].pid}
        workers[1].send_signal(signal.SIGKILL)
        wait_until(lambda: workers[1].poll() is not None, "it dies")
        assert [spool.claim().id for _ in range(10)] == sorted(lost)
        assert spool.claim().id == 41
    assert len(os.listdir(root / "workers")) == 4  # three of them, and this process
    assert metas_read(root) == 0


def test_a_lease_that_ends_is_noticed(tmp_path: Path) -> None:
    """Of several claims each is over when its own lease is, renewed or not, whoever asks."""
    clock = Clock()
    with Spool(tmp_path / "s", clock=clock) as one, Spool(tmp_path / "s", clock=clock) as two:
        one.enqueue_many([(b"x", Request())] * 3)
        for lease in (30, 10, 20):
            one.claim(lease=lease, bound=False)
        one.renew("2.1", 40)
        one.renew("1.1", 5)
        for seconds, item in ((6, 1), (15, 3), (20, 2)):
            assert two.claim() is None
            clock.now += seconds
            assert two.claim(bound=False).id == item
        assert two.claim() is None


def test_a_worker_that_ends_well_leaves_no_lock(root: Path) -> None:
    """Neither does `pq next -- CMD`, nor a program that ends what it has claimed."""
    env = {**os.environ, "PQ_SPOOL": str(root)}
    argv = [sys.executable, "-m", "pq_cli", "next", "--", "true"]
    subprocess.run(argv, check=True, timeout=HANG, env=env)
    with Spool(root) as spool:
        spool.done(spool.claim())
    assert os.listdir(root / "workers") == []


def test_a_program_that_closes_nothing_ends_quietly(root: Path) -> None:
    """Its lock is gone with its last claim, and nothing is said on the way out."""
    script = "import sys; from pq_cli import Spool; s = Spool(sys.argv[1]); s.done(s.claim())"
    argv = [sys.executable, "-c", script, str(root)]
    ran = subprocess.run(argv, check=True, timeout=HANG, capture_output=True)
    assert ran.stderr == b"" and os.listdir(root / "workers") == []


def test_closing_a_queue_keeps_its_claims(root: Path) -> None:
    """A claim ends with the process that made it, not with the object that it was made by."""
    with Spool(root) as spool:
        item = spool.claim()
    with Spool(root) as spool:
        assert spool.claim().id != item.id
        spool.done(item)


def test_a_child_that_was_forked_keeps_nothing(root: Path) -> None:
    """When the process that claimed dies, its claims are free, though a child of it lives on."""
    argv = [sys.executable, "-c", FORKING, str(root)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdin is not None
        child = int(process.stdout.readline())
        process.kill()
        process.wait(timeout=HANG)
        try:
            with Spool(root) as spool:
                assert spool.claim().id == 1
        finally:
            os.kill(child, signal.SIGKILL)


FORKING = """
import os, sys, time
from pq_cli import Spool
spool = Spool(sys.argv[1])
item = spool.claim(lease=1000)
pid = os.fork()
if pid == 0:
    print(os.getpid(), flush=True)  # only now it has let go
    time.sleep(1000)
sys.stdin.read()
"""
