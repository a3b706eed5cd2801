"""The examples do what they say, as they stand in the folder."""

from __future__ import annotations

import configparser
import os
import signal
import subprocess
import sys
from pathlib import Path

from support import HANG, wait_until

from pq_cli import Spool, State

EXAMPLES = Path(__file__).parents[2] / "examples"
PATH = os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]


def run(*command, spool=None):
    """Run a command with pq in its PATH and a spool."""
    env = {**os.environ, "PATH": PATH, "PQ_SPOOL": str(spool)}
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)


def test_the_python_example_shows_lanes_and_aging():
    """Live first, bulk in its order; an hour later the aged imports go before what is new."""
    done = run(sys.executable, str(EXAMPLES / "queue_priority_example.py"))
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[1:4] == [
        "  live report, priority 2", "  import 2019, priority 8", "  import 2020, priority 8",
    ]  # fmt: skip
    assert lines[6:] == [
        "  import 2019", "  import 2020", "  live report", "  live report of an hour later",
    ]  # fmt: skip


def test_cron_drain_works_off_everything_and_ends_quietly(tmp_path):
    """What succeeds is done, what fails is left for its retry; an empty queue is no error."""
    spool = Spool(tmp_path / "s")
    for payload in (b"good 1\n", b"bad\n", b"good 2\n"):
        spool.enqueue(payload)
    work = f"read word; case $word in bad*) exit 1;; esac; echo $word >> {tmp_path}/done"
    done = run(str(EXAMPLES / "cron-drain"), "sh", "-c", work, spool=spool.path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "done").read_text() == "good 1\ngood 2\n"
    [left] = spool.items()
    assert (left.state, left.attempts) == (State.DELAYED, 1)
    spool.pause()
    assert run(str(EXAMPLES / "cron-drain"), "true", spool=spool.path).returncode == 0


def test_cron_drain_tells_cron_of_a_command_that_is_missing(tmp_path):
    """A command that does not exist is an error that cron mails, and the item stays."""
    spool = Spool(tmp_path / "s")
    spool.enqueue(b"x")
    done = run(str(EXAMPLES / "cron-drain"), "no-such-command-here", spool=spool.path)
    assert done.returncode == 127
    assert [item.state for item in spool.items()] == [State.PENDING]


def test_the_unit_runs_a_worker_that_ends_as_systemd_expects(tmp_path):
    """ExecStart, with its %i filled in, does the work; SIGTERM ends it with the status named."""
    unit = configparser.ConfigParser(interpolation=None, strict=False)
    unit.optionxform = str
    unit.read(EXAMPLES / "pq-run@.service")
    spool = Spool(tmp_path / "s")
    spool.enqueue(b"payload")
    command = tmp_path / "work"
    command.write_text(
        f"#!/bin/sh\ncat > {tmp_path}/done.tmp; mv {tmp_path}/done.tmp {tmp_path}/done\n"
    )
    command.chmod(0o755)
    words = unit["Service"]["ExecStart"].split()
    assert (words[0], words[-1]) == ("/usr/bin/pq", "/usr/local/lib/pq/%i")
    assert unit["Service"]["Environment"] == "PQ_SPOOL=/var/spool/%i"
    words = [sys.executable, "-m", "pq_cli", *words[1:-1], str(command)]
    worker = subprocess.Popen(words, env={**os.environ, "PQ_SPOOL": spool.path})
    try:
        wait_until((tmp_path / "done").exists, "the work is done")
        assert (tmp_path / "done").read_bytes() == b"payload"
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(HANG) == int(unit["Service"]["SuccessExitStatus"])
    finally:
        worker.kill()
        worker.wait()
