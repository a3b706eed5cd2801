"""`pq next` as a real process: what it prints, how it waits, how it runs a command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support import HANG, Pq, need_tool, wait_until_renewed


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
    """`--wait=D` is exit 1 after D; where there was no spool, who waited has made it."""
    pq("next", "--wait=0", expect=1)
    pq("ls", expect=1)
    pq("next", "--wait=0.1", expect=1)
    pq("ls")
    assert pq("next", "--wait=0.1", expect=1).err == ""
    pq("next", "--wait=soon", expect=2)


def test_waiting_costs_next_to_nothing(pq: Pq) -> None:
    """Waiting among thousands of items that are not due is a few looks of some system calls."""
    strace = need_tool("strace")
    with pq.api(durability="fast") as spool:
        for number in range(2000):
            spool.enqueue(b"", delay=3600 + number)

    def calls(seconds: int) -> int:
        counts = pq.folder / "calls"
        argv = [strace, "-c", "-U", "name,calls", "-o", str(counts)]
        argv += pq.argv("next", f"--wait={seconds}")
        assert subprocess.run(argv, env=pq.env, timeout=HANG, check=False).returncode == 1
        return int(counts.read_text().split()[-1])

    assert 0 < calls(4) - calls(0) < 1000


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


def test_ack_renews_while_a_slow_reader_takes_the_payload(pq: Pq) -> None:
    """`next --ack` to a reader slower than the lease: the item stays claimed, and then is done."""
    pq.fill(b"x" * 400_000)
    with pq.start("next", "--ack", "--lease", "3") as process, pq.api() as spool:
        assert process.stdout
        taken = len(os.read(process.stdout.fileno(), 20_000))
        wait_until_renewed(spool, spool.get(1).lease_until)
        while taken < 400_000:
            taken += len(os.read(process.stdout.fileno(), 20_000))
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
