"""`pq next` as a real process: what it prints, how it waits, how it runs a command."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support import HANG, Pq, wait_until


def test_prints_the_payload_and_names_the_claim(pq: Pq) -> None:
    """Plain `next`: the payload, byte for byte, on stdout and the claim on stderr."""
    payload = bytes(range(256))
    pq.fill(payload)
    ran = pq("next")
    assert (ran.out, ran.err) == (payload, "pq: claimed 1.1\n")
    assert pq.states() == {1: "active"}


def test_order_is_by_priority_then_id(pq: Pq) -> None:
    """The most urgent item is next, and among equals the first that came."""
    for number, priority in enumerate((5, 2, 10, 2, 1)):
        pq.fill(b"%d" % number, priority=priority)
    assert [pq("next", "--ack").out for _ in range(5)] == [b"4", b"1", b"3", b"0", b"2"]


def test_fifo_when_priority_is_off(pq: Pq) -> None:
    """`enable_priority = false` in queue.toml: first in, first out, whatever the priorities."""
    pq("init")
    (pq.spool / "queue.toml").write_text("enable_priority = false\n")
    for priority in (9, 1, 5):
        pq.fill(b"%d" % priority, priority=priority)
    assert [pq("next", "--ack").out for _ in range(3)] == [b"9", b"1", b"5"]


def test_claim_path_json(pq: Pq) -> None:
    """`--claim`, `--path` and `--json` print just that, and nothing on stderr."""
    pq.fill(b"1", b"2", b"3")
    assert pq("next", "--claim")[:2] == (b"1.1\n", "")
    path = pq("next", "--path").text.strip()
    assert Path(path).read_bytes() == b"2"
    item = json.loads(pq("next", "--json").out)
    assert (item["id"], item["claim"], item["state"]) == (3, "3.1", "active")
    assert Path(item["path"]).read_bytes() == b"3"
    pq("done", "1.1", path, item["claim"])
    assert pq.states() == {}


def test_nothing_there(pq: Pq) -> None:
    """An empty queue, one whose items are not due, and no spool at all: exit 1, no output."""
    assert pq("next", expect=1).out == b""
    pq.fill(b"x", delay=3600)
    ran = pq("next", expect=1)
    assert (ran.out, ran.err) == (b"", "")


def test_forms_exclude_each_other(pq: Pq) -> None:
    """Two forms of output at once are a usage error, and nothing is claimed."""
    pq.fill(b"x")
    pq("next", "--claim", "--path", expect=2)
    pq("next", "--ack", "--", "true", expect=2)
    assert pq.states() == {1: "pending"}


# -- waiting -----------------------------------------------------------------------


@pytest.mark.parametrize("event", ["enqueue", "due", "release", "lease", "spool"])
def test_wait_wakes(pq: Pq, event: str) -> None:
    """`--wait` wakes for all that makes work appear, even for the spool being made."""
    if event != "spool":
        pq("init")
    if event == "due":
        pq.fill(b"work", delay=1)
    elif event in ("release", "lease"):
        pq.fill(b"work")
        with pq.api() as spool:
            spool.claim(bound=False, lease=1 if event == "lease" else 3600)
    with pq.start("next", "--ack", "--wait") as process:
        if event == "release":
            pq("release", 1)
        elif event in ("enqueue", "spool"):
            pq("enqueue", stdin=b"work")
        out, err = process.communicate(timeout=HANG)
    assert (out, process.returncode) == (b"work", 0), err


def test_wait_gives_up(pq: Pq) -> None:
    """`--wait=D` is exit 1 after D, also where there is no spool."""
    pq("next", "--wait=0.1", expect=1)
    pq("init")
    assert pq("next", "--wait=0.1", expect=1).err == ""
    pq("next", "--wait=soon", expect=2)


def test_waiting_costs_next_to_nothing(pq: Pq) -> None:
    """Waiting among thousands of items that are not due costs under 3 % of one CPU."""
    with pq.api(durability="fast") as spool:
        for number in range(2000):
            spool.enqueue(b"", delay=3600 + number)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    pq("next", "--wait=0", expect=1)
    between = resource.getrusage(resource.RUSAGE_CHILDREN)
    pq("next", "--wait=4", expect=1)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)

    def cpu(a: resource.struct_rusage, b: resource.struct_rusage) -> float:
        return b.ru_utime + b.ru_stime - a.ru_utime - a.ru_stime

    assert cpu(between, after) - cpu(before, between) < 0.03 * 4


def test_lease_of_an_item_that_was_taken_away(pq: Pq) -> None:
    """An expired lease gives the item back, attempt counted; `done` on the old claim is exit 4."""
    pq.fill(b"x", max_attempts=2)
    pq("next", "--claim", "--lease", "0.05")
    time.sleep(0.1)
    assert pq("next", "--claim").text == "1.2\n"
    before = pq.tree()
    for verb in ("done", "fail", "release", "renew"):
        ran = pq(verb, "1.1", expect=4)
        assert "stale" in ran.err
    assert pq.tree() == before
    item = json.loads(pq("show", "--json", 1).out)
    assert item["attempts"] == 2
    assert "lease" in item["last_error"]


def test_last_attempt_that_is_lost(pq: Pq) -> None:
    """A lease that ends on the last attempt sends the item to the dead letters."""
    pq.fill(b"x", max_attempts=1)
    pq("next", "--claim", "--lease", "0.05")
    time.sleep(0.1)
    pq("next", expect=1)
    assert pq.states() == {1: "failed"}


# -- running a command ---------------------------------------------------------------


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


def running(pq: Pq, mark: Path) -> None:
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
    """CMD takes four times as long as the lease, and nobody else gets the item meanwhile."""
    pq.fill(b"x")
    mark = tmp_path / "mark"
    args = ("next", "--lease", "0.5", "--", *worker(mark, "time.sleep(2)"))
    with pq.start(*args) as process:
        running(pq, mark)
        while process.poll() is None:
            with pq.api() as spool:
                assert spool.claim() is None
            time.sleep(0.05)
        assert process.returncode == 0
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
        running(pq, mark)
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
        running(pq, mark)
        process.terminate()
        assert process.wait(HANG) == 0
    assert pq.states() == {}


def test_dead_claimer_frees_the_item_at_once(pq: Pq, tmp_path: Path) -> None:
    """kill -9 of `pq next -- CMD`: who asks next gets the item, without waiting for the lease."""
    pq.fill(b"x")
    mark = tmp_path / "mark"
    with pq.start("next", "--lease", "1h", "--", *worker(mark)) as process:
        running(pq, mark)
        process.kill()
        process.wait(HANG)
    item = json.loads(pq("next", "--json").out)
    mark.unlink()
    assert (item["claim"], item["attempts"]) == ("1.2", 2)
    assert "died" in item["last_error"]


def test_lost_claim_is_said_and_its_result_refused(pq: Pq, tmp_path: Path) -> None:
    """When the claim is taken away while CMD runs, its result is refused: exit 4, no change."""
    pq.fill(b"x")
    mark = tmp_path / "mark"
    with pq.start("next", "--lease", "0.6", "--", *worker(mark)) as process:
        running(pq, mark)
        pq("release", 1)
        assert pq("next", "--claim").text == "1.2\n"
        time.sleep(0.5)
        mark.unlink()
        _, err = process.communicate(timeout=HANG)
    assert process.returncode == 4
    lines = err.decode().splitlines()
    assert "the claim was lost" in lines[0]
    assert "stale" in lines[-1]
    assert pq.states() == {1: "active"}


def test_lock_that_is_held_does_not_orphan_the_command(pq: Pq, tmp_path: Path) -> None:
    """A renewal that cannot get the lock in time is said; pq stays with CMD to its end."""
    import fcntl

    pq.fill(b"x")
    mark = tmp_path / "mark"
    args = ("next", "--lease", "0.3", "--lock-timeout", "0.1", "--", *worker(mark))
    with pq.start(*args) as process, (pq.spool / "lock").open() as lock:
        running(pq, mark)
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


def test_ack_renews_while_a_slow_reader_takes_the_payload(pq: Pq) -> None:
    """`next --ack` to a reader slower than the lease: the item stays claimed, and then is done."""
    pq.fill(b"x" * 400_000)
    with pq.start("next", "--ack", "--lease", "0.4") as process:
        assert process.stdout
        taken = 0
        while taken < 400_000:
            chunk = os.read(process.stdout.fileno(), 20_000)
            taken += len(chunk)
            with pq.api() as spool:
                assert spool.claim() is None or taken == 400_000
            time.sleep(0.08)
        assert process.wait(HANG) == 0
    assert pq.states() == {}


def test_torn_payload_is_never_served(pq: Pq) -> None:
    """A payload that lost bytes is reported and passed over; the next one is served."""
    pq.fill(b"torn", b"whole")
    with pq.api() as spool:
        os.truncate(spool.get(1).path or "", 2)
    ran = pq("next", "--ack")
    assert ran.out == b"whole"
    assert "item 1" in ran.err
    assert len(ran.err.splitlines()) == 1


def test_many_processes_each_item_once(pq: Pq) -> None:
    """Eight processes drain a queue with `next --ack`: every item is printed exactly once."""
    pq.fill(*(b"%d\n" % number for number in range(60)))
    loop = f'while "{sys.executable}" -m pq_cli next --ack; do :; done'
    drains = [
        subprocess.Popen(["bash", "-c", loop], env=pq.env, stdout=subprocess.PIPE) for _ in range(8)
    ]
    taken = [word for drain in drains for word in drain.communicate(timeout=HANG)[0].split()]
    assert sorted(map(int, taken)) == list(range(60))
