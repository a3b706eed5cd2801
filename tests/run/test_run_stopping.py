"""`pq run`: timeouts, signals, lost leases, killed workers, and that nothing stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support import HANG, need_tool, runs, wait_until

from pq_cli.worker.guard import Guard

STUBBORN = """
    trap '' TERM
    (trap '' TERM; exec sleep 1000) &
    echo $! > "$D/grandchild"; echo $$ > "$D/child"
    while :; do wait; done
"""
"""Ignores TERM, and so does what it has forked."""


def pids(bench):
    return int(bench.wait_for("child")), int(bench.wait_for("grandchild"))


def children_of(pid):
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(parent) == pid:
                found.append((int(entry.name), state))
    return found


def test_timeout_ends_the_whole_group(bench):
    """A child that ignores TERM is killed after --kill-after, with all it forked; exit code 124."""
    bench.fill(1)
    done = bench.pq(
        "run", "-j2", "--timeout", "3s", "--kill-after", "0.2s", "--", "sh", "-c", STUBBORN
    )
    assert done.returncode == 6
    for pid in pids(bench):
        wait_until(lambda pid=pid: not runs(pid), "a process of the group survived")
    item = bench.spool().get(1)
    assert (item.history[-1]["exit"], str(item.state)) == (124, "delayed")


def test_timeout_asks_before_it_kills(bench):
    """On timeout the child gets TERM first and may clean up."""
    bench.fill(1)
    script = 'trap "echo bye; kill %1; exit 0" TERM; sleep 1000 & wait'
    done = bench.pq("run", "--timeout", "3s", "--kill-after", "1h", "--", "sh", "-c", script)
    assert done.stdout == b"bye\n"
    assert bench.spool().get(1).history[-1]["exit"] == 124


def test_timeout_of_a_leader_that_goes_while_its_child_stays(bench):
    """What is left of the group when its leader obeyed TERM is killed as well."""
    bench.fill(1)
    script = """(trap '' TERM; exec sleep 1000) & echo $! > "$D/grandchild"; wait"""
    bench.pq("run", "--timeout", "3s", "--kill-after", "1h", "--", "sh", "-c", script)
    pid = int(bench.wait_for("grandchild"))
    wait_until(lambda: not runs(pid), "the grandchild survived")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_first_signal_lets_children_finish(bench, number):
    """The first INT or TERM: nothing more is claimed, what runs is finished and counts."""
    bench.fill(5)
    script = 'echo up > "$D/up$PQ_ID"; until [ -e "$D/go" ]; do sleep 0.01; done'
    process = bench.start("run", "-j2", "--", "sh", "-c", script)
    bench.wait_for("up1"), bench.wait_for("up2")
    process.send_signal(number)
    assert b"stopping" in process.stderr.readline()
    (bench.root / "go").touch()
    process.communicate()
    assert process.returncode == 128 + number
    assert bench.states() == {3: "pending", 4: "pending", 5: "pending"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_second_signal_gives_items_back(bench, number):
    """The second signal stops the children, groups and all, and their items go back uncounted."""
    bench.fill(2)
    process = bench.start("run", "--kill-after", "0.2s", "--", "sh", "-c", STUBBORN)
    group = pids(bench)
    process.send_signal(number)
    process.stderr.readline()
    process.send_signal(number)
    process.communicate()
    assert process.returncode == 128 + number
    for pid in group:
        wait_until(lambda pid=pid: not runs(pid), "a process of the group survived")
    assert [(str(i.state), i.attempts) for i in bench.spool().items()] == [("pending", 0)] * 2


@pytest.mark.parametrize(
    ("status", "states"), [(0, {}), (100, {1: "failed"}), (75, {1: "delayed"}), (3, {1: "pending"})]
)
def test_a_command_that_is_called_off_has_the_last_word(bench, status, states):
    """What a command that was asked to stop says of its item holds: a success is not forgotten."""
    bench.fill(1)
    script = f"""trap 'exit {status}' TERM; echo $$ > "$D/child"; while :; do sleep 0.01; done"""
    process = bench.start("run", "--kill-after", "1h", "--", "sh", "-c", script)
    bench.wait_for("child")
    for _ in range(2):
        process.send_signal(signal.SIGTERM)
        process.stderr.readline()
    process.communicate(timeout=HANG)
    assert bench.states() == states
    assert all(item.attempts == (status == 100) for item in bench.spool().items())


def test_second_signal_reaches_what_has_left_the_group(bench):
    """Stopping stops everything: also what has a session of its own, and no parent any more."""
    bench.fill(1)
    hide = """(setsid sh -c 'echo $$ > "$D/child"; exec sleep 1000' >/dev/null 2>&1 &)"""
    process = bench.start("run", "--", "sh", "-c", f"{hide}; exec sleep 1000 >/dev/null 2>&1")
    hidden = int(bench.wait_for("child"))
    for _ in range(2):
        process.send_signal(signal.SIGTERM)
        process.stderr.readline()
    process.communicate(timeout=HANG)
    assert (bench.states(), runs(hidden)) == ({1: "pending"}, False)


def test_third_signal_does_not_wait(bench):
    """A third signal kills at once, however long --kill-after is."""
    bench.fill(1)
    process = bench.start("run", "--kill-after", "1h", "--", "sh", "-c", STUBBORN)
    pids(bench)
    for _ in range(2):
        process.send_signal(signal.SIGTERM)
        process.stderr.readline()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=HANG)
    assert bench.states() == {1: "pending"}


def test_ctrl_c_reaches_pq_alone(bench):
    """INT to pq's whole process group, as a terminal sends it, leaves the children alone."""
    bench.fill(1)
    script = 'echo up > "$D/up"; until [ -e "$D/go" ]; do sleep 0.01; done; echo end > "$D/end"'
    process = bench.start("run", "--", "sh", "-c", script, start_new_session=True)
    bench.wait_for("up")
    os.killpg(process.pid, signal.SIGINT)
    process.stderr.readline()
    (bench.root / "go").touch()
    process.communicate()
    assert bench.wait_for("end") == "end"
    assert bench.states() == {}


def test_killed_worker(bench):
    """kill -9: its children die with all they forked, and its items are free at once."""
    bench.spool(lease="1h")
    bench.fill(1)
    process = bench.start("run", "--", "sh", "-c", STUBBORN)
    group = pids(bench)
    process.kill()
    for pid in group:
        wait_until(lambda pid=pid: not runs(pid), "a process of the killed worker survived")
    wait_until(lambda: bench.pq("run", "--", "cat").stdout == b"0\n", "the item is not free")
    assert bench.states() == {}


def test_killed_worker_whose_children_cannot_die_yet(bench):
    """As long as a killed worker's guard has not ended its children, nobody else gets its items."""
    bench.spool(lease="1h")
    bench.fill(1)
    process = bench.start("run", "--", "sh", "-c", STUBBORN)
    group = pids(bench)
    (guard,) = [pid for pid, _ in children_of(process.pid) if pid != group[0]]
    os.kill(guard, signal.SIGSTOP)
    process.kill()
    process.wait()
    assert bench.pq("run", "--", "cat").stdout == b""
    assert runs(group[0])
    os.kill(guard, signal.SIGCONT)
    wait_until(lambda: bench.pq("run", "--", "cat").stdout == b"0\n", "the item is not free")
    assert not runs(group[0])


def test_killed_worker_and_a_child_that_hides(bench):
    """kill -9 also reaches what has left the child's session, by the PQ_WORKER it still has."""
    bench.fill(1)
    script = """setsid sh -c 'echo $$ > "$D/child"; exec sleep 1000' & sleep 1000"""
    process = bench.start("run", "--", "sh", "-c", script)
    pid = int(bench.wait_for("child"))
    process.kill()
    wait_until(lambda: not runs(pid), "the hidden child survived")


def test_no_two_workers_have_one_name():
    """Each kills what bears its name: of two databases both have a first worker and a claim 1.1."""
    guards = [Guard(1) for _ in range(2)]
    for guard in guards:
        guard.close()
    assert len({guard.environment["PQ_WORKER"] for guard in guards}) == 2


def test_what_a_command_leaves_behind_on_purpose(bench):
    """A run that ends in peace does not kill what a command has put into the background."""
    bench.fill(1)
    script = """sleep 1000 >/dev/null 2>&1 & echo $! > "$D/child" """
    assert bench.pq("run", "--", "sh", "-c", script).returncode == 0
    pid = int(bench.wait_for("child"))
    assert runs(pid)
    os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("status", [1, 75])
def test_a_failed_command_leaves_nothing_at_work(bench, status):
    """What is tried again is not worked on by what the failed command has left in its group."""
    bench.fill(1)
    script = f"""sleep 1000 >/dev/null 2>&1 & echo $! > "$D/child"; exit {status}"""
    assert bench.pq("run", "--", "sh", "-c", script).returncode == 6
    pid = int(bench.wait_for("child"))
    wait_until(lambda: not runs(pid), "a process of the group survived")


CLAIMER = """
import sys, time, pq_cli
spool = pq_cli.Spool(sys.argv[1])
attendance, item = spool.attend(), spool.claim()
print(item.path, item.holder.host, flush=True)
time.sleep(600)
"""


def test_dead_worker_is_seen_from_elsewhere(bench):
    """Another host (here: a claim that names one) learns from the lock that the worker is gone."""
    bench.spool(lease="1h").enqueue(b"x")
    worker = subprocess.Popen([sys.executable, "-c", CLAIMER, bench.path], stdout=subprocess.PIPE)
    try:
        path, host = worker.stdout.readline().decode().split()
        meta = Path(f"{path}.meta.json")
        text = meta.read_text().replace(f'"host":"{host}"', '"host":"elsewhere"')
        meta.write_text(text.replace(f'"pid":{worker.pid}', '"pid":1'))
        assert bench.pq("run", "--", "cat").stdout == b""
    finally:
        worker.kill()
        worker.communicate()
    assert bench.pq("run", "--", "cat").stdout == b"x"


def test_stopped_worker_loses_its_claim(bench):
    """A worker that was stopped past its lease ends its child; its result is refused."""
    bench.spool(lease="3s")
    bench.fill(1)
    process = bench.start("run", "--kill-after", "0.2s", "--", "sh", "-c", STUBBORN)
    group = pids(bench)
    process.send_signal(signal.SIGSTOP)
    second = 'echo second > "$D/second"; until [ -e "$D/go" ]; do sleep 0.01; done; exit 75'
    other = bench.start("run", "--follow", "--max", "1", "--", "sh", "-c", second)
    bench.wait_for("second")
    process.send_signal(signal.SIGCONT)
    _, err = process.communicate(timeout=HANG)
    assert process.returncode == 6
    assert b"1.1: the claim was lost" in err
    for pid in group:
        wait_until(lambda pid=pid: not runs(pid), "the child of the lost claim survived")
    assert bench.spool().get(1).claim == "1.2"
    (bench.root / "go").touch()
    other.communicate()
    assert [e["outcome"] for e in bench.spool().get(1).history] == ["lost", "deferred"]


@pytest.mark.parametrize(("own", "runs"), [(0.3, "1h"), (3600.0, "0.3s"), (0.3, None)])
def test_of_two_time_limits_the_smaller_counts(bench, own, runs):
    """That of the item, and that of the run: an attempt that takes longer has failed with 124."""
    bench.spool(max_attempts=1)
    bench.fill(1, timeout=own)
    limit = () if runs is None else ("--timeout", runs)
    assert bench.pq("run", *limit, "--", "sleep", "1000").returncode == 6
    item = bench.spool().get(1)
    assert (str(item.state), item.timeout) == ("failed", own)
    assert item.history[-1]["exit"] == 124


ENDS = {"release": {}, "fail": {"dead": True}, "done": {}, "cancel": {}, "cancel -": {"hold": True},
        "cancel --": {"remove": True}}  # fmt: skip
"""How others may end a claim under its worker: with a lease of days, by nothing but a look."""


@pytest.mark.parametrize("end", ENDS)
def test_a_claim_that_ended_under_its_worker_stops_the_command(bench, end):
    """Whoever releases, fails or cancels an item stops its command, with all that it started."""
    bench.spool(lease="9d")
    bench.fill(1)
    script = f'[ "$PQ_CLAIM" = 1.1 ] || exit 0; {STUBBORN}'
    process = bench.start("run", "--kill-after", "0.2s", "--", "sh", "-c", script)
    group = pids(bench)
    getattr(bench.spool(), end.rstrip(" -"))("1.1", **ENDS[end])
    _, err = process.communicate(timeout=HANG)
    assert b"1.1: the claim was lost" in err
    for pid in group:
        wait_until(lambda pid=pid: not runs(pid), "the child of the lost claim survived")


def test_follow_wakes_and_leaves_no_zombies(bench):
    """--follow runs what comes later, and reaps every child: no zombie, no descriptor stays."""
    bench.spool()
    process = bench.start("run", "--follow", "-j3", "--", "true")
    wait_until(lambda: list((bench.path / "workers").glob("*")), "the worker did not start")

    def descriptors():
        return len(os.listdir(f"/proc/{process.pid}/fd"))

    bench.fill(1)
    wait_until(lambda: not bench.states(), "the first item was not run")
    before = descriptors()
    for _ in range(3):
        bench.fill(20)
        wait_until(lambda: not bench.states(), "later items were not run")
    wait_until(lambda: len(children_of(process.pid)) == 1, "children remain beside the guard")
    assert [state for _, state in children_of(process.pid)] != ["Z"]
    assert descriptors() < before + 5  # one that leaks leaks sixty times; a look opens some
    process.send_signal(signal.SIGTERM)
    process.communicate()
    assert process.returncode == 143
    assert list((bench.path / "workers").iterdir()) == []


def test_idle_follow_costs_next_to_nothing(bench):
    """An idle second of --follow is a few looks of some system calls each: no busy wait."""
    strace = need_tool("strace")
    bench.spool()

    def calls(seconds):
        words = ["run", "--follow", "--max-time", f"{seconds}s", "--", "true"]
        argv = [strace, "-c", "-U", "name,calls", "-o", str(bench.root / "calls")]
        argv += [sys.executable, "-m", "pq_cli", *words]
        subprocess.run(argv, env=bench.env, cwd=bench.root, timeout=60, check=True)
        name, total = (bench.root / "calls").read_text().splitlines()[-1].split()
        assert name == "total"
        return int(total)

    assert 0 < calls(2.2) - calls(0.2) < 600


def test_gate_opens_while_following(bench):
    """--follow waits at a closed gate and claims nothing; when it opens, work goes on."""
    bench.fill(2)
    words = ("run", "--follow", "--when", "test -e online", "--", "sh", "-c", 'echo > "$D/ran"')
    process = bench.start(*words, stderr=subprocess.PIPE)
    assert b"closed" in process.stderr.readline()
    assert [item.claims for item in bench.spool().items()] == [0, 0]
    (bench.root / "online").touch()
    wait_until(lambda: not bench.states(), "nothing was run when the gate had opened")
    process.terminate()
    process.communicate()


def test_locks_of_killed_workers_are_swept(bench):
    """The next worker removes the lock file that a killed one left."""
    bench.fill(1)
    process = bench.start("run", "--", "sh", "-c", STUBBORN)
    pids(bench)
    process.kill()
    process.wait()
    assert len(list((bench.path / "workers").iterdir())) == 1

    def swept():
        bench.pq("run", "--", "true")
        return not list((bench.path / "workers").iterdir())

    wait_until(swept, "the lock of the killed worker stays")


@pytest.mark.parametrize(
    "words", [("run",), ("run", "-j2", "--follow", "--max", "2"), ("next",), ("submit",)]
)
def test_as_pid_1_orphans_are_reaped(bench, words):
    """In a container pq inherits what commands leave behind: no zombie stays while it runs."""
    unshare = need_tool("unshare")
    if os.geteuid() != 0:
        pytest.skip("only root makes a pid namespace")
    bench.fill(2 if words[0] == "run" else 1 if words[0] == "next" else 0)
    script = """
        orphan="$D/orphan$PQ_ID"
        (setsid sh -c 'echo $$ >"$1"' - "$orphan" &)
        until [ -s "$orphan" ]; do sleep 0.01; done
        tries=0
        while [ -e "/proc/$(cat "$orphan")" ]; do
            tries=$((tries + 1)); [ $tries -lt 1000 ] || exit 100; sleep 0.01
        done
    """
    argv = [unshare, "--pid", "--fork", "--mount-proc", sys.executable, "-m", "pq_cli"]
    argv += [*words, "--", "sh", "-c", script]
    ran = subprocess.run(
        argv, env=bench.env, capture_output=True, timeout=80, check=False, input=b"x"
    )
    if b"unshare failed" in ran.stderr:
        pytest.skip("namespaces are not allowed here")
    assert (ran.returncode, ran.stderr) == (0, b"")
    assert bench.states() == {}
