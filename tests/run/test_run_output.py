"""`pq run`: what becomes of the commands' output, and of the items when nobody takes it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from support import wait_until


def dead(kind):
    """Return a descriptor to write to that takes nothing."""
    if kind == "pipe":
        read_end, write_end = os.pipe()
        os.close(read_end)
        return write_end
    return os.open("/dev/full", os.O_WRONLY)


@pytest.mark.parametrize("jobs", ["-j1", "-j2"])
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
@pytest.mark.parametrize(("kind", "status"), [("pipe", 128 + signal.SIGPIPE), ("full", 74)])
def test_a_dead_reader_costs_no_attempts(bench, jobs, stream, kind, status):
    """When stdout or stderr take no more, the run ends and says why; the rest is untouched."""
    bench.fill(5)
    end = dead(kind)
    script = {"stdout": "cat", "stderr": "cat >&2"}[stream]
    run = bench.start("run", jobs, "--", "sh", "-c", script, **{stream: end})
    os.close(end)
    _, err = run.communicate()
    assert run.returncode == status
    if stream == "stdout":
        assert err == (
            b""
            if kind == "pipe"
            else b"pq: standard output: No space left on device;"
            b" `df -h` and `df -i` tell what is full\n"
        )
    left = list(bench.spool().items())
    assert len(left) == 5 - int(jobs[2])
    assert {(str(item.state), item.attempts, item.claims) for item in left} == {("pending", 0, 0)}


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
@pytest.mark.parametrize(("kind", "status"), [("pipe", 128 + signal.SIGPIPE), ("full", 74)])
def test_a_dead_reader_costs_next_no_attempt(bench, stream, kind, status):
    """A command that fails because nobody takes its output gives its item back, uncounted."""
    bench.fill(1)
    end = dead(kind)
    script = {"stdout": "cat", "stderr": "cat >&2"}[stream]
    run = bench.start("next", "--", "sh", "-c", script, **{stream: end})
    run.communicate()
    assert run.returncode == status
    assert [(str(i.state), i.attempts) for i in bench.spool().items()] == [("pending", 0)]
    run = bench.start("next", "--", "sh", "-c", "exit 100", **{stream: end})
    os.close(end)
    run.communicate()
    assert (run.returncode, bench.states()) == (6, {1: "failed"})


def test_a_closed_stdout_costs_no_attempts(bench):
    """As little as one that is full; without output it is not missed."""
    bench.fill(3)
    close = {"stdout": None, "preexec_fn": lambda: os.close(1)}
    assert subprocess_status(bench, close, "true") == (0, b"")
    bench.fill(3)
    status, err = subprocess_status(bench, close, "cat")
    assert (status, err) == (
        74,
        b"pq: standard output: Bad file descriptor; `ls -l /proc/$$/fd` tells what is open\n",
    )
    assert {(str(item.state), item.attempts) for item in bench.spool().items()} == {("pending", 0)}


def subprocess_status(bench, options, *command):
    argv = [sys.executable, "-m", "pq_cli", "run", "--", *command]
    options = {"stdout": subprocess.PIPE, **options}
    done = subprocess.run(
        argv, env=bench.env, stderr=subprocess.PIPE, timeout=60, check=False, **options
    )
    return done.returncode, done.stderr


def test_one_command_at_a_time_is_passed_on_byte_for_byte(bench):
    """No newline is added, and both streams into one file keep their order."""
    bench.fill(2)
    script = 'printf "a\\0b"; printf c >&2; printf "d\\r"'
    with (bench.root / "out").open("wb") as out:
        run = bench.start("run", "--", "sh", "-c", script, stdout=out, stderr=out)
        run.communicate()
    assert (bench.root / "out").read_bytes() == b"a\0bcd\r" * 2


def test_output_is_passed_on_as_it_comes(bench):
    """A prompt or a dot of progress is seen before its line ends."""
    bench.fill(1)
    script = 'printf .; until [ -e "$D/go" ]; do sleep 0.01; done'
    run = bench.start("run", "--", "sh", "-c", script)
    assert run.stdout.read(1) == b"."
    (bench.root / "go").touch()
    run.communicate()
    assert run.returncode == 0


def test_an_attempt_ends_when_its_output_was_taken(bench):
    """pq does not run ahead of a slow reader: what nobody took yet would be lost with it."""
    bench.fill(2)
    script = 'head -c 400000 /dev/zero; echo end > "$D/end$PQ_ID"'
    run = bench.start("run", "--", "sh", "-c", script)
    bench.wait_for("end1")
    assert bench.states() == {1: "active", 2: "pending"}
    run.stdout.read(400_000)
    bench.wait_for("end2")
    assert bench.states() == {2: "active"}
    run.communicate()
    wait_until(lambda: not bench.states(), "the last was not settled")


def test_on_a_terminal_a_single_command_has_it_itself(bench):
    """So it may draw and colour as if pq were not there."""
    bench.fill(1)
    ours, theirs = os.openpty()
    run = bench.start("run", "--", "test", "-t", "1", stdout=theirs)
    os.close(theirs)
    run.communicate()
    os.close(ours)
    assert run.returncode == 0
