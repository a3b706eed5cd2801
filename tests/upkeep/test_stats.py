"""stats: the counts are those of the items, in every form in which they are shown."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from support import tree

from pq_cli import QueueConfig, Spool, State
from pq_cli.core.insight.history import history, quantile
from pq_cli.core.insight.shape import AGE_EDGES, cap_age, lane_shape
from pq_cli.core.order import boost, effective
from pq_cli.queue.request import Request


def run(spool, *words):
    """Return what `pq stats` prints; it must succeed."""
    command = [sys.executable, "-m", "pq_cli", "stats", "-s", spool.path, *words]
    done = subprocess.run(command, capture_output=True, text=True, env={"COLUMNS": "80"})
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("seed", range(20))
def test_buckets_are_counted_as_by_hand(seed):
    """Bisection gives what looking at each item gives, on and beside every edge."""
    rng, now = random.Random(seed), 1.0e9
    edges = [0.0, *AGE_EDGES]
    ages = sorted(
        (max(0.0, rng.choice(edges) + rng.choice([-1, 0, 1, 500])) for _ in range(50)),
        reverse=True,
    )
    config = QueueConfig(
        aging_boost=rng.choice([0, 1, 3]),
        max_priority_boost=rng.choice([0, 4, 9]),
        enable_aging=rng.random() < 0.8,
    )
    priority = rng.randint(1, 10)
    created = {number: now - age for number, age in enumerate(ages)}
    shape = lane_shape(config, priority, sorted(created), created.__getitem__, now, now)
    by_hand = [0] * len(edges)
    for age in ages:
        by_hand[sum(age >= edge for edge in AGE_EDGES)] += 1
    assert list(shape.buckets) == by_hand
    capped = 0
    for age in ages:
        floor = effective(config, priority, 0.0, 1e12)
        capped += floor < priority and effective(config, priority, 0.0, age) == floor
    assert shape.starving == capped
    assert (shape.total, shape.oldest_id, shape.oldest_age) == (50, 0, ages[0])


def test_the_cap_is_reached_at_its_age_and_not_before():
    """cap_age is the first age at which the boost grows no more (rounded boosts included)."""
    config = QueueConfig(aging_boost=3, max_priority_boost=4, aging_threshold_seconds=10.0)
    assert cap_age(config, 9) == 20.0
    assert [boost(config, 0.0, age) for age in (9.9, 10.0, 19.9, 20.0, 1e6)] == [0, 3, 3, 4, 4]
    assert cap_age(config, 1) is None


def test_quantiles_are_by_nearest_rank():
    """The median and the 95th percentile are values that occurred."""
    values = [float(n) for n in range(1, 101)]
    assert (quantile(values, 0.5), quantile(values, 0.95)) == (50.0, 95.0)
    assert (quantile([7.0], 0.5), quantile([7.0], 0.95), quantile([], 0.5)) == (7.0, 7.0, None)


def test_the_flow_is_that_of_the_last_hour():
    """Older and malformed records do not count, nor does the wait of a second claim."""
    at = "2026-01-01T12:00:00Z"
    records = [
        {"at": "2026-01-01T10:59:59Z", "event": "done", "priority": 5, "took": 9.0},
        {"at": at, "event": "claimed", "priority": 5, "claim": "1.1", "waited": 3.0},
        {"at": at, "event": "claimed", "priority": 5, "claim": "1.2", "waited": 500.0},
        {"at": at, "event": "done", "priority": 5, "took": 2.0},
        {"at": at, "event": "failed", "priority": 5},
        {"at": "nonsense", "event": "done", "priority": 5},
        {"at": at, "event": "done", "priority": "5"},
        {"at": at, "event": "enqueued", "priority": 9},
    ]
    [lane] = history(records, 1767268800.0).flows
    assert (lane.priority, lane.done, lane.failed) == (5, 1, 1)
    assert (lane.waited_median, lane.waited_p95, lane.took_median) == (3.0, 3.0, 2.0)


ENDINGS = {
    "released": lambda spool, item: spool.release(item, "exit 1"),
    "deferred": lambda spool, item: spool.defer(item, "exit 75"),
    "failed": lambda spool, item: spool.fail(item, "exit 1"),
    "lost": lambda spool, item: None,
}
"""How the claim of a submit can end without the item being done."""


@pytest.mark.parametrize("how", ENDINGS)
def test_the_claim_of_a_submit_is_no_wait(tmp_path, how):
    """An item waits until a worker takes it: that submit had it first does not count, once."""
    now = [1e9]
    spool = Spool(
        tmp_path / "s", clock=lambda: now[0], config=QueueConfig(backoff=1.0), jitter=lambda: 0.0
    )
    ENDINGS[how](spool, spool.commit_claimed(spool.stage(b"x", Request()), lease=10.0))
    spool.enqueue(b"never waits", priority=9)
    now[0] += 50.0
    spool.release(spool.claim())
    now[0] += 500.0
    assert spool.claim().claim == "1.3"
    [lane, *_] = history(spool.log(), now[0]).flows
    assert (lane.waited_median, lane.waited_p95) == (50.0, 50.0)


def test_a_submit_that_did_its_work_has_no_wait(tmp_path):
    """What never waited makes the median of those that did no smaller."""
    now = [1e9]
    spool = Spool(tmp_path / "s", clock=lambda: now[0])
    for _ in range(5):
        spool.done(spool.commit_claimed(spool.stage(b"x", Request())))
    [lane] = history(spool.log(), now[0]).flows
    assert (lane.done, lane.waited_median) == (5, None)
    spool.enqueue(b"x")
    now[0] += 30.0
    spool.claim()
    [lane] = history(spool.log(), now[0]).flows
    assert (lane.done, lane.waited_median, lane.waited_p95) == (5, 30.0, 30.0)


def test_the_commands_tell_the_wait_of_a_submitted_item(pq):
    """`submit`, then `next`: JSON and metrics have the time between them, not submit's 0."""
    pq("submit", "--", "false", stdin=b"x")
    pq("next", "--ack")
    [lane] = json.loads(pq("stats", "--json").text)["last_hour"]
    assert lane["waited_median"] > 0
    [sample] = re.findall(
        r'wait_seconds{.*quantile="0.5".*} (.*)', pq("stats", "--prometheus").text
    )
    assert float(sample) == lane["waited_median"]


@pytest.fixture
def spool(tmp_path):
    """A spool with something in every state, and a path that must be escaped."""
    spool = Spool(tmp_path / 'a "quoted" \\new path', config=QueueConfig(keep_done=3600.0))
    for priority in (2, 8, 8, 8):
        spool.enqueue(b"", priority=priority)
    for _ in range(2):
        spool.enqueue(b"", priority=1)
        spool.fail(spool.claim(), "HTTP 500", dead=True)
    spool.enqueue(b"", priority=1)
    spool.done(spool.claim())
    spool.enqueue(b"", priority=1)
    spool.claim(bound=False)
    spool.enqueue(b"", delay=3600)
    spool.hold(spool.enqueue(b""))
    return spool


def test_the_three_forms_agree_with_the_listing(spool):
    """Picture, JSON and metrics tell the same counts as the items themselves."""
    wanted = {
        str(state): sum(1 for _ in spool.items([state]))
        for state in ("active", "pending", "delayed", "held", "failed", "done")
    }
    assert wanted == {
        "active": 1, "pending": 4, "delayed": 1, "held": 1, "failed": 2, "done": 1,
    }  # fmt: skip
    told = json.loads(run(spool, "--json"))
    assert told["counts"] == wanted
    assert [(lane["priority"], lane["total"]) for lane in told["lanes"]] == [(2, 1), (8, 3)]
    assert told["errors"] == [{"error": "HTTP 500", "count": 2}]
    assert [(f["priority"], f["done"], f["failed"]) for f in told["last_hour"]] == [(1, 1, 2)]
    metrics = run(spool, "--prometheus")
    for state, count in wanted.items():
        assert re.search(rf'pq_items{{spool=".*",state="{state}"}} {count}\n', metrics)
    picture = run(spool)
    assert "10 items: 1 active, 4 pending, 1 delayed, 1 held, 2 failed, 1 done" in picture
    assert re.search(r"^ +8 +3 +3 ", picture, re.M)
    assert "2 x HTTP 500" in picture


def test_what_cannot_be_read_is_not_the_oldest(spool):
    """An item whose meta is damaged is counted; nothing is told of an age that nobody knows."""
    Path(f"{spool.get(2).path}.meta.json").write_text("x")
    told = json.loads(run(spool, "--json"))
    (lane,) = (lane for lane in told["lanes"] if lane["priority"] == 8)
    assert (lane["total"], lane["starving"], lane["oldest_id"]) == (3, 0, 3)
    assert lane["oldest_age"] < 3600


def test_prometheus_reads_the_metrics(spool):
    """Prometheus' own parser finds described gauges, each sample once, with the spool's path."""
    spool.pause()
    families = list(text_string_to_metric_families(run(spool, "--prometheus")))
    samples = {}
    for family in families:
        assert (family.type, family.name[:3], family.documentation[-1]) == ("gauge", "pq_", ".")
        assert family.samples
        for sample in family.samples:
            labels = dict(sample.labels)
            assert labels.pop("spool") == spool.path
            key = (sample.name, *sorted(labels.values()))
            assert key not in samples
            samples[key] = sample.value
    assert len({family.name for family in families}) == len(families) == 11
    assert samples["pq_paused",] == 1
    assert (samples["pq_unattended",], samples["pq_workers", "lease"]) == (0, 1)
    assert samples["pq_items", "failed"] == samples["pq_last_hour_attempts", "1", "failed"] == 2
    assert (samples["pq_pending_items", "8"], samples["pq_starving_items", "8"]) == (3, 0)
    assert samples["pq_oldest_pending_age_seconds", "8"] >= 0
    assert samples["pq_last_hour_wait_seconds", "0.5", "1"] >= 0


def test_looking_changes_nothing(spool):
    """stats writes no file and takes no lock: an item that is due stays where it lies."""
    before = tree(Path(spool.path))
    late = Spool(spool.path, clock=lambda: 4e9)
    backlog = late.backlog()
    assert backlog.delayed == 0
    assert sum(map(len, backlog.lanes.values())) == 5
    assert sum(1 for _ in late.items([State.PENDING])) == 5
    assert tree(Path(spool.path)) == before
    assert sum(1 for _ in spool.items([State.DELAYED])) == 1
