"""What is told of the gate (`--when`): what is news, once; nothing where it is none."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest
from support import wait_until

HASTY = "import pq_cli.worker.gate as gate; gate.HOLDS = 0.02; from pq_cli.cli import main; main()"
"""pq with answers of the gate that hold for a moment only."""
GATE = 'echo asked >> "$D/asks"; [ -e "$D/online" ] || { echo "no route" >&2; exit 1; }'
CLOSED = "pq: the gate (--when) is closed: nothing is claimed meanwhile"
NO_MORE = "pq: the gate (--when) is closed: nothing more is claimed"


@pytest.fixture
def gate(bench):
    """A script that is closed while there is no file `online`, says why, and counts."""
    script = bench.root / "gate"
    script.write_text(f"#!/bin/sh\n{GATE}\n")
    script.chmod(0o755)
    return str(script)


def asks(bench):
    """Return how often the gate was asked."""
    file = bench.root / "asks"
    return len(file.read_text().splitlines()) if file.exists() else 0


def test_following_tells_each_change_once(bench, gate):
    """However often a gate is asked, its stderr and its state are told when the state changes."""
    bench.fill(1)
    argv = [sys.executable, "-c", HASTY, "run", "--follow", "--when", gate, "--", "true"]
    process = subprocess.Popen(argv, env=bench.env, stderr=subprocess.PIPE, text=True)
    bench.started.append(process)
    wait_until(lambda: asks(bench) >= 5, "the gate was not asked again")
    (bench.root / "online").touch()
    wait_until(lambda: not bench.states(), "nothing was run when the gate had opened")
    (bench.root / "online").unlink()
    bench.fill(1)
    before = asks(bench)
    wait_until(lambda: asks(bench) >= before + 5, "the gate was not asked again")
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate()
    lines = [line for line in err.splitlines() if "stopping" not in line]
    again = "pq: the gate (--when) is open again"
    assert lines == ["no route", CLOSED, again, "no route", CLOSED]


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_cron_gets_no_mail_of_a_gate_that_stays_closed(bench, gate, more):
    """Where nobody looks on, a gate that was closed from the start is told by the status alone."""
    bench.fill(2)
    done = bench.pq("run", *more, "--when", gate, "--", "true")
    assert (done.returncode, done.stderr) == (75, b"")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["event"] for event in events] == (["gate", "end"] if more else [])
    assert asks(bench) == 1
    assert [item.claims for item in bench.spool().items()] == [0, 0]


def test_a_gate_that_closes_is_news(bench, gate):
    """Once something was tried, it is told that no more is, and why."""
    bench.fill(3)
    (bench.root / "online").touch()
    done = bench.pq("run", "--when", gate, "--", "sh", "-c", 'rm "$D/online"; exit 1')
    assert done.returncode == 75
    lines = done.stderr.decode().splitlines()
    assert lines[:3] == ["pq: 1.1: exit 1", "no route", NO_MORE]
    assert len([line for line in lines if "closed" in line]) == 1


def test_who_looks_on_is_told(bench, gate, pq):
    """On a terminal, and with --progress, a closed gate is told at once."""
    bench.fill(1)
    done = bench.pq("run", "--progress", "--when", gate, "--", "true")
    assert done.returncode == 75
    assert done.stderr.decode().splitlines()[:2] == ["no route", NO_MORE]
    pq.env |= {"PQ_SPOOL": str(bench.path), "D": str(bench.root), "TERM": "dumb"}
    shown = pq.on_terminal("run", "--when", gate, "--", "true", expect=75)
    assert shown.splitlines() == ["no route", NO_MORE]


@pytest.mark.parametrize(("script", "status"), [("no-such-thing", 127), ("/dev/null", 126)])
def test_a_gate_that_cannot_be_asked_is_no_closed_gate(bench, script, status):
    """A command in the gate that cannot be run is an error that cron mails, not an outage."""
    bench.fill(1)
    done = bench.pq("run", "--when", f"sh -c '{script}'", "--", "true")
    assert done.returncode == status
    assert f"pq: --when: sh: exit {status}" in done.stderr.decode()
    assert bench.spool().get(1).claims == 0


def test_a_gate_that_talks_without_end_is_bounded(bench):
    """Of much, the beginning and the end are told, and pq does not wait for who holds the pipe."""
    bench.fill(1)
    script = "seq 100000 >&2; sleep 60 & echo last >&2; exit 1"
    done = bench.pq("run", "--progress", "--when", f"sh -c '{script}'", "--", "true")
    assert done.returncode == 75
    assert len(done.stderr) < 10_000
    lines = done.stderr.decode().splitlines()
    assert (lines[0], lines[-3:-1]) == ("1", ["last", NO_MORE])


def test_the_gate_has_no_terminal_input(bench):
    """It reads nothing and prints nothing: its stdout is not that of the run."""
    bench.fill(1)
    done = bench.pq("run", "--when", "sh -c 'cat; echo out'", "--", "cat", stdin=b"typed")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"0\n", b"")
