"""`pq run`: what each exit status does, and when a run stops by itself."""

from __future__ import annotations

import errno
import os

import pytest


@pytest.mark.parametrize(
    ("status", "state", "attempts", "run_exit"),
    [
        ("exit 0", None, 0, 0),
        ("exit 75", "delayed", 0, 6),
        ("exit 111", "delayed", 0, 6),
        ("exit 100", "failed", 1, 6),
        ("exit 1", "delayed", 1, 6),
        ("exit 99", "delayed", 1, 6),
        ("exit 255", "delayed", 1, 6),
        ("kill -9 $$", "delayed", 1, 6),
        ("exit 126", "pending", 0, 126),
        ("exit 127", "pending", 0, 127),
    ],
)
def test_contract(bench, status, state, attempts, run_exit):
    """Every exit status of the worker contract does to the item what the contract says."""
    bench.fill(1)
    done = bench.pq("run", "-j2", "--", "sh", "-c", status)
    assert done.returncode == run_exit
    if state is None:
        assert bench.states() == {}
        return
    item = bench.spool().get(1)
    assert (str(item.state), item.attempts) == (state, attempts)
    if state != "pending":
        expected = 137 if "kill" in status else int(status.split()[1])
        assert item.history[-1]["exit"] == expected


def test_attempts_run_out(bench):
    """A failure counts until max_attempts, then the item is a dead letter."""
    bench.spool(max_attempts=2, backoff="0s").enqueue(b"x")
    assert bench.pq("run", "--", "false").returncode == 6
    assert bench.states() == {1: "failed"}
    assert [entry["exit"] for entry in bench.spool().get(1).history] == [1, 1]


@pytest.mark.parametrize(("make", "status"), [(None, 127), (0o600, 126)])
def test_typo_does_not_send_items_to_the_dead_letters(bench, make, status):
    """A CMD that cannot be run stops the pool; every item is back, none counted."""
    bench.fill(30)
    command = bench.root / "command"
    if make is not None:
        command.write_text("#!/bin/sh\n")
        command.chmod(make)
    done = bench.pq("run", "-j4", "--", str(command))
    assert done.returncode == status
    assert str(command) in done.stderr.decode()
    assert [(i.attempts, str(i.state)) for i in bench.spool().items()] == [(0, "pending")] * 30


def test_halt_after_failures_in_a_row(bench):
    """--halt-after N stops after N failures in a row; a success in between starts anew."""
    bench.fill(10)
    script = '[ "$PQ_ID" = 2 ]'
    done = bench.pq("run", "--halt-after", "3", "--", "sh", "-c", script)
    assert done.returncode == 6
    assert b"3 failures in a row" in done.stderr
    states = bench.states()
    assert sorted(n for n, state in states.items() if state == "delayed") == [1, 3, 4, 5]
    assert [n for n, state in states.items() if state == "pending"] == [6, 7, 8, 9, 10]


def test_summary_tells_what_failed(bench):
    """With a failure, a line on stderr sums up; without one, stderr is silent."""
    bench.fill(3)
    done = bench.pq("run", "--", "sh", "-c", '[ "$PQ_ID" != 2 ]')
    lines = done.stderr.decode().splitlines()
    assert lines[0] == "pq: 2.1: exit 1"
    assert lines[1].startswith("pq: 2 done, 1 failed in ")
    bench.fill(1)
    assert bench.pq("run", "--", "true").stderr == b""


def test_damaged_payload_is_not_served(bench):
    """A payload that is torn on disk is not given to CMD; the others are."""
    bench.fill(3)
    (bench.path / "pending/05/0000000/0000000002").write_bytes(b"9\n")  # same size, other bytes
    done = bench.pq("run", "--", "cat")
    assert (done.returncode, done.stdout) == (6, b"0\n2\n")
    assert bench.states() == {2: "failed"}
    assert "checksum" in (bench.spool().get(2).last_error or "")


def test_gate_closed_claims_nothing(bench):
    """Without --follow a closed gate ends the run with 75, and no item is touched."""
    bench.fill(2)
    done = bench.pq("run", "--when", "test -e online", "--", "true")
    assert done.returncode == 75
    assert [item.claims for item in bench.spool().items()] == [0, 0]
    (bench.root / "online").touch()
    assert bench.pq("run", "--when", "test -e online", "--", "true").returncode == 0
    assert bench.states() == {}


def test_gate_closes_after_a_failure(bench):
    """After a failed attempt the gate is asked again: going offline costs one attempt, not ten."""
    bench.fill(10)
    (bench.root / "online").touch()
    script = '[ "$PQ_ID" != 3 ] || { rm online; exit 1; }'
    done = bench.pq("run", "--when", "test -e online", "--", "sh", "-c", script)
    assert done.returncode == 75
    assert [item.id for item in bench.spool().items() if item.claims] == [3]
    assert len(bench.states()) == 8


def test_gate_command_that_is_not_there(bench):
    """A gate that cannot be asked is an error before anything is claimed."""
    bench.fill(1)
    done = bench.pq("run", "--when", "no-such-gate", "--", "true")
    assert done.returncode == 127
    assert b"--when" in done.stderr
    assert bench.spool().get(1).claims == 0


def test_paused_queue(bench):
    """A paused queue is not drained: exit 75 and the reason, nothing claimed."""
    bench.fill(1)
    bench.spool().pause("moving house")
    done = bench.pq("run", "--", "true")
    assert done.returncode == 75
    assert b"moving house" in done.stderr
    assert bench.spool().get(1).claims == 0


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["-j0"], "--jobs"),
        (["-j", "x"], "--jobs"),
        (["--rate", "fast"], "--rate"),
        (["--rate", "0/s"], "--rate"),
        (["--max", "-1"], "--max"),
        (["--timeout", "0"], "--timeout"),
        (["--nice", "20"], "--nice"),
        (["--when", "a 'b"], "--when"),
        (["--halt-after", "0"], "--halt-after"),
        (["--log", "--tag"], "--log"),
        (["--lease", "0"], "--lease"),
    ],
)
def test_bad_options(bench, words, named):
    """A bad option is named in one line (exit 2), and nothing is claimed."""
    bench.fill(1)
    done = bench.pq("run", *words, "--", "true")
    assert done.returncode == 2
    assert named in done.stderr.decode()
    assert len(done.stderr.splitlines()) == 1
    assert bench.spool().get(1).claims == 0


def test_no_command(bench):
    """Without CMD there is nothing to do: usage."""
    bench.fill(1)
    assert bench.pq("run").returncode == 2
    assert bench.states() == {1: "pending"}


def test_worker_starts_on_a_full_disk(bench, monkeypatch):
    """A worker's own lock finds room in the spare: what fills the disk can be worked off."""
    spool = bench.spool()
    spool.enqueue(b"x")
    spool.done(spool.claim())
    spare, make = bench.path / "spare", os.mkdir
    assert spare.exists()

    def full(path, *rest):
        if spare.exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        make(path, *rest)

    monkeypatch.setattr(os, "mkdir", full)
    spool.attend().close()
    assert not spare.exists()
