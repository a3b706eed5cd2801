"""Waiting for the spool's lock: a command that does so for a second says for which file."""

from __future__ import annotations

import fcntl

import pytest
from support import HANG, Pq

COMMANDS = {
    "enqueue": ("enqueue",),
    "next": ("next", "--claim"),
    "done": ("done", "1.1"),
    "hold": ("hold", "2"),
    "set": ("set", "2", "-p", "1"),
    "check": ("check", "--repair"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_wait_says_what_for(name: str, pq: Pq) -> None:
    """After a second, once, with the path of the lock; then the command does what it should."""
    pq.fill(b"1", b"2", b"3")
    pq("next", "--claim")
    with (pq.spool / "lock").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pq.start(*COMMANDS[name], "--lock-timeout", "30s") as waits:
            line = waits.stderr.readline().decode()
            assert f"the spool is locked: waiting for {pq.spool}/lock" in line
            fcntl.flock(lock, fcntl.LOCK_UN)
            _, rest = waits.communicate(timeout=HANG)
            assert (waits.returncode, "locked" in rest.decode()) == (0, False)
