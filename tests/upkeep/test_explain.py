"""explain: the reasons are true, and every reason has words."""

from __future__ import annotations

import inspect
import random
import re
import subprocess
import sys

import pytest
from queues import Clock

from pq_cli import Pause, QueueConfig, Spool, State
from pq_cli.core.insight import explain as explaining
from pq_cli.core.insight import search, workers
from pq_cli.core.insight.explain import Reason, ahead, explain
from pq_cli.core.insight.shape import AGE_EDGES, lane_shape
from pq_cli.core.item import Item
from pq_cli.core.order import serving_order
from pq_cli.render.explain import WORDS, sentences


def reasons_of(spool, item_id, clock, *, pause=None):
    """Return the reasons for an item as {kind: values}."""
    item, t, backlog = spool.get(item_id), spool.order_time(), spool.backlog()
    position = None
    if item.state is State.PENDING:
        position = ahead(spool.config, item, backlog.lanes, backlog.created_in, t)
    found = explain(spool.config, item, position, pause, clock.now, t)
    return {reason.kind: reason.values for reason in found}


@pytest.mark.parametrize("seed", range(12))
def test_the_position_is_the_place_in_the_listing(tmp_path, seed):
    """For every item, those said to be ahead are as many as `ls` shows before it."""
    rng, clock = random.Random(seed), Clock()
    config = QueueConfig(
        enable_priority=rng.random() < 0.9,
        enable_aging=rng.random() < 0.8,
        aging_threshold_seconds=60.0,
        aging_boost=rng.choice([1, 2]),
        max_priority_boost=rng.choice([0, 4, 9]),
        keep_done=60.0,
    )
    spool = Spool(tmp_path / "s", clock=clock, config=config)
    for _ in range(60):
        delay = rng.choice([None, None, None, 30.0])
        limit = rng.choice([None, None, "api", "db"])
        spool.enqueue(b"", priority=rng.randint(1, 10), delay=delay, limit=limit)
        clock.now += rng.choice([0, 1, 20, 70])
        if rng.random() < 0.15 and (item := spool.claim()) is not None:
            spool.done(item)
    listed = [item.id for item in spool.items([State.PENDING])]
    backlog, t = spool.backlog(), spool.order_time()
    for place, item in enumerate(spool.items([State.PENDING])):
        position = ahead(config, item, backlog.lanes, backlog.created_in, t)
        assert position.urgent + position.older == place, (item.id, listed)


@pytest.mark.parametrize("piece", [3, 10, 1000])
@pytest.mark.parametrize("seed", range(8))
def test_items_older_than_those_before_them_do_not_mislead(monkeypatch, seed, piece):
    """Where items keep the time of the queue they came from, each is still placed as it is served.

    With pieces of 1 to 3 in a row that came together, as `search` allows; ages are counted right.
    """
    monkeypatch.setattr(search, "PIECE", piece)
    rng, t = random.Random(seed), 1.0e6
    config = QueueConfig(aging_threshold_seconds=60.0, max_priority_boost=rng.choice([0, 4, 9]))
    created, lanes = {}, {}
    for lane in (1, 5, 9):
        ids = sorted(rng.sample(range(1000), 30))
        lanes[lane, ""] = ids = [item_id * 3 + lane % 3 for item_id in ids]
        for start in range(0, 30, piece):
            block = [t - rng.choice([0, 30, 100, 400, 2000]) for _ in ids[start : start + piece]]
            ordered = block if piece > 30 else sorted(block, reverse=rng.random() < 0.3)
            created |= dict(zip(ids[start : start + piece], ordered, strict=True))
    rows = {lane: iter([(i, lane) for i in ids]) for lane, ids in lanes.items()}
    order = serving_order(rows, config, t, lambda row: (row[0], created[row[0]]))
    for place, (item_id, lane) in enumerate(order):
        item = Item(id=item_id, priority=lane[0], created_at=created[item_id], updated_at=t)
        found = ahead(config, item, lanes, lambda _: created.__getitem__, t)
        assert found.urgent + found.older == place
        youngest = max(created[i] for i in lanes[lane] if i <= item_id)
        assert found.youngest == youngest
    for lane, ids in lanes.items():
        shape = lane_shape(config, lane[0], ids, created.__getitem__, t, t)
        by_hand = [sum(t - created[i] >= edge for i in ids) for edge in (0.0, *AGE_EDGES)]
        assert [sum(shape.buckets[n:]) for n in range(len(by_hand))] == by_hand
        assert shape.oldest_age == t - min(created[i] for i in ids)


def test_an_item_that_waits_for_younger_ones_says_so(tmp_path):
    """What came from another queue and is older than its lane cannot claim to be safe yet."""
    clock = Clock()
    config = QueueConfig(max_priority_boost=9, aging_threshold_seconds=100.0)
    spool = Spool(tmp_path / "s", clock=clock, config=config)
    first = spool.enqueue(b"", priority=5)
    clock.now -= 5000
    old = spool.enqueue(b"", priority=5)
    clock.now += 5000
    reasons = reasons_of(spool, old.id, clock)
    assert reasons["aged"]["effective"] == 1
    assert reasons["kept_back"] == {"effective": 5}
    assert reasons["safe_from"] == {"at": first.created_at + 400}
    assert "safe_now" not in reasons
    assert "kept_back" not in reasons_of(spool, first.id, clock)


def test_what_cannot_overtake_does_not(tmp_path):
    """From the moment that is named, no new item is served before this one; before it, one can."""
    clock = Clock()
    config = QueueConfig(max_priority_boost=9, aging_threshold_seconds=100.0)
    spool = Spool(tmp_path / "s", clock=clock, config=config)
    old = spool.enqueue(b"", priority=6)
    clock.now += 130
    reasons = reasons_of(spool, old.id, clock)
    assert reasons["aged"]["effective"] == 5
    assert reasons["next_boost"] == {"at": old.created_at + 200, "effective": 4}
    assert reasons["safe_from"] == {"at": old.created_at + 500}
    clock.now = old.created_at + 499
    assert ahead_of(spool, old, spool.enqueue(b"", priority=1))
    clock.now = old.created_at + 500
    assert not ahead_of(spool, old, spool.enqueue(b"", priority=1))
    assert "safe_now" in reasons_of(spool, old.id, clock)


def ahead_of(spool, old, new):
    """Tell whether `new` would be served before `old`; take it away again."""
    order = [item.id for item in spool.items([State.PENDING])]
    spool.remove(new)
    return order.index(new.id) < order.index(old.id)


def test_with_the_default_cap_some_can_always_overtake(tmp_path):
    """A base of 8 ages to 4 at most: it says so, and that 1 to 3 always go first."""
    clock = Clock()
    spool = Spool(tmp_path / "s", clock=clock)
    item = spool.enqueue(b"", priority=8)
    clock.now += 10_000
    reasons = reasons_of(spool, item.id, clock)
    assert reasons["capped"] == {"floor": 4}
    assert reasons["never_safe"] == {"floor": 4}
    assert "next_boost" not in reasons


def test_a_pause_and_each_state_give_their_reason(tmp_path):
    """What keeps an item from being served is named, whatever its state."""
    clock = Clock()
    spool = Spool(tmp_path / "s", clock=clock, config=QueueConfig(keep_done=60.0))
    item = spool.enqueue(b"").id
    assert "next" in reasons_of(spool, item, clock)
    assert reasons_of(spool, item, clock, pause=Pause(since=1.0, reason="r"))["paused"] == {
        "since": 1.0, "reason": "r",
    }  # fmt: skip
    claim = spool.claim(lease=10)
    assert reasons_of(spool, item, clock)["active"]["claim"] == claim.claim
    clock.now += 10
    assert "lease_over" in reasons_of(spool, item, clock)
    spool.fail(claim, "boo")
    assert reasons_of(spool, item, clock)["delayed"]["after"] == "boo"
    assert reasons_of(spool, item, clock)["attempt"]["took"] == 10.0
    spool.hold(item)
    assert "held" in reasons_of(spool, item, clock)
    spool.retry(item)
    spool.fail(spool.claim(), "worse", dead=True)
    assert reasons_of(spool, item, clock)["failed"]["used_up"] is False
    spool.retry(item)
    spool.done(spool.claim())
    assert "done" in reasons_of(spool, item, clock)


def test_every_reason_has_words():
    """Each kind of reason that is given has words, and no words are for a kind that is not."""
    source = "".join(inspect.getsource(module) for module in (explaining, workers))
    assert set(re.findall(r'Reason\(kind="(\w+)"', source)) <= set(WORDS)
    assert set(WORDS) <= set(re.findall(r'"(\w+)"', source))


def test_what_is_shown_cannot_drive_a_terminal():
    """Errors, reasons and host names are escaped."""
    evil = "\x1b[2J\u202e"
    values = {"error": evil, "attempts": 1, "used_up": True, "since": 0.0, "reason": evil}
    said = sentences(
        [Reason(kind="failed", values=values), Reason(kind="paused", values=values)], 1
    )
    assert "\\x1b[2J\\u202e" in said[0]
    assert not any(c in " ".join(said) for c in evil if not c.isprintable())


def test_the_command_tells_each_item_and_goes_on_after_one_that_is_missing(tmp_path):
    """Items are explained in the order asked; a missing one is an error (3) and stops nothing."""
    spool = Spool(tmp_path / "s")
    spool.enqueue(b"", name="first")
    spool.enqueue(b"", name="second")
    command = [sys.executable, "-m", "pq_cli", "explain", "-s", spool.path, "9", "2", "1"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 3
    assert "no item 9" in done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "item 2 (second): pending, priority 5"
    assert lines[1] == "  1 item is ahead of it: as urgent, and enqueued earlier"
    assert lines[lines.index("item 1 (first): pending, priority 5") + 1] == (
        "  it is the next to be served"
    )


def test_what_was_removed_is_not_said_to_be_done(pq):
    """A removed item says so, and how long which command brings it back: that command does it."""
    pq("enqueue", stdin=b"x")
    pq("rm", "1")
    said = pq("explain", "1").text
    assert "done" not in said and "it was removed; `pq undo 1` brings it back, until" in said


def test_what_fell_with_others_names_what_brings_both_back(pq):
    """It is the one that failed, not the first of them; `undo` where it was removed."""
    pq("enqueue", "--lines", stdin=b"a\nb\nc\n")
    pq("cancel", "2")
    pq("rm", "3")
    for after, fell, bad, back in ("1,2", "4", "2", "retry 2"), ("1,3", "5", "3", "undo 3"):
        told = pq("enqueue", "--after", after, stdin=b"x").err
        assert f"`pq {back}` tries both again" in told
        assert f"`pq {back}` brings both back" in pq("explain", fell).text
        pq(*back.split())
        assert pq.states()[int(fell)] == "held" and pq.states()[int(bad)] == "pending"
