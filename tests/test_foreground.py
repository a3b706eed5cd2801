"""`pq next -- CMD` and `pq submit` as real processes: what stops, what is settled, what is said."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from support import HANG, Pq, runs, wait_until

VERBS = ("next", "submit")
STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@contextmanager
def working(pq: Pq, verb: str, *args: str, **popen):
    """Start the verb on item 1, whose payload is `x`."""
    if verb == "next":
        pq.fill(b"x")
    with pq.start(verb, *args, stdin=subprocess.PIPE, **popen) as process:
        process.stdin.write(b"x")
        process.stdin.close()
        process.stdin = None
        yield process


def pids_in(file: Path, count: int) -> list[int]:
    """Wait until so many processes have written their number; return them."""
    wait_until(lambda: file.exists() and file.read_text().count("\n") >= count, "CMD has started")
    return [int(pid) for pid in file.read_text().split()]


@contextmanager
def killed_at_the_end(file: Path):
    """Leave nothing running, whatever the test says."""
    try:
        yield
    finally:
        for pid in file.read_text().split() if file.exists() else ():
            if runs(int(pid)):
                os.kill(int(pid), signal.SIGKILL)


def stubborn(file: Path) -> str:
    """Return a script whose work goes on in three children: none is easily found or stopped.

    One has a session of its own and no parent, one neither environment nor an ear for TERM. (A
    shell waits for those who do not hear INT, and has not ended before.)
    """
    tell = f"echo $$ >> '{file}'"
    return (
        f"(setsid sh -c \"{tell}; exec sleep 1000\" > '{os.devnull}' 2>&1 &)\n"
        f"env -i sh -c \"trap '' TERM HUP; {tell}; while :; do sleep 0.1; done\" | cat\n"
        f":"
    ).replace("$$", r"\$\$")


# -- stopping ------------------------------------------------------------------


@pytest.mark.parametrize("number", STOPS)
@pytest.mark.parametrize("verb", VERBS)
def test_stopping_stops_everything(pq: Pq, tmp_path: Path, verb: str, number: int) -> None:
    """TERM, INT and HUP: when the item is free for others, nothing of the command runs any more."""
    pids = tmp_path / "pids"
    with (
        killed_at_the_end(pids),
        working(pq, verb, "--", "sh", "-c", stubborn(pids)) as process,
        pq.api() as spool,
    ):
        started = pids_in(pids, 2)
        process.send_signal(number)
        item = wait_until(spool.claim, "the item is free")
        assert not any(map(runs, started))
        assert (item.claim, item.attempts) == ("1.2", 1)
        assert process.wait(HANG) == 128 + number


@pytest.mark.parametrize("how", ["Ctrl-C", "hang-up"])
@pytest.mark.parametrize("verb", VERBS)
def test_the_terminal_stops_everything(pq: Pq, tmp_path: Path, verb: str, how: str) -> None:
    """So do Ctrl-C, and a terminal that hangs up: then the kernel may tell pq alone."""
    pids = tmp_path / "pids"
    if verb == "next":
        pq.fill(b"x")
    script = f'exec sh -c \'echo x | "$@"\' sh {sys.executable} -m pq_cli submit -- "$@"'
    words = pq.argv("next", "--") if verb == "next" else ["sh", "-c", script, "sh"]
    with killed_at_the_end(pids):
        pid, master = pty.fork()
        if pid == 0:
            os.execvpe(words[0], [*words, "sh", "-c", stubborn(pids)], pq.env)
        try:
            started = pids_in(pids, 2)
            if how == "Ctrl-C":
                os.write(master, b"\x03")
            else:
                os.close(master)
            with pq.api() as spool:
                item = wait_until(spool.claim, "the item is free")
            assert not any(map(runs, started))
            assert (item.claim, item.attempts) == ("1.2", 1)
        finally:
            if how == "Ctrl-C":
                os.close(master)
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


@pytest.mark.parametrize("verb", VERBS)
def test_a_failed_command_leaves_nothing_at_work(pq: Pq, tmp_path: Path, verb: str) -> None:
    """What CMD has started is stopped before its item can be tried again; after a success it stays.

    A daemon that a successful command has left is its own business.
    """
    pids = tmp_path / "pids"
    leave = f"(setsid sh -c 'echo $$ >> {pids}; exec sleep 1000' > {os.devnull} 2>&1 &)"
    script = f"{leave}; until [ -s {pids} ]; do sleep .01; done; exit $0"
    with killed_at_the_end(pids):
        for status in (1, 75, 0):
            pids.unlink(missing_ok=True)
            with working(pq, verb, "--", "sh", "-c", script, str(status)) as process:
                process.wait(HANG)
            (left,) = pids_in(pids, 1)
            assert runs(left) == (status == 0)


def test_the_jobs_of_the_shell_before_are_left_alone(pq: Pq, tmp_path: Path) -> None:
    """A shell that becomes pq (`exec pq next -- CMD`) keeps its background jobs."""
    pq.fill(b"x")
    pids = tmp_path / "pids"
    script = f'sleep 1000 > {os.devnull} 2>&1 & echo $! > {pids}; exec "$@"'
    argv = ["sh", "-c", script, "sh", *pq.argv("next", "--", "false")]
    with killed_at_the_end(pids):
        subprocess.run(argv, env=pq.env, timeout=HANG, check=False, capture_output=True)
        (job,) = pids_in(pids, 1)
        assert runs(job)


def test_orphans_are_reaped_while_the_command_runs(pq: Pq, tmp_path: Path) -> None:
    """A long CMD that starts and forgets others leaves no zombies with pq."""
    pids = tmp_path / "pids"
    script = f"for n in 1 2 3; do (setsid true &); done; echo $$ > {pids}; exec sleep 1000"
    with killed_at_the_end(pids), working(pq, "next", "--", "sh", "-c", script) as process:
        pids_in(pids, 1)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        wait_until(lambda: len(children.read_text().split()) == 2, "the guard and CMD are left")
        process.terminate()
        process.wait(HANG)


@pytest.mark.parametrize("verb", VERBS)
def test_a_lost_claim_stops_its_command(pq: Pq, tmp_path: Path, verb: str) -> None:
    """A pq that was stopped for longer than its lease finds its claim lost, and ends the command.

    The item stays with whoever has it now. `next` says 4; for `submit` the payload is in the queue.
    """
    pids = tmp_path / "pids"
    with (
        killed_at_the_end(pids),
        working(pq, verb, "--lease", "0.5", "--", "sh", "-c", stubborn(pids)) as process,
        pq.api() as spool,
    ):
        started = pids_in(pids, 2)
        process.send_signal(signal.SIGSTOP)
        other = wait_until(spool.claim, "the lease is over")
        process.send_signal(signal.SIGCONT)
        out, err = process.communicate(timeout=HANG)
        assert not any(map(runs, started))
        assert b"the claim was lost; the command is stopped" in err
        assert b"1.1 is stale" in err
        assert (process.returncode, out) == ((4, b"") if verb == "next" else (0, b"1\n"))
        assert spool.get(1).claim == other.claim == "1.2"


@pytest.mark.parametrize("verb", VERBS)
def test_a_cancelled_item_stops_its_command(pq: Pq, tmp_path: Path, verb: str) -> None:
    """Long before its lease is renewed, pq looks whether its claim still stands."""
    pids = tmp_path / "pids"
    with (
        killed_at_the_end(pids),
        working(pq, verb, "--lease", "9d", "--", "sh", "-c", stubborn(pids)) as process,
        pq.api() as spool,
    ):
        started = pids_in(pids, 2)
        spool.cancel(1, by="ann")
        _, err = process.communicate(timeout=HANG)
        assert not any(map(runs, started))
        assert b"the claim was lost; the command is stopped" in err
        assert spool.get(1).last_error == "cancelled by ann"


@pytest.mark.parametrize("verb", VERBS)
def test_an_item_has_its_own_time_limit(pq: Pq, tmp_path: Path, verb: str) -> None:
    """What `enqueue --timeout` says holds for a command in the foreground, too: exit 124."""
    pids = tmp_path / "pids"
    command = ("--", "sh", "-c", f"echo $$ > {pids}; exec sleep 1000")
    with killed_at_the_end(pids):
        if verb == "next":
            pq("enqueue", "--timeout", "0.5s", "--max-attempts", 1, stdin=b"x")
            pq("next", *command, expect=6)
        else:  # what submit did not get done is queued
            said = pq("submit", "--timeout", "0.5s", *command, stdin=b"x").err
            assert "exit 124 (timeout): queued" in said
        with pq.api() as spool:
            item = spool.get(1)
        assert item.timeout == 0.5
        assert [entry["exit"] for entry in item.history] == ([124] if verb == "next" else [])


_IMPATIENT = """
import sys
from pq_cli.cli import main
from pq_cli.worker import child
child._KILL_AFTER = 0.1
main(sys.argv[1:])
"""


def test_a_lost_claim_kills_a_command_that_does_not_listen(pq: Pq, tmp_path: Path) -> None:
    """A command that goes on after TERM is killed."""
    pq.fill(b"x")
    pids = tmp_path / "pids"
    script = f"trap '' TERM; echo $$ > {pids}; while :; do sleep 0.1; done"
    argv = [sys.executable, "-c", _IMPATIENT, "next", "--lease", "0.3", "--", "sh", "-c", script]
    with killed_at_the_end(pids), subprocess.Popen(argv, env=pq.env, stderr=-1) as process:
        try:
            (cmd,) = pids_in(pids, 1)
            pq("release", 1)
            _, err = process.communicate(timeout=HANG)
        finally:
            process.kill()
        assert (process.returncode, runs(cmd)) == (4, False)
        assert b"the claim was lost" in err


# -- the exit status decides ---------------------------------------------------

SURVIVED = {
    # what CMD exits with after a signal that it survived: next's status, state, attempts; submit's
    0: (0, None, 0, 0, None),
    100: (6, "failed", 1, 6, "failed"),
    75: (6, "delayed", 0, 129, "pending"),
    3: (129, "pending", 0, 129, "pending"),
    129: (129, "pending", 0, 129, "pending"),
}


@pytest.mark.parametrize("status", SURVIVED)
@pytest.mark.parametrize("verb", VERBS)
def test_a_signal_that_cmd_survives_does_not_void_its_status(
    pq: Pq, tmp_path: Path, verb: str, status: int
) -> None:
    """What CMD says of the item after a signal counts; only an end without a word is a stop.

    As to a signal that is no request to stop (USR1), see the next test.
    """
    pids, go = tmp_path / "pids", tmp_path / "go"
    loop = f"until [ -e {go} ]; do sleep 0.01; done"
    script = f"trap 'touch {go}' HUP; echo $$ > {pids}; {loop}; exit {status}"
    with working(pq, verb, "--", "sh", "-c", script) as process:
        pids_in(pids, 1)
        process.send_signal(signal.SIGHUP)
        code = process.wait(HANG)
    next_code, state, attempts, submit_code, submitted = SURVIVED[status]
    assert code == (next_code if verb == "next" else submit_code)
    state = state if verb == "next" else submitted
    assert pq.states() == ({} if state is None else {1: state})
    if state is not None:
        with pq.api() as spool:
            assert spool.get(1).attempts == attempts


def test_a_signal_that_is_no_request_to_stop_changes_nothing(pq: Pq, tmp_path: Path) -> None:
    """USR1 is passed on to CMD alone; a failure after it is a failure."""
    pids, go = tmp_path / "pids", tmp_path / "go"
    loop = f"until [ -e {go} ]; do sleep 0.01; done"
    script = f"trap 'touch {go}' USR1; echo $$ > {pids}; {loop}; exit 1"
    with working(pq, "next", "--", "sh", "-c", script) as process:
        pids_in(pids, 1)
        process.send_signal(signal.SIGUSR1)
        assert process.wait(HANG) == 6
    with pq.api() as spool:
        assert (spool.get(1).state, spool.get(1).attempts) == ("delayed", 1)


# -- settling against lock and disk --------------------------------------------


def ended_under_lock(
    pq: Pq, tmp_path: Path, verb: str, lease: str, script: str, meanwhile
) -> tuple:
    """Let CMD end while the spool is locked, do `meanwhile(process)`; return (status, out, err)."""
    pids, go = tmp_path / "pids", tmp_path / "go"
    whole = f"echo $$ > {pids}; until [ -e {go} ]; do sleep 0.01; done; {script}"
    args = ("--lease", lease, "--lock-timeout", "0.1", "--", "sh", "-c", whole)
    with working(pq, verb, *args) as process, ExitStack() as held:
        pids_in(pids, 1)
        lock = held.enter_context((pq.spool / "lock").open())
        fcntl.flock(lock, fcntl.LOCK_EX)
        go.touch()
        said = b""
        while b"cannot be ended yet" not in said:
            line = process.stderr.readline()
            assert line, said
            said += line
        assert b"the spool is locked" in said and process.poll() is None
        meanwhile(process, lock)
        out, err = process.stdout.read(), process.stderr.read()
        process.wait(HANG)
    return process.returncode, out, said + err


def unlock(_process, lock) -> None:
    fcntl.flock(lock, fcntl.LOCK_UN)


def unlock_after_a_signal(process, lock) -> None:
    process.send_signal(signal.SIGTERM)
    assert b"a second signal" in process.stderr.readline()
    unlock(process, lock)


@pytest.mark.parametrize("then", [unlock, unlock_after_a_signal])
@pytest.mark.parametrize("verb", VERBS)
def test_a_success_is_not_forgotten_while_the_lock_is_busy(
    pq: Pq, tmp_path: Path, verb: str, then
) -> None:
    """The lock is busy for longer than --lock-timeout when CMD ends: it is tried for a lease.

    After a second it is said what is waited for; a first signal does not end the waiting.
    """
    status, out, _ = ended_under_lock(pq, tmp_path, verb, "1h", "echo sent", then)
    assert (status, out) == (0, b"sent\n")
    assert pq.states() == {}


def test_submit_queues_a_failure_while_the_lock_is_busy(pq: Pq, tmp_path: Path) -> None:
    """So is a failed try of `submit`: the payload is pending, uncounted, and its id is printed."""
    status, out, _ = ended_under_lock(pq, tmp_path, "submit", "1h", "exit 1", unlock)
    assert (status, out) == (0, b"1\n")
    with pq.api() as spool:
        assert (spool.get(1).state, spool.get(1).attempts) == ("pending", 0)


@pytest.mark.parametrize("verb", VERBS)
def test_a_lock_that_is_never_let_go(pq: Pq, tmp_path: Path, verb: str) -> None:
    """After a lease pq gives up. `submit` does not say 75, "nothing was queued": the payload is."""

    def nothing(_process, _lock) -> None:
        return None

    status, out, err = ended_under_lock(pq, tmp_path, verb, "3s", "exit 0", nothing)
    assert b"the spool is locked" in err.splitlines()[-1]
    assert (status, out) == ((75, b"") if verb == "next" else (0, b"1\n"))
    assert pq.states() == {1: "active"}
    assert pq("next", "--wait=60", "--claim").text == "1.2\n"


@pytest.mark.parametrize("verb", VERBS)
def test_two_signals_give_up_the_settling(pq: Pq, tmp_path: Path, verb: str) -> None:
    """Who does not want to wait for the lock sends two signals; then the claim ends with pq."""

    def twice(process, _lock) -> None:
        process.send_signal(signal.SIGTERM)
        assert b"a second signal" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)

    status, _, _ = ended_under_lock(pq, tmp_path, verb, "1h", "exit 0", twice)
    assert status == (75 if verb == "next" else 0)


_REFUSING = """
import errno, sys
from pq_cli import Spool
from pq_cli.cli import main
from pq_cli.worker import attempt
attempt.END_AGAIN = 0.01
left = [3]
def refuse(*args, verb=Spool.done, **fields):
    left[0] -= 1
    if left[0] >= 0:
        raise OSError(errno.ENOSPC, "No space left on device")
    return verb(*args, **fields)
Spool.done = refuse
main(sys.argv[1:])
"""


@pytest.mark.parametrize("verb", VERBS)
def test_a_success_is_not_forgotten_while_the_disk_refuses(pq: Pq, verb: str) -> None:
    """What a full disk refuses is tried again as well."""
    if verb == "next":
        pq.fill(b"x")
    argv = [sys.executable, "-c", _REFUSING, verb, "--", "cat"]
    done = subprocess.run(argv, env=pq.env, input=b"x", capture_output=True, timeout=HANG,
                          check=False)  # fmt: skip
    assert (done.returncode, done.stdout, pq.states()) == (0, b"x", {})


def test_a_busy_lock_is_told_and_a_signal_heeded(pq: Pq) -> None:
    """While `next -- CMD` waits for the lock to claim, it says so and obeys a TERM."""
    pq.fill(b"x")
    with (pq.spool / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pq.start("next", "--lock-timeout", "1h", "--", "true") as process:
            assert b"nothing can be claimed yet" in process.stderr.readline()
            process.terminate()
            assert process.wait(HANG) in (143, -signal.SIGTERM)
    assert pq.states() == {1: "pending"}


def test_submit_leaves_nothing_beside_the_queue(pq: Pq) -> None:
    """A payload that becomes no item (its key is taken, the lock is busy) is thrown away."""
    pq.fill(b"x", key="k")
    pq("submit", "--key", "k", "--", "true", stdin=b"second")
    pq("submit", "--key", "k", "--if-exists", "fail", "--", "true", stdin=b"second", expect=4)
    assert list((pq.spool / "tmp").iterdir()) == []
