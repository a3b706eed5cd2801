"""`pq submit`: try now, and if that fails the payload is in the queue."""

from __future__ import annotations

import os
import signal

from support import HANG

WAITING = 'echo $$ > "$D/up"; exec sleep 1000 >/dev/null 2>&1'


def test_delivered(bench):
    """A CMD that succeeds gets the bytes, and nothing is queued or printed by pq."""
    payload = bytes(range(256)) * 100
    done = bench.pq("submit", "--", "cat", stdin=payload)
    assert (done.returncode, done.stdout, done.stderr) == (0, payload, b"")
    assert bench.states() == {}


def test_failed_is_pending_for_a_later_run(bench):
    """A CMD that fails leaves the payload pending, uncounted, at its priority; `run` gets it."""
    for status in (1, 75, 111):
        done = bench.pq("submit", "-p", "2", "--", "sh", "-c", f"exit {status}", stdin=b"hello")
        assert (done.returncode, done.stdout.strip().isdigit()) == (0, True)
    for item in bench.spool().items():
        assert (str(item.state), item.priority, item.attempts) == ("pending", 2, 0)
        assert (item.last_error or "").startswith("exit ")
    assert bench.pq("run", "--", "cat").stdout == b"hello" * 3


def test_failed_for_good(bench):
    """Exit 100: kept among the failed ones, exit 6; what is told brings it back as it stands."""
    done = bench.pq("submit", "--", "sh", "-c", "exit 100", stdin=b"x")
    assert (done.returncode, done.stdout, bench.states()) == (6, b"1\n", {1: "failed"})
    hint = done.stderr.decode().split("`")[1].split()
    bench.pq(*hint[1:])
    assert bench.states() == {1: "pending"}


def test_command_not_found(bench):
    """A typo loses nothing: the payload is queued, and the exit status is 127."""
    done = bench.pq("submit", "--", "no-such-command", stdin=b"x")
    assert (done.returncode, done.stdout, bench.states()) == (127, b"1\n", {1: "pending"})


def test_killed_in_the_middle(bench):
    """kill -9 while CMD runs: the payload is in the queue all the same."""
    process = bench.start("submit", "--", "sh", "-c", WAITING, stdin=-1)
    process.stdin.write(b"precious")
    process.stdin.close()
    child = int(bench.wait_for("up"))
    (item,) = bench.spool().items()
    process.kill()
    process.wait()
    os.kill(child, signal.SIGKILL)
    assert str(item.state) == "active"
    assert bench.pq("run", "--", "cat").stdout == b"precious"


def test_signal_in_the_middle(bench):
    """TERM while CMD runs: CMD is told, the payload is pending, exit 143."""
    process = bench.start("submit", "--", "sh", "-c", WAITING, stdin=-1)
    process.stdin.close()
    bench.wait_for("up")
    process.send_signal(signal.SIGTERM)
    assert process.wait(HANG) == 143
    assert bench.states() == {1: "pending"}


def test_key_that_is_taken(bench):
    """A key that is taken: the id of that item is printed, and nothing is run."""
    bench.spool().enqueue(b"first", key="k")
    words = ("submit", "--key", "k", "--", "touch", str(bench.root / "ran"))
    done = bench.pq(*words, stdin=b"second")
    assert (done.returncode, done.stdout) == (0, b"1\n")
    assert not (bench.root / "ran").exists()
    assert bench.spool().payload(1) == b"first"


def test_without_stdin_or_command(bench):
    """No CMD, or nothing on stdin, is a usage error, and nothing is queued."""
    assert bench.pq("submit", stdin=b"x").returncode == 2
    assert not bench.path.exists()
