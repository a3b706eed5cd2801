"""`run --batch` and `drain(batch=...)`: many items, one command."""

from __future__ import annotations

import asyncio
import json

import pytest
from support import HANG

from pq_cli import MemoryQueue, Outcome, QueueConfig, Stop, UsageError, Verdict, drain


def run(queue, handler, **options):
    return asyncio.run(asyncio.wait_for(drain(queue, handler, **options), HANG))


def filled(count, **policy):
    queue = MemoryQueue(QueueConfig(**policy))
    for number in range(count):
        queue.enqueue(b"%d" % number)
    return queue


def test_a_handler_gets_what_there_is_up_to_so_many():
    """Batches are of the items of the moment, in their order; the last has what is left."""
    queue, seen = filled(7), []
    summary = run(queue, lambda items: seen.append([item.id for item in items]), batch=3)
    assert seen == [[1, 2, 3], [4, 5, 6], [7]]
    assert (summary.done, len(queue)) == (7, 0)


def test_what_it_comes_to_counts_for_each():
    """An exception fails all of them; a list of an Outcome for each says more."""
    queue = filled(3, max_attempts=1)
    assert run(queue, lambda items: 1 / 0, batch=5).retried == 3
    queue = filled(3)
    ends = [Outcome(verdict=v) for v in (Verdict.DONE, Verdict.DEAD, Verdict.RELEASE)]
    summary = run(queue, lambda items: ends[: len(items)], batch=3, limits=None)
    assert (summary.done, summary.dead) == (2, 1)  # what was given back came again, alone
    with pytest.raises(UsageError, match="batch"):
        run(queue, print, batch=0)


def test_concurrency_counts_commands():
    """No more is claimed while as many handlers as allowed are at work."""
    queue, at_work, most = filled(12), [0], []

    async def handler(items):
        at_work[0] += 1
        most.append(at_work[0])
        await asyncio.sleep(0)
        at_work[0] -= 1

    run(queue, handler, batch=2, concurrency=3)
    assert max(most) == 3 and len(most) == 6


def test_a_cancelled_item_takes_its_batch_with_it():
    """The handler is called off; the item stays cancelled, the others go back uncounted."""
    queue, stop = filled(3), Stop()

    async def handler(items):
        queue.cancel(items[1])
        stop.request()
        await asyncio.sleep(HANG)

    summary = run(queue, handler, batch=3, lease=1.0, stop=stop)
    assert (summary.lost, summary.released) == (1, 2)
    assert [(item.id, str(item.state), item.attempts) for item in queue.items()] == [
        (1, "pending", 0), (3, "pending", 0), (2, "failed", 1),
    ]  # fmt: skip


def test_one_command_has_the_paths_of_many(bench):
    """`{}` comes once for each item; ids and claims are lists."""
    bench.fill(5)
    script = 'echo "$# $PQ_ID $PQ_CLAIM" >> "$D/ran"; cat "$@" >> "$D/out"; cat >> "$D/in"'
    assert bench.pq("run", "--batch", "3", "--", "sh", "-c", script, "sh", "{}").returncode == 0
    assert (bench.root / "ran").read_text() == "3 1 2 3 1.1 2.1 3.1\n2 4 5 4.1 5.1\n"
    assert (bench.root / "out").read_text() == "0\n1\n2\n3\n4\n"
    assert (bench.root / "in").read_text() == ""
    assert bench.states() == {}


def test_without_braces_the_paths_come_on_stdin(bench):
    """Each ended by a NUL byte; the exit status counts for all, also in what --json tells."""
    bench.spool(max_attempts=1)
    bench.fill(3)
    script = 'xargs -0 cat >> "$D/out"; exit 3'
    events = bench.events("--batch", "9", "--log", "--", "sh", "-c", script)
    assert (bench.root / "out").read_text() == "0\n1\n2\n"
    ends = [(e["id"], e["exit"]) for e in events if e["event"] == "retried"]
    assert ends == [(1, 3), (2, 3), (3, 3)]
    assert set(bench.states().values()) == {"failed"}
    logs = [json.loads(bench.pq("show", "--json", str(n)).stdout) for n in (1, 2, 3)]
    assert all(log["history"][-1]["exit"] == 3 for log in logs)


def test_a_damaged_item_does_not_hold_up_the_others(bench):
    """What is torn is a dead letter; the command has the rest."""
    bench.fill(3)
    item = bench.spool().get(2)
    with open(item.path, "wb") as file:
        file.write(b"!!")
    done = bench.pq("run", "--batch", "3", "--", "sh", "-c", 'echo $PQ_ID >> "$D/ran"')
    assert done.returncode == 6
    assert (bench.root / "ran").read_text() == "1 3\n" and bench.states() == {2: "failed"}


@pytest.mark.parametrize("words", [("--batch", "0"), ("--batch", "2", "--tag"),
                                   ("-j", "300", "--batch", "2"), ("--batch", "x")])  # fmt: skip
def test_what_cannot_be_is_said(bench, words):
    """Too many at once, none at all, or the lines of no one item: exit 2."""
    done = bench.pq("run", *words, "--", "true")
    assert (done.returncode == 2 and b"--batch" in done.stderr) or b"at most" in done.stderr
