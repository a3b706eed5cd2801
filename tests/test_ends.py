"""Waiting for ends: the same in memory, on disk and in a database; and `pq wait`."""

from __future__ import annotations

import json
import subprocess

import pytest
from queues import START
from support import HANG, Pq, wait_until

from pq_cli import NoSuchItemError, State, TryAgainError, UsageError


def ends(q, *items, **options):
    return {end.id: str(end.how) for end in q.ends(items, wait=0, **options)}


def spend(q, name):
    """Enqueue an item and let it end in the way of that name."""
    item = q.enqueue(b"x", name=name)
    if name in ("done", "dead", "cancelled at work"):
        claim = q.claim()
    if name == "done":
        q.done(claim, status=0)
    elif name == "dead":
        q.fail(claim, "HTTP 500", dead=True, status=7)
    elif name.startswith("cancelled"):
        q.cancel(item, by="ann")
    else:
        q.remove(item)
    return item.id


WAYS = {"done": "done", "dead": "failed", "cancelled": "failed", "cancelled at work": "failed",
        "removed": "removed"}  # fmt: skip


@pytest.mark.parametrize("keep", [True, False], ids=["kept", "only in the log"])
@pytest.mark.parametrize("way", WAYS)
def test_how_an_item_ended_is_known_also_when_it_is_gone(make, way, keep):
    """From the item while it is kept, else from the log: the same."""
    q = make(keep_done=60.0 if keep else 0.0, keep_removed=60.0 if keep else 0.0)
    item_id = spend(q, way)
    if not keep and WAYS[way] == "failed":
        q.remove(item_id)
    (end,) = q.ends([item_id, item_id], wait=0)
    assert (end.id, end.how, end.name) == (1, WAYS[way], way)
    assert end.at in (START, None)
    if keep:
        words = {"dead": "HTTP 500", "done": None, "removed": None}.get(way, "cancelled by ann")
        assert end.error == words
    assert end.status == {"done": 0, "dead": 7 if keep else None}.get(way)


def test_an_item_that_was_done_before_it_was_removed_was_done(make):
    """Who cleans up does not change how a thing ended."""
    q = make(keep_done=60.0)
    q.remove(spend(q, "done"))
    assert ends(q, 1) == {1: "done"}


def test_what_has_not_ended_is_waited_for(make):
    """Pending, delayed, held, active and what is to be retried: none of them is an end."""
    q = make(backoff=10.0)
    for _ in range(4):
        q.enqueue(b"x")
    q.enqueue(b"x", delay=10)
    q.hold(4)
    q.fail(q.claim(), "again")
    q.claim()
    for item_id in range(1, 6):
        with pytest.raises(TryAgainError, match=f"item {item_id} has not ended"):
            ends(q, item_id)
    with pytest.raises(TryAgainError, match="5 items have not ended: 1, 2, 3, 4, 5"):
        ends(q, *range(1, 6))


def test_what_never_was_is_told_at_once(make):
    """NoSuchItemError, however long one would wait, and though others have not ended."""
    q = make()
    q.enqueue(b"x")
    with pytest.raises(NoSuchItemError, match="no item 7"):
        list(q.ends([1, 7]))


def test_each_end_is_told_when_it_comes(make, threads):
    """In the order of the ends, also of items that go through many states, and of many claims."""
    q = make()
    first, second, third = (q.enqueue(b"x") for _ in range(3))
    q.fail(q.claim(), "once")
    told = []

    def listen():
        told.extend(end.id for end in q.ends([first, second, third], wait=2 * HANG))

    waiting = threads.submit(listen)
    claim = q.claim()
    assert claim.id == 2
    q.release(claim)
    q.done(q.claim())
    wait_until(lambda: told == [2], "the first end was not told")
    q.change(3, priority=1)
    q.hold(3)
    q.remove(3)
    wait_until(lambda: told == [2, 3], "the second end was not told")
    q.retry(1)
    assert not waiting.done()
    q.done(q.claim())
    waiting.result(timeout=HANG)
    assert told == [2, 3, 1]


def test_items_are_a_list(make):
    """One id where a list is wanted is a UsageError that says so; so is what names no item."""
    q = make()
    for wrong in (1, "1", None):
        with pytest.raises(UsageError, match=r"items .*: give a list"):
            q.ends(wrong)
    with pytest.raises(UsageError):
        q.ends(["one"])
    with pytest.raises(UsageError, match="wait"):
        q.ends([1], wait="5m")


def test_drained_is_a_queue_in_which_nothing_is_left_to_do(make, clock, threads):
    """What is pending, delayed or active is left; what is held, failed or done is not."""
    q = make(keep_done=60.0)
    assert q.drained()
    for item_id in (1, 2, 3, 4):
        q.enqueue(b"x", delay=10 if item_id == 1 else None)
    q.hold(4)
    q.fail(q.claim(), dead=True)
    q.done(q.claim())
    assert not q.drained()
    clock.pass_(10)
    claim = q.claim()
    assert not q.drained(wait=0.01)
    waiting = threads.submit(q.drained, wait=HANG)
    q.done(claim)
    assert waiting.result(timeout=HANG)


# -- the command -----------------------------------------------------------------


def test_wait_prints_how_each_ended(pq: Pq) -> None:
    """A line each; 0 when all were done, 6 when one failed or was removed, 3 for what never was."""
    pq.fill(b"a", b"b", b"c")
    pq("run", "--", "sh", "-c", '[ "$PQ_ID" = 1 ] || exit 100', expect=6)
    pq("enqueue", "--name", "n", stdin=b"d")
    pq("rm", 4)
    ran = pq("wait", 1)
    assert [ran.text.split("\t")[i] for i in (0, 1, 3)] == ["1", "done", "0"]
    lines = pq("wait", "--json", 1, 3, 4, expect=6).text.split("\n")[:-1]
    records = [json.loads(line) for line in lines]
    assert [(r["id"], r["how"], r["exit"]) for r in records] == [
        (1, "done", 0), (3, "failed", 100), (4, "removed", None)]  # fmt: skip
    assert pq("wait", "-", stdin=b"1\n1\n").words[0] == "1"
    assert "there is no item 9" in pq("wait", 1, 9, expect=3).err


def test_wait_gives_up_after_the_timeout(pq: Pq) -> None:
    """Exit 75, and what has ended until then was printed; stderr names the rest."""
    pq.fill(b"a", b"b")
    pq("next", "--ack")
    ran = pq("wait", 1, 2, "--timeout", "0.1", expect=75)
    assert ran.words[:2] == ["1", "done"] and "item 2 has not ended" in ran.err
    assert "work left" in pq("wait", "--drained", "--timeout", "0", expect=75).err
    pq("hold", 2)
    assert pq("wait", "--drained").out == b""


def test_wait_needs_to_know_what_for(pq: Pq) -> None:
    """ITEMs or --drained, one of them; exit 2."""
    pq("init")
    for words in ((), ("--drained", 1)):
        assert "give ITEMs to wait for, or --drained" in pq("wait", *words, expect=2).err


def test_wait_sees_what_other_processes_end(pq: Pq) -> None:
    """Each end is printed when it comes, also into a pipe."""
    pq.fill(b"a", b"b")
    argv = pq.argv("wait", 1, 2)
    with subprocess.Popen(argv, stdout=subprocess.PIPE, env=pq.env) as waiting:
        assert waiting.stdout is not None
        pq("next", "--ack")
        assert waiting.stdout.readline().startswith(b"1\tdone\t")
        assert waiting.poll() is None
        pq("rm", 2)
        assert waiting.stdout.readline().startswith(b"2\tremoved\t")
        assert waiting.wait(timeout=HANG) == 6


def test_the_state_of_an_end_is_one_of_three():
    """done, failed or removed: what a script compares with."""
    assert {State.DONE, State.FAILED, State.REMOVED} == set(WAYS.values())
