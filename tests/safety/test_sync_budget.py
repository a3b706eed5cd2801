"""How often each command waits for the disk, counted, and that nobody waits with it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support import need_tool
from syncs import Trace

from pq_cli import Spool
from pq_cli.queue.request import Request

BUDGET = {
    "enqueue": 3, "enqueue -p 9": 3, "enqueue --limit api": 3, "enqueue --delay 100": 3,
    "enqueue --key k": 4, "next": 0, "renew 1.1": 0,
    "renew 1": 0, "done 1.1": 1, "fail 1.1": 2, "fail --dead 1.1": 2, "release 1": 2, "hold 6": 2,
    "retry 3": 2, "set 6 --priority 5": 2, "set 6 --priority 7": 2, "rm 6": 2, "undo 4": 2,
}  # fmt: skip
"""Of each command, besides one for each folder that it makes."""
NEVER_WAITED_FOR = ("enqueue", "next", "renew", "done")


@pytest.mark.parametrize("command", BUDGET)
def test_each_command_keeps_to_its_budget(spool: Path, command: str) -> None:
    """As many syncs as it is allowed, and of the four that work none while others wait."""
    need_tool("strace")
    trace = Trace(spool, command.split())
    assert trace.syncs - trace.made <= BUDGET[command]
    assert not trace.under_the_lock or command.split()[0] not in NEVER_WAITED_FOR


def test_what_is_synced_in_turn_is_written_at_once(spool: Path) -> None:
    """The meta is on its way before the payload is waited for: the journal need not be twice."""
    need_tool("strace")
    log = spool.parent / "strace.log"
    subprocess.run(
        ["strace", "-f", "-y", "-o", str(log), "--trace=fadvise64,fsync", sys.executable, "-m",
         "pq_cli", "enqueue"],
        input=b"x", check=True, timeout=60, stdout=subprocess.DEVNULL,
        env={**os.environ, "PQ_SPOOL": str(spool)},
    )  # fmt: skip
    calls = re.findall(rf"(\w+)\(\d+<{spool}/(tmp/in|tmp/meta|pending)", log.read_text())
    assert calls == [("fadvise64", "tmp/meta"), ("fsync", "tmp/in"), ("fsync", "tmp/meta"),
                     ("fsync", "pending")]  # fmt: skip


@pytest.mark.parametrize(
    ("command", "made"), [("done 1.1", 1), ("fail --dead 1.1", 0), ("fail 1.1", 1)]
)
def test_an_end_that_is_kept_costs_two_and_nobody_waits(
    spool: Path, command: str, made: int
) -> None:
    """Its meta is a new one, synced before the lock as its folder is if that is new, too."""
    need_tool("strace")
    (spool / "queue.toml").write_text('keep_done = "1d"\n')
    trace = Trace(spool, command.split())
    assert (trace.syncs - trace.made, trace.under_the_lock) == (2, 0) and trace.made >= made


def test_what_is_kept_after_many_attempts_keeps_nobody_waiting(spool: Path) -> None:
    """Its history has no room for one more in the meta that is there: a new one is made ahead."""
    need_tool("strace")
    (spool / "queue.toml").write_text('keep_done = "1d"\n')
    with Spool(spool) as queue:
        for attempt in range(1, 25):
            queue.defer(f"1.{attempt}")
            queue.retry(1)
            assert queue.claim(bound=False).id == 1
    trace = Trace(spool, ["done", "1.25"])
    assert (trace.syncs - trace.made, trace.under_the_lock) == (2, 0)


MANY = {
    "enqueue --lines": b"line\n" * 300,
    "enqueue -0": b"record\0" * 300,
    "enqueue --jsonl": b'{"payload": "x"}\n' * 300,
    "import": b"",
    "next": b"",
    "migrate": b"",
    "migrate --move": b"",
}


A_FEW = 36
"""Syncs of a hundred items or more at once: three a batch, and a batch ends by the clock, too, so
that a loaded machine makes some more of them. One by one a hundred cost 300."""


@pytest.mark.parametrize("command", MANY)
def test_many_at_once_cost_a_handful(spool: Path, command: str, tmp_path: Path) -> None:
    """Records, imports, and what lies in the drop box: a few syncs for all of a batch."""
    need_tool("strace")
    stdin, words = MANY[command], command.split()
    if command == "import":
        with Spool(tmp_path / "other") as other:
            other.enqueue_many([(b"%d" % n, Request()) for n in range(100)])
        export = [sys.executable, "-m", "pq_cli", "-s", str(other.path), "export"]
        stdin = subprocess.run(export, check=True, stdout=subprocess.PIPE, timeout=60).stdout
    elif command == "next":
        for number in range(100):
            (spool / "new" / f"{number}.txt").write_bytes(b"x")
    elif words[0] == "migrate":
        words.append(str(tmp_path / "old"))
        (tmp_path / "old").mkdir()
        for number in range(100):
            (tmp_path / "old" / f"{number}.txt").write_bytes(b"x")
    trace = Trace(spool, words, stdin)
    assert trace.syncs - trace.made <= A_FEW
    assert not trace.under_the_lock or words[0] != "enqueue"
    assert not os.listdir(spool / "new")


def test_files_that_are_given_together_cost_a_handful(spool: Path, tmp_path: Path) -> None:
    """`enqueue FILE...` of small files is a batch, not one commit after the other."""
    need_tool("strace")
    files = [tmp_path / f"file{number}" for number in range(100)]
    for path in files:
        path.write_bytes(b"x" * 100)
    trace = Trace(spool, ["enqueue", *map(str, files)])
    assert trace.syncs - trace.made <= A_FEW and not trace.under_the_lock


def test_a_line_of_many_costs_seven_looks_at_the_disk(spool: Path) -> None:
    """Its two files are made and renamed, their places are looked at, its id is written."""
    need_tool("strace")
    log = spool.parent / "strace.log"
    calls = []
    for lines in (100, 600):
        subprocess.run(
            ["strace", "-f", "-o", str(log), "--trace=%file", sys.executable, "-m", "pq_cli",
             "enqueue", "--lines"],
            input=b"line\n" * lines, check=True, timeout=60, stdout=subprocess.DEVNULL,
            env={**os.environ, "PQ_SPOOL": str(spool)},
        )  # fmt: skip
        calls.append(log.read_text(errors="replace").count(f'"{spool}'))
    assert (calls[1] - calls[0]) / 500 < 9.5  # a rename has two names


def test_the_counting_can_fail(spool: Path) -> None:
    """The trace sees syncs under the lock: `pause` makes its state durable there."""
    need_tool("strace")
    trace = Trace(spool, ["pause"])
    assert trace.syncs and trace.under_the_lock


@pytest.mark.parametrize("command", ["enqueue", "next", "done 1.1", "fail --dead 1.1", "rm 6"])
def test_who_lets_nothing_wait_looks_for_none_that_waits(spool: Path, command: str) -> None:
    """Where no item ever came after another, not even a failing look tells that there is none."""
    need_tool("strace")
    log = spool.parent / "strace.log"
    traced = ["strace", "-f", "-o", str(log), "--trace=%file", sys.executable, "-m", "pq_cli"]
    subprocess.run(
        [*traced, *command.split()], input=b"x", check=True, timeout=60, stdout=subprocess.DEVNULL,
        env={**os.environ, "PQ_SPOOL": str(spool)},
    )  # fmt: skip
    looks = log.read_text(errors="replace")
    assert f"{spool}/active" in looks or f"{spool}/pending" in looks
    assert f"{spool}/after" not in looks
