"""The history that pictures show is what happened, counted into buckets."""

from __future__ import annotations

import random

import pytest
from queues import BACKENDS, START, Clock, make_queue

from pq_cli.core.insight.history import (
    DAY_BUCKETS,
    DAY_STEP,
    HOUR_BUCKETS,
    HOUR_STEP,
    KINDS,
    WAIT_EDGES,
    history,
    merged,
)
from pq_cli.core.timefmt import format_time

NOW = START + 1234.5


def record(event, ago, priority=5, **more):
    """Return a record of the log, so many seconds before NOW."""
    return {"at": format_time(NOW - ago), "event": event, "id": 1, "priority": priority, **more}


@pytest.mark.parametrize("seed", range(10))
def test_buckets_are_counted_as_by_hand(seed):
    """Each event is in the bucket of its time and lane, once; what is older or later is in none."""
    rng = random.Random(seed)
    kinds = {
        "enqueued": "in", "imported": "in", "done": "out", "failed": "failed", "lost": "failed",
        "claimed": None, "held": None,
    }  # fmt: skip
    events = [
        (rng.choice(list(kinds)), rng.choice([-5, 0, 1, 59, 60, 3599, 90_000, rng.uniform(0, 1e5)]),
         rng.randint(1, 10))
        for _ in range(300)
    ]  # fmt: skip
    told = history([record(event, ago, lane) for event, ago, lane in events], NOW)
    for window, step, buckets in (
        (told.hour, HOUR_STEP, HOUR_BUCKETS), (told.day, DAY_STEP, DAY_BUCKETS),
    ):  # fmt: skip
        by_hand = {}
        for event, ago, lane in events:
            at, kind = NOW - ago, kinds[event]
            back = NOW // step - at // step
            if kind is not None and ago >= 0 and back < buckets:
                row = by_hand.setdefault((kind, lane), [0] * buckets)
                row[int(buckets - 1 - back)] += 1
        counted = {
            (kind, lane): list(row) for kind in KINDS for lane, row in window.counts[kind].items()
        }
        assert counted == by_hand
        assert window.start == (NOW // step - buckets + 1) * step
        assert window.lanes() == sorted({lane for _, lane in by_hand})
        for kind in KINDS:
            rows = [row for (each, _), row in by_hand.items() if each == kind]
            added = zip([0] * buckets, *rows, strict=True)
            assert window.row(kind) == tuple(map(sum, added))


def test_waiting_times_are_those_of_first_claims():
    """On an edge is above it; a second claim did not wait; submit's own claim is none."""
    records = [
        record("claimed", 10, 3, claim="1.1", waited=0.5),
        record("claimed", 10, 3, claim="2.1", waited=WAIT_EDGES[0]),
        record("claimed", 10, 3, claim="2.2", waited=99.0),
        record("claimed", 10, 3, claim="3.1", own=True),
        record("claimed", 10, 3, claim="3.2", waited=1e9),
        record("claimed", 10, 3, claim="4.1", waited="long"),
        record("claimed", 90_000, 3, claim="5.1", waited=1.0),
    ]
    told = history(records, NOW)
    assert told.waits == {3: (1, 1, *[0] * 6, 1)}


def test_what_is_no_record_of_pq_is_passed_over():
    """Any JSON in the log harms no picture."""
    bad = [
        {}, {"event": "done"}, {"event": 7, "priority": 5, "at": format_time(NOW)},
        record("done", 5, True), record("done", 5, "5"), record("done", 5, 11),
        record("done", 5, 0), record("done", 5, [5]), record("done", 5) | {"at": "yesterday"},
        record("claimed", 5, claim=["1.1"], waited=3.0), record("claimed", 5, claim=None),
    ]  # fmt: skip
    told = history([*bad, record("done", 5)], NOW)
    assert sum(told.day.row("out")) == sum(told.hour.row("out")) == 1
    assert told.waits == {}


def test_an_empty_log_has_an_empty_history():
    """No lanes, and rows that are as long as ever."""
    told = history([], NOW)
    assert (told.since, told.hour.lanes(), told.waits, told.flows) == (None, [], {}, ())
    assert told.hour.row("in") == (0,) * HOUR_BUCKETS
    assert told.day.row("out", 4) == (0,) * DAY_BUCKETS


def test_merging_loses_nothing_and_keeps_now_apart():
    """Neighbours are added up; a short bucket is the oldest, never that of now."""
    row = tuple(range(60))
    assert merged(row, 60) == row and merged(row, 100) == row
    assert merged(row, 30)[-1] == 58 + 59
    assert merged((1, 2, 3, 4, 5), 2) == (3, 12)
    for width in range(1, 70):
        assert sum(merged(row, width)) == sum(row)
        assert len(merged(row, width)) <= width
    assert merged((), 5) == ()


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_queue_tells_its_history(backend, tmp_path):
    """In memory, on disk and in a database: what verbs did is what the history counts."""
    clock = Clock(NOW - 7200)
    queue = make_queue(backend, tmp_path, clock, backoff=10.0)
    for lane in (2, 2, 8):
        queue.enqueue(b"x", priority=lane)
    clock.pass_(7000)
    queue.done(queue.claim())
    queue.fail(queue.claim(), "no")
    clock.pass_(200)
    told = history(queue.log(), clock())
    assert {kind: sum(told.day.row(kind)) for kind in KINDS} == {"in": 3, "out": 1, "failed": 1}
    assert {kind: sum(told.hour.row(kind)) for kind in KINDS} == {"in": 0, "out": 1, "failed": 1}
    assert told.day.lanes() == [2, 8]
    assert sum(told.day.row("in", 8)) == 1
    assert sum(told.waits[2]) == 2
    assert told.since == NOW - 7200
    assert [flow.done for flow in told.flows] == [1]
