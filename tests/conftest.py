"""Puts tests/ on the import path, so that every test can `from support import ...`; fixtures."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from database import need_postgres, server
from hypothesis import HealthCheck, settings
from queues import BACKENDS, Clock, make_queue
from support import Pq

from pq_cli import Queue, Spool

# Whoever starts the tests in the background may have left these ignored, and the commands under
# test would inherit it; then no Ctrl-C of a test would reach them.
for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM):
    if signal.getsignal(number) is signal.SIG_IGN:
        default = signal.default_int_handler if number is signal.SIGINT else signal.SIG_DFL
        signal.signal(number, default)


# How long an example takes depends on what else the machine does, and is no finding.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")

pytest_plugins = ["survived", "subset"]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: a third of the time a test waits, for a process or a disk."""
    return len(os.sched_getaffinity(0)) + 1


@pytest.fixture
def tmp_path(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """pytest's own; with the mark `others` a folder that other users of the machine can enter.

    pytest's lies below one folder for all runs of a user, and each run that starts, also somebody
    else's beside this one, closes that folder to others.
    """
    if request.node.get_closest_marker("others") is None:
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="pq-") as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


@pytest.fixture
def scratch() -> Iterator[Path]:
    """Give a folder in memory where there is one: thousands of syncs there wait for no disk.

    A process that is killed, or a call that fails, leaves there what it leaves on a disk; what a
    disk may lose of it is the power-loss model's.
    """
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as name:
        yield Path(name)


@pytest.fixture
def pq(tmp_path: Path) -> Pq:
    """The command `pq`, on a spool of its own that nobody has made yet."""
    return Pq(tmp_path)


@pytest.fixture(params=["spool", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a queue lies that many processes share: a folder, or a URL."""
    if request.param == "spool":
        return str(tmp_path / "spool")
    need_postgres()
    return server().url()


@pytest.fixture
def clock() -> Clock:
    """Time as the test wants it."""
    return Clock()


@pytest.fixture(params=BACKENDS)
def make(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Callable[..., Queue]:
    """Make the queue of one backend with a policy; the one on a disk is opened anew."""
    return lambda **config: make_queue(request.param, tmp_path, clock, **config)


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    """Threads to do something in."""
    with ThreadPoolExecutor() as pool:
        yield pool


@pytest.fixture
def spools(tmp_path):
    """Two processes' views of one spool."""
    with make_queue("spool-full", tmp_path, Clock()) as one, Spool(one.path, clock=Clock()) as two:
        yield one, two
