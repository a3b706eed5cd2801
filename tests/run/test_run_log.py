"""`pq run --log`, `pq show --log`: what attempts printed is kept beside the item."""

from __future__ import annotations

import fcntl
import json
import os
import signal
from pathlib import Path

import pytest
from support import wait_until


def test_each_attempt_is_kept(bench):
    """Both streams, exit code and times of each attempt are shown, oldest first."""
    bench.spool(backoff="0s", max_attempts=2)
    bench.fill(1)
    script = 'echo "try $PQ_ATTEMPT"; echo oops >&2; exit 3'
    done = bench.pq("run", "--log", "-j2", "--", "sh", "-c", script)
    assert (done.returncode, done.stdout) == (6, b"")
    shown = bench.pq("show", "1", "--log").stdout.decode().splitlines()
    assert shown[0].startswith("== 1.1: exit 3, started_at 20")
    assert shown[1:3] == ["try 1", "oops"]
    assert shown[3].startswith("== 1.2: exit 3")
    assert shown[4:] == ["try 2", "oops"]
    record = json.loads(bench.pq("show", "1", "--log", "--json").stdout)
    assert [log["output"] for log in record["logs"]] == ["try 1\noops\n", "try 2\noops\n"]
    assert bench.spool().get(1).last_error == "exit 3: oops"
    assert bench.pq("show", "1").stdout.count(b"\nlog\t") == 2


def test_log_is_bounded(bench):
    """Of a long output the beginning and the end are kept, and how much was left out."""
    bench.fill(1)
    bench.pq("run", "--log", "--", "sh", "-c", "seq 1000000; exit 1")
    (path,) = bench.spool().attempt_logs(bench.spool().get(1)).values()
    content = Path(path).read_bytes()
    assert len(content) < 70_000
    assert b"\n1\n2\n3\n" in content
    assert content.endswith(b"\n999999\n1000000\n")
    assert b"bytes left out" in content


def test_log_goes_with_the_item(bench):
    """What is removed takes its logs along; what is done well leaves none."""
    bench.fill(2)
    bench.pq("run", "--log", "--", "sh", "-c", 'echo x; [ "$PQ_ID" = 1 ]')
    assert len(list((bench.path / "logs").rglob("*.log"))) == 1
    spool = bench.spool()
    spool.retry(2)
    spool.done(spool.claim())
    assert list((bench.path / "logs").rglob("*.log")) == []


def test_log_of_a_done_item_that_is_kept(bench):
    """With keep_done the log of the attempt that went well is there to be read."""
    bench.spool(keep_done="1d")
    bench.fill(1)
    bench.pq("run", "--log", "--", "echo", "fine")
    assert bench.pq("show", "1", "--log").stdout.splitlines()[1:] == [b"fine"]


def test_log_cannot_drive_a_terminal(bench):
    """Escape sequences in a log are shown, not obeyed."""
    bench.fill(1)
    bench.pq("run", "--log", "--", "sh", "-c", r"printf '\033[2J'; exit 1")
    assert b"\x1b" not in bench.pq("show", "1", "--log").stdout


@pytest.mark.parametrize(
    ("status", "state", "attempts"), [(0, "done", 1), (100, "failed", 1), (75, "delayed", 0)]
)
def test_log_is_best_effort(bench, status, state, attempts):
    """The exit status alone decides, also where the log of the attempt cannot be kept."""
    bench.spool(keep_done="1d")
    bench.fill(1)
    (bench.path / "logs").write_text("in the way")
    ran = bench.pq("run", "--log", "--", "sh", "-c", f"echo x; exit {status}")
    assert ran.returncode == (6 if status else 0)
    assert b"1.1: its log was not kept: " in ran.stderr and b"/logs/" in ran.stderr
    item = bench.spool().get(1)
    assert (str(item.state), item.attempts) == (state, attempts)


class Busy:
    """A context in which somebody else holds the spool's lock."""

    def __init__(self, bench):
        self._path = bench.path / "lock"

    def __enter__(self):
        self._file = self._path.open("rb")
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def __exit__(self, *_):
        self._file.close()


@pytest.mark.parametrize(("status", "state"), [(0, "done"), (100, "failed"), (75, "delayed")])
def test_busy_lock_changes_no_verdict(bench, status, state):
    """While the lock is busy `run --log` says what waits and for which file, heeds a signal,
    and settles as the exit status says when it is free, however short --lock-timeout is.
    """
    bench.spool(keep_done="1d")
    bench.fill(2)
    script = f'echo up >"$D/up"; until [ -e "$D/go" ]; do sleep 0.01; done; exit {status}'
    run = bench.start("run", "--log", "--lock-timeout", "1s", "--", "sh", "-c", script)
    bench.wait_for("up")
    lock = os.fsencode(bench.path / "lock")
    with Busy(bench):
        (bench.root / "go").touch()
        unlogged, waits = run.stderr.readline(), run.stderr.readline()
        assert b"1.1: its log was not kept: " in unlogged and lock in unlogged
        assert b"1.1: its end cannot be written down yet: " in waits and lock in waits
        run.send_signal(signal.SIGTERM)
        assert b"stopping" in run.stderr.readline()
    run.communicate()
    assert run.returncode == 128 + signal.SIGTERM
    assert bench.states() == {1: state, 2: "pending"}


def test_log_waits_for_a_patient_user(bench):
    """Within --lock-timeout a log waits for the lock, says so, and is kept."""
    bench.fill(1)
    script = 'echo up >"$D/up"; until [ -e "$D/go" ]; do sleep 0.01; done; echo why; exit 1'
    run = bench.start("run", "--log", "--lock-timeout", "1h", "--", "sh", "-c", script)
    bench.wait_for("up")
    with Busy(bench):
        (bench.root / "go").touch()
        assert b"1.1: its log waits: the spool is locked" in run.stderr.readline()
    run.communicate()
    assert run.returncode == 6
    assert bench.pq("show", "1", "--log").stdout.endswith(b"\nwhy\n")


@pytest.mark.parametrize("begun", [False, True])
def test_claim_that_waits_says_so(bench, begun):
    """A run that cannot claim for a second says what it waits for, and a first TERM ends it."""
    bench.spool()
    script = 'echo up >"$D/up"'
    words = ("run", "--follow", "--lock-timeout", "1h", "--", "sh", "-c", script)
    if begun:
        run = bench.start(*words)
        bench.fill(1)
        bench.wait_for("up")
        wait_until(lambda: not bench.states(), "the first item was not settled")
    with Busy(bench):
        if not begun:
            run = bench.start(*words)
        line = run.stderr.readline()
        assert b"nothing can be claimed yet: " in line and os.fsencode(bench.path / "lock") in line
        run.send_signal(signal.SIGTERM)
        run.communicate()
        assert run.returncode in (-signal.SIGTERM, 128 + signal.SIGTERM)


def test_claim_that_waits_too_long(bench):
    """After --lock-timeout a run that could claim nothing ends with 75, naming the lock."""
    bench.fill(1)
    with Busy(bench):
        ran = bench.pq("run", "--lock-timeout", "0.2s", "--", "true")
    assert ran.returncode == 75
    assert os.fsencode(bench.path / "lock") in ran.stderr
    assert bench.states() == {1: "pending"}


def test_a_log_that_went_with_its_item_says_what_keeps_it(bench):
    """Asked for the log of an item that is done, `show` names keep_done: by default it is gone."""
    bench.fill(1)
    bench.pq("run", "--log", "--", "echo", "fine")
    told = bench.pq("show", "1", "--log").stderr.decode().splitlines()
    assert told[0].startswith("pq: there is no item 1: it was done at ")
    assert told[1:] == [
        "pq: a log is kept as long as its item: keep_done in queue.toml keeps what is done"
    ]
    assert b"keep_done" not in bench.pq("show", "1").stderr
