"""`pq next -- CMD` as a real process: the worker contract, the lease, the signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support import HANG, Pq, heed_signals, runs, wait_until, wait_until_renewed


def test_command_gets_the_payload_and_the_environment(pq: Pq) -> None:
    """CMD has the payload on stdin and the PQ_* variables; what it prints goes straight through."""
    pq.fill(b"payload", key="k", name="the name", priority=3, max_attempts=9)
    script = 'cat; env | grep ^PQ_ | sort; cat "$PQ_FILE"; echo problem >&2'
    ran = pq("next", "--", "sh", "-c", script)
    assert ran.err == "problem\n"
    text = ran.text
    assert text.startswith("payload")
    assert text.endswith("payload")
    told = dict(line.split("=", 1) for line in text.splitlines() if line.startswith("PQ_"))
    assert told.pop("PQ_WORKER")
    path = told.pop("PQ_FILE").removesuffix("payload")
    told["PQ_ATTEMPT"] = told.get("PQ_ATTEMPT") or text[len("payloadPQ_ATTEMPT=") :][:1]
    assert told == {
        "PQ_SPOOL": str(pq.spool), "PQ_ID": "1", "PQ_CLAIM": "1.1", "PQ_ATTEMPT": "1",
        "PQ_MAX_ATTEMPTS": "9", "PQ_PRIORITY": "3", "PQ_KEY": "k", "PQ_NAME": "the name",
        "PQ_META": path + ".meta.json",
    }  # fmt: skip
    assert pq.states() == {}


CONTRACT = {
    # CMD's exit status: (pq's, state, attempts that count)
    0: (0, None, 0),
    75: (6, "delayed", 0),
    111: (6, "delayed", 0),
    100: (6, "failed", 1),
    1: (6, "delayed", 1),
    255: (6, "delayed", 1),
    126: (126, "pending", 0),
    127: (127, "pending", 0),
}


@pytest.mark.parametrize("status", CONTRACT)
def test_worker_contract(pq: Pq, status: int) -> None:
    """CMD's exit status decides what becomes of the item, and pq's own says how it went."""
    pq.fill(b"x")
    expect, state, attempts = CONTRACT[status]
    ran = pq("next", "--", "sh", "-c", f"exit {status}", expect=expect)
    assert len(ran.err.splitlines()) == (1 if expect else 0)
    assert pq.states() == ({} if state is None else {1: state})
    if state is not None:
        with pq.api() as spool:
            assert spool.get(1).attempts == attempts


def test_command_that_cannot_run(pq: Pq, tmp_path: Path) -> None:
    """No such command is 127, one that is not executable 126; the item is back, uncounted."""
    pq.fill(b"x")
    (tmp_path / "plain").write_text("echo no")
    assert "not found" in pq("next", "--", "pq-no-such-command", expect=127).err
    assert "Permission denied" in pq("next", "--", tmp_path / "plain", expect=126).err
    with pq.api() as spool:
        assert (spool.get(1).state, spool.get(1).attempts) == ("pending", 0)


def test_command_killed_by_a_signal(pq: Pq) -> None:
    """A CMD that dies of a signal has failed: retried, and the error says which signal."""
    pq.fill(b"x")
    pq("next", "--", "sh", "-c", "kill -9 $$", expect=6)
    item = json.loads(pq("show", "--json", 1).out)
    assert (item["state"], item["last_error"]) == ("delayed", "killed by signal 9")


def test_command_only_after_dashes(pq: Pq) -> None:
    """A stray word is a usage error and never run: `--wait 3` does not run `3`."""
    pq.fill(b"x")
    for args in (("--wait", "3"), ("touch", "here"), ("--claim", "x", "--", "true")):
        ran = pq("next", *args, expect=2, cwd=pq.folder)
        assert len(ran.err.splitlines()) == 1
    assert not (pq.folder / "here").exists()
    assert pq.states() == {1: "pending"}


def test_options_of_the_command_are_its_own(pq: Pq) -> None:
    """After `--` everything belongs to CMD, also what looks like options of pq."""
    pq.fill(b"x")
    assert (
        pq("next", "--", "echo", "--claim", "--", "-s", "--wait").text == "--claim -- -s --wait\n"
    )


def running(mark: Path) -> None:
    """Wait until the command has come as far as making its mark."""
    wait_until(mark.exists, "CMD has started")


def worker(mark: Path, *rest: str) -> list[str]:
    """Return a Python CMD that makes its mark, and works (or does the rest) until it is removed."""
    name = str(mark)
    rest = rest or (f"while os.path.exists({name!r}): time.sleep(0.01)",)
    return [
        sys.executable,
        "-c",
        "\n".join(("import os, time", f"open({name!r}, 'w').close()", *rest)),
    ]


def test_lease_is_renewed_while_the_command_runs(pq: Pq, tmp_path: Path) -> None:
    """CMD takes longer than the lease, and nobody else gets the item meanwhile."""
    pq.fill(b"x")
    mark = tmp_path / "mark"
    with pq.start("next", "--lease", "3", "--", *worker(mark)) as process, pq.api() as spool:
        running(mark)
        wait_until_renewed(spool, spool.get(1).lease_until)
        mark.unlink()
        assert process.wait(HANG) == 0
    assert pq.states() == {}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signal_reaches_the_command(pq: Pq, tmp_path: Path, number: signal.Signals) -> None:
    """A signal sent to pq reaches CMD; the item is back uncounted, pq's status is 128 + N."""
    pq.fill(b"x")
    mark, told = tmp_path / "mark", tmp_path / "told"
    code = (
        "import signal, sys, time",
        f"def stop(number, frame): open({str(told)!r}, 'w').write(str(number)); sys.exit(3)",
        f"signal.signal({int(number)}, stop)",
        f"open({str(mark)!r}, 'w').close()",
        "time.sleep(60)",
    )
    with pq.start("next", "--", sys.executable, "-c", "\n".join(code)) as process:
        running(mark)
        process.send_signal(number)
        _, err = process.communicate(timeout=HANG)
        assert (process.returncode, err) == (128 + number, b"")
    assert told.read_text() == str(int(number))
    with pq.api() as spool:
        assert (spool.get(1).state, spool.get(1).attempts) == ("pending", 0)


def test_command_that_finishes_in_spite_of_a_signal(pq: Pq, tmp_path: Path) -> None:
    """A CMD that ends its work well after a TERM has done it: the item is done, the status 0."""
    pq.fill(b"x")
    mark = tmp_path / "mark"
    code = (
        "import signal, sys, time",
        "signal.signal(15, lambda *_: sys.exit(0))",
        f"open({str(mark)!r}, 'w').close()",
        "time.sleep(60)",
    )
    with pq.start("next", "--", sys.executable, "-c", "\n".join(code)) as process:
        running(mark)
        process.terminate()
        assert process.wait(HANG) == 0
    assert pq.states() == {}


@pytest.mark.parametrize("command", ["next", "submit"])
def test_killed_pq_takes_its_command_along(pq: Pq, tmp_path: Path, command: str) -> None:
    """kill -9 of pq: CMD dies and all it has started; then, and not before, the item is free."""
    if command == "next":
        pq.fill(b"x")
    mark = tmp_path / "mark"
    script = f"sleep 1000 & setsid sleep 1000 & echo $! $$ > {mark}; wait"
    with pq.start(command, "--lease", "1h", "--", "sh", "-c", script) as process:
        if process.stdin:
            process.stdin.close()
        wait_until(lambda: mark.exists() and mark.read_text().endswith("\n"), "CMD has started")
        pids = [int(pid) for pid in mark.read_text().split()]
        guard = next(pid for pid in children(process.pid) if pid not in pids)
        try:
            os.kill(guard, signal.SIGSTOP)
            process.kill()
            process.wait(HANG)
            pq("next", "--json", expect=1)
            assert all(map(runs, pids))
            os.kill(guard, signal.SIGCONT)
            item = json.loads(pq("next", "--wait=60", "--json").out)
            assert not any(map(runs, pids))
        finally:
            for pid in filter(runs, [guard, *pids]):
                os.kill(pid, signal.SIGKILL)
    assert (item["claim"], item["attempts"]) == ("1.2", 2)
    assert "died" in item["last_error"]


def children(pid: int) -> list[int]:
    """Return the children of a process."""
    return [int(n) for n in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


_SIGNALLED = """
import os, sys
from pq_cli import Spool
from pq_cli.cli import main
for name in ("claim", "commit_claimed"):
    def verb(*args, verb=getattr(Spool, name), **fields):
        item = verb(*args, **fields)
        os.kill(os.getpid(), {number})
        return item
    setattr(Spool, name, verb)
main(sys.argv[1:])
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("command", ["next", "submit"])
def test_signal_between_claim_and_command(
    pq: Pq, tmp_path: Path, command: str, number: signal.Signals
) -> None:
    """A signal that comes when the item is claimed and CMD not yet started costs no attempt."""
    if command == "next":
        pq.fill(b"x")
    mark = tmp_path / "mark"
    code = _SIGNALLED.format(number=int(number))
    argv = [sys.executable, "-c", code, command, "--", "touch", str(mark)]
    done = subprocess.run(argv, env=pq.env, cwd=Path(__file__).parents[1], input=b"x", timeout=HANG,
                          capture_output=True, check=False, preexec_fn=heed_signals)  # fmt: skip
    assert (done.returncode, mark.exists()) == (128 + number, False)
    with pq.api() as spool:
        item = spool.get(1)
        assert (item.state, item.attempts, len(item.history)) == ("pending", 0, 0)


def test_lost_claim_is_said_and_its_result_refused(pq: Pq, tmp_path: Path) -> None:
    """When the claim is taken away while CMD runs, CMD is stopped, its result refused: exit 4."""
    pq.fill(b"x")
    mark = tmp_path / "mark"
    with pq.start("next", "--lease", "3", "--", *worker(mark)) as process:
        running(mark)
        with pq.api() as spool:
            spool.release(1)
            assert spool.claim().claim == "1.2"
        _, err = process.communicate(timeout=HANG)
    assert process.returncode == 4
    lines = err.decode().splitlines()
    assert "the claim was lost" in lines[0]
    assert "1.1 is " in lines[-1]
    assert pq.states() == {1: "active"}


def test_lock_that_is_held_does_not_orphan_the_command(pq: Pq, tmp_path: Path) -> None:
    """A renewal that cannot get the lock in time is said; pq stays with CMD to its end."""
    import fcntl

    pq.fill(b"x")
    mark = tmp_path / "mark"
    args = ("next", "--lease", "0.3", "--lock-timeout", "0.1", "--", *worker(mark))
    with pq.start(*args) as process, (pq.spool / "lock").open() as lock:
        running(mark)
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert process.stderr
        assert b"could not be renewed" in process.stderr.readline()
        fcntl.flock(lock, fcntl.LOCK_UN)
        mark.unlink()
        assert process.wait(HANG) in (0, 4)


def test_output_goes_straight_through(pq: Pq) -> None:
    """What CMD writes is there while it still runs: pq neither copies nor holds it back."""
    pq.fill(b"x")
    code = "import sys; print('now', flush=True); sys.stdin.read(); import time; time.sleep(60)"
    with pq.start("next", "--", sys.executable, "-c", code) as process:
        assert process.stdout
        assert process.stdout.readline() == b"now\n"
        assert process.poll() is None
        process.terminate()
        process.wait(HANG)


def test_command_inherits_no_descriptor(pq: Pq) -> None:
    """CMD has stdin, stdout and stderr and nothing else: above all not the spool's lock."""
    pq.fill(b"x")
    ran = pq("next", "--", sys.executable, "-c", "import os; print(os.listdir('/proc/self/fd'))")
    assert len(ran.text.split(",")) == 4  # the fourth lists the folder
