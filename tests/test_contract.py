"""One contract for `MemoryQueue` and `Spool`: every verb and every error, on a standing clock."""

from __future__ import annotations

import io
import math
import os
from zlib import crc32

import pytest
from queues import BACKENDS, START, drain, make_queue, plain, snapshot

from pq_cli import (
    ConfigError,
    ConflictError,
    Item,
    KeyTakenError,
    NoSuchItemError,
    QueueFullError,
    Request,
    StaleClaimError,
    State,
    UsageError,
)
from pq_cli.core.item import LIVE, MAX_HISTORY, checksum_text
from pq_cli.core.origin import Origin, digest


def ids(queue, *states):
    return [item.id for item in queue.items(states or None)]


def put(queue, *priorities, **fields):
    return [queue.enqueue(b"%d" % p, priority=p, **fields) for p in priorities]


# -- enqueue -------------------------------------------------------------------


def test_a_new_item_is_pending_with_the_policys_defaults(make):
    """Ids count from 1; what was not said is as the policy says; what was said is kept."""
    q = make(default_priority=7, max_attempts=5)
    first = q.enqueue(b"abc")
    second = q.enqueue(b"", priority=2, name="SN42.run1", metadata={"line": [1, None]})
    assert (first.id, first.priority, first.max_attempts, first.size) == (1, 7, 5, 3)
    assert (first.state, first.attempts, first.created_at) == (State.PENDING, 0, START)
    assert (second.id, second.priority, second.name) == (2, 2, "SN42.run1")
    assert second.metadata == {"line": [1, None]} and second.claim is None
    assert plain(q.get(2)) == plain(second) and len(q) == 2


def test_an_item_keeps_what_it_was_given(make):
    """The fields of a request are those of the item, from then on."""
    q = make()
    fields = {"priority": 2, "key": "k", "max_attempts": 7, "timeout": 1.5, "name": "n",
              "metadata": {"a": [1, None]}}  # fmt: skip
    item = q.enqueue(b"x", **fields)
    claimed = q.claim()
    for seen in (item, q.get(1), claimed, q.release(claimed)):
        assert {name: getattr(seen, name) for name in fields} == fields


@pytest.mark.parametrize(
    "payload", [b"", b"\0\xff\n", bytes(range(256)) * 5000, bytearray(b"ab"), memoryview(b"cd")]
)
def test_a_payload_comes_back_byte_for_byte(make, payload):
    """Any bytes, given whole or as a stream, are the same bytes in every state, of known sum."""
    q = make()
    whole, stream = q.enqueue(payload), q.enqueue(io.BytesIO(payload))
    assert q.payload(whole) == q.payload(stream) == bytes(payload)
    assert stream.size == len(payload)
    assert whole.checksum == stream.checksum == checksum_text(crc32(payload))
    item = q.claim()
    assert q.payload(item) == bytes(payload)
    q.fail(item, dead=True)
    assert q.payload(whole.id) == bytes(payload)


BAD_REQUESTS = [
    {"priority": 0}, {"priority": 11}, {"priority": "high"}, {"priority": True}, {"priority": 2.5},
    {"key": ""}, {"key": "a\nb"}, {"key": "a\x7f"}, {"key": "é" * 101}, {"key": "\udcff"},
    {"if_exists": "maybe"}, {"delay": -1}, {"delay": math.nan}, {"delay": math.inf},
    {"delay": 1, "at": START}, {"at": -1.0}, {"at": 2.6e11}, {"delay": 2.6e11},
    {"max_attempts": 0}, {"max_attempts": True}, {"max_attempts": 1.5}, {"name": "n" * 1025},
    {"metadata": ["x"]}, {"metadata": {1: "x"}}, {"metadata": {"x": object()}},
    {"metadata": {"x": math.nan}}, {"metadata": {"x": "y" * 300_000}},
]  # fmt: skip


@pytest.mark.parametrize("fields", BAD_REQUESTS, ids=lambda f: str(f)[:40])
def test_a_bad_request_is_refused_and_nothing_changes(make, fields):
    """A field out of range is a UsageError before anything is written; no id is used up."""
    q = make()
    with pytest.raises(UsageError):
        q.enqueue(b"x", **fields)
    assert snapshot(q) == [] and len(q) == 0
    assert q.enqueue(b"y").id == 1


@pytest.mark.parametrize("config", [{"default_priority": 50}, {"aging_threshold_seconds": 0.0},
                                    {"lease": -1.0}, {"aging_clock": "sundial"},
                                    {"max_items": -1}, {"backoff": math.nan}])  # fmt: skip
def test_a_bad_policy_is_refused(make, config):
    """A policy made in Python is held to the same ranges as queue.toml."""
    with pytest.raises(ConfigError):
        make(**config)


# -- keys and room -------------------------------------------------------------


def test_a_taken_key_is_skipped_by_default(make):
    """`skip` gives back the item that has the key, as it is, and adds nothing."""
    q = make()
    first = q.enqueue(b"old", key="k")
    again = q.enqueue(b"new", key="k", priority=1)
    assert plain(again) == plain(first)
    assert q.payload(again) == b"old" and len(q) == 1
    assert q.enqueue(b"z").id == 2


RAISES = {State.PENDING: {}, State.DELAYED: {"delay": 10}, State.HELD: {}}


@pytest.mark.parametrize("state", RAISES)
def test_raise_gives_a_waiting_item_the_more_urgent_of_both_priorities(make, state):
    """`raise` moves it to that lane, into its place by id; all else stays, and none is new."""
    q = make()
    first = q.enqueue(b"old", key="k", priority=6, name="n", **RAISES[state])
    q.enqueue(b"later", priority=2)
    if state is State.HELD:
        first = q.hold(first)
    for priority, comes_to in ((8, 6), (6, 6), (2, 2), (None, 2), (3, 2)):
        again = q.enqueue(b"new", key="k", priority=priority, if_exists="raise")
        assert plain(again) == plain(first) | {"priority": comes_to}
    assert q.payload(1) == b"old" and len(q) == 2
    assert [r["priority"] for r in q.log() if r["event"] == "changed"] == [2]
    if state is State.PENDING:
        assert drain(q) == [1, 2]


def test_raise_leaves_what_is_at_work_and_puts_in_what_is_not_there(make):
    """`raise` of an active item changes nothing, as `skip`; of no item it is a plain enqueue."""
    q = make()
    assert q.enqueue(b"new", key="k", priority=4, if_exists="raise").id == 1
    claim = q.claim()
    again = q.enqueue(b"more", key="k", priority=1, if_exists="raise")
    assert (again.id, again.priority, again.claim) == (1, 4, None)
    assert q.done(claim).id == 1
    assert q.enqueue(b"more", key="k", priority=1, if_exists="raise").id == 2


def test_raise_within_one_batch(make):
    """The second record of a batch raises the first; in a full queue, too."""
    q = make(max_items=2)
    q.enqueue(b"a", priority=2)
    records = [(b"x", Request(key="k", priority=p, if_exists="raise")) for p in (7, 1, 5)]
    admitted = q.enqueue_many(records)
    assert [(i.id, i.priority) for i in admitted.items] == [(2, 7), (2, 1), (2, 1)]
    assert admitted.error is None and not admitted.differing
    assert drain(q) == [2, 1]


def test_who_finds_a_key_taken_is_told_when_the_payload_differs(make):
    """By its size, and by its checksum where that is the same."""
    q = make()
    q.enqueue(b"old", key="k")
    for rule in ("skip", "raise"):
        records = [(b, Request(key="k", if_exists=rule)) for b in (b"old", b"new", b"longer")]
        staged = [q.stage(payload, request) for payload, request in records]
        differing = [bool(q.commit([each]).differing) for each in staged]
        assert differing == [False, True, True]


def test_a_taken_key_can_be_an_error(make):
    """`fail` raises KeyTakenError and changes nothing."""
    q = make()
    q.enqueue(b"old", key="k")
    before = snapshot(q)
    with pytest.raises(KeyTakenError, match="taken by item 1, pending"):
        q.enqueue(b"new", key="k", if_exists="fail")
    assert snapshot(q) == before


def test_replace_puts_a_new_item_in_the_old_ones_stead(make):
    """`replace` removes the old item and adds the new one, at the end of its lane."""
    q = make()
    old = q.enqueue(b"old", key="k")
    q.enqueue(b"between")
    new = q.enqueue(b"new", key="k", if_exists="replace")
    assert new.id == 3 and ids(q) == [2, 3] and len(q) == 2
    with pytest.raises(NoSuchItemError):
        q.get(old)
    assert q.enqueue(b"", key="k").id == 3


@pytest.mark.parametrize("state", [State.DELAYED, State.HELD])
def test_replace_takes_the_place_of_what_waits(make, state):
    """Delayed and held items are replaced like pending ones."""
    q = make()
    q.enqueue(b"old", key="k", delay=10 if state is State.DELAYED else None)
    if state is State.HELD:
        q.hold(1)
    q.enqueue(b"new", key="k", if_exists="replace")
    assert [(i.id, i.state) for i in q.items()] == [(2, State.PENDING)]


def test_nobodys_work_is_replaced_under_his_hands(make):
    """`replace` of an active item is refused, and the claim goes on."""
    q = make()
    q.enqueue(b"old", key="k")
    claim = q.claim()
    before = snapshot(q)
    with pytest.raises(KeyTakenError, match="active"):
        q.enqueue(b"new", key="k", if_exists="replace")
    assert snapshot(q) == before
    assert q.enqueue(b"new", key="k").id == 1
    q.done(claim)


@pytest.mark.parametrize("end", ["done", "dead", "removed", "kept done", "lease over"])
def test_a_key_is_free_when_its_item_has_ended(make, clock, end):
    """done, failed and removed items give their key back."""
    q = make(keep_done=60.0 if end == "kept done" else 0.0)
    q.enqueue(b"", key="k", max_attempts=1)
    if end == "removed":
        q.remove(1)
    else:
        claim = q.claim()
        if end == "dead":
            q.fail(claim, dead=True)
        elif end == "lease over":
            clock.pass_(301)
            assert q.claim() is None and q.get(1).state is State.FAILED
        else:
            q.done(claim)
    assert q.enqueue(b"", key="k", if_exists="fail").id == 2


def test_a_live_item_keeps_its_key(make):
    """Through claim, retry wait, hold, a change of lane and release the key stays taken."""
    q = make()
    q.enqueue(b"", key="k")
    taken = lambda: q.enqueue(b"", key="k").id == 1  # noqa: E731
    q.change(1, priority=9)
    assert taken()
    q.fail(q.claim())
    assert taken()
    q.hold(1)
    assert taken()
    q.retry(1)
    q.release(q.claim())
    assert taken() and len(q) == 1


def test_a_failed_item_does_not_come_back_to_a_taken_key(make):
    """retry is refused with KeyTakenError while another live item has the key."""
    q = make()
    q.enqueue(b"", key="k")
    q.fail(q.claim(), dead=True)
    q.enqueue(b"", key="k")
    before = snapshot(q)
    with pytest.raises(KeyTakenError, match="taken by item 2"):
        q.retry(1)
    assert snapshot(q) == before
    q.remove(2)
    assert q.retry(1).state is State.PENDING
    assert q.enqueue(b"", key="k").id == 1


def test_keys_that_look_alike_are_different(make):
    """No two keys share a file: case, slashes, dots, per cents, long ones, any script."""
    q = make()
    keys = ["a", "A", ".", "..", "a/b", "a%2fb", "%2e", "é", "e\u0301", "x" * 200,
            "日" * 66, "日" * 65 + "月", "a b", "-k", "~"]  # fmt: skip
    made = [q.enqueue(k.encode(), key=k, if_exists="fail").id for k in keys]
    assert made == list(range(1, len(keys) + 1))
    for number, key in enumerate(keys, 1):
        assert q.enqueue(b"", key=key).id == number


def test_max_items_counts_what_is_live(make):
    """Pending, delayed, active and held items fill the queue; done and failed ones do not."""
    q = make(max_items=4)
    put(q, 5, 5, 5)
    q.enqueue(b"", delay=10)
    q.hold(1)
    claim = q.claim()
    before = snapshot(q)
    with pytest.raises(QueueFullError, match=r"4 items, max_items = 4"):
        q.enqueue(b"")
    assert snapshot(q) == before and len(q) == 4
    q.fail(claim, dead=True)
    assert q.enqueue(b"").id == 5
    q.remove(1)
    assert q.enqueue(b"").id == 6
    q.done(q.claim())
    assert q.enqueue(b"").id == 7
    with pytest.raises(QueueFullError):
        q.enqueue(b"")


def test_a_full_queue_still_knows_its_keys(make):
    """In a full queue skip and replace go on: neither makes it fuller."""
    q = make(max_items=1)
    q.enqueue(b"", key="k")
    assert q.enqueue(b"", key="k").id == 1
    assert q.enqueue(b"", key="k", if_exists="replace").id == 2
    with pytest.raises(QueueFullError):
        q.enqueue(b"", key="other")
    q.done(q.claim())
    assert q.enqueue(b"", key="other").id == 3


# -- order ---------------------------------------------------------------------


def test_lanes_are_served_by_priority_and_first_in_first_out(make):
    """The lowest number first; within a number the order of arrival."""
    q = make(enable_aging=False)
    put(q, 5, 1, 10, 5, 1, 10)
    assert ids(q) == [2, 5, 1, 4, 3, 6]
    assert drain(q) == [2, 5, 1, 4, 3, 6]
    assert q.claim() is None


def test_without_priorities_the_lowest_id_is_next(make, clock):
    """`enable_priority = false` is plain FIFO over all lanes, whatever has aged."""
    q = make(enable_priority=False)
    put(q, 5, 1, 10)
    clock.pass_(10_000)
    put(q, 1, 3)
    assert ids(q) == [1, 2, 3, 4, 5] == drain(q)


def test_an_item_gains_a_step_exactly_at_the_threshold(make, clock):
    """boost = floor(age / threshold) * aging_boost; equal effective priorities go by id."""
    q = make(aging_threshold_seconds=100.0, aging_boost=2)
    put(q, 6)
    clock.pass_(99.999999)
    put(q, 5)
    assert ids(q) == [2, 1]
    clock.now = START + 100
    assert ids(q) == [1, 2]  # 6 has become 4
    clock.pass_(99)
    put(q, 4)
    assert ids(q) == [1, 3, 2]
    assert drain(q) == [1, 3, 2]


def test_the_boost_has_a_cap(make, clock):
    """With max_priority_boost 4 what began at 10 never overtakes new work at 5."""
    q = make()
    put(q, 10)
    clock.pass_(365 * 86400)
    put(q, 6, 5)
    assert drain(q) == [3, 1, 2]


def test_nothing_becomes_more_urgent_than_one(make, clock):
    """The effective priority never falls below 1, so the oldest of the most urgent is next."""
    q = make(max_priority_boost=9)
    put(q, 2, 1)
    clock.pass_(3000)
    put(q, 1)
    assert drain(q) == [1, 2, 3]


def test_aging_can_be_off(make, clock):
    """Without aging an old item stays behind a new one that is more urgent."""
    q = make(enable_aging=False)
    put(q, 6)
    clock.pass_(1e6)
    put(q, 5)
    assert q.age() == [] and drain(q) == [2, 1]


def test_a_clock_that_steps_back_cannot_break_a_lane(make, clock):
    """Within a lane the id decides, not the time; across lanes the heads are compared."""
    q = make()
    put(q, 9)
    clock.pass_(-100_000)
    put(q, 9, 6)
    clock.pass_(1500)  # item 2 is older by its time than its head, item 1, which is from tomorrow
    put(q, 6)
    assert ids(q) == [3, 4, 1, 2]
    assert drain(q) == [3, 4, 1, 2]


def test_under_the_manual_clock_order_changes_only_by_age(make, clock):
    """`age` moves the clock; before it nothing has aged; a dry run moves nothing."""
    q = make(aging_clock="manual")
    put(q, 6)
    clock.pass_(300)
    put(q, 5)
    assert ids(q) == [2, 1]
    seen = [(g.priority, g.effective, g.count, g.oldest_id) for g in q.age(dry_run=True)]
    assert seen == [(6, 5, 1, 1)] and ids(q) == [2, 1]
    assert q.age() == q.age(dry_run=True)
    assert ids(q) == [1, 2]
    clock.pass_(1e6)
    put(q, 5, 5)
    assert ids(q) == [1, 2, 3, 4]
    q.age(START)
    assert ids(q) == [2, 3, 4, 1]
    assert drain(q) == [2, 3, 4, 1]


def test_age_reports_what_is_pending_and_has_aged(make, clock):
    """Groups by base and effective priority; what is due counts, what is claimed does not."""
    q = make()
    put(q, 8, 8, 5)
    q.enqueue(b"", priority=9, delay=10)
    q.claim()
    clock.pass_(600)
    put(q, 8)
    report = [(g.priority, g.effective, g.count, g.oldest_id) for g in q.age()]
    assert report == [(8, 6, 2, 1), (9, 7, 1, 4)]
    later = [(g.priority, g.effective, g.count) for g in q.age(clock.now + 300)]
    assert later == [(8, 5, 2), (8, 7, 1), (9, 6, 1)]


@pytest.mark.parametrize("at", [math.nan, math.inf, -math.inf, 1e12])
def test_age_takes_only_a_time(make, at):
    """What no calendar holds is a UsageError and moves nothing."""
    q = make(aging_clock="manual")
    put(q, 5)
    with pytest.raises(UsageError):
        q.age(at)
    assert ids(q) == [1]


# -- claims --------------------------------------------------------------------


def test_a_claim_counts_an_attempt_and_has_a_lease(make):
    """Claiming makes the item active under a number of its own, for the lease."""
    q = make(lease=60.0)
    q.enqueue(b"x")
    item = q.claim()
    assert (item.state, item.attempts, item.claims, item.claim) == (State.ACTIVE, 1, 1, "1.1")
    assert item.lease_until == START + 60 and item.holder.since == START
    assert plain(q.get(1)) == plain(item)
    assert q.claim() is None
    q.release(item)
    assert q.claim(lease=5).lease_until == START + 5


@pytest.mark.parametrize("lease", [0, -1, math.nan, math.inf, 1e12])
def test_a_lease_is_a_positive_number_of_seconds(make, lease):
    """Any other lease is a UsageError, on claim and on renew, and nothing changes."""
    q = make()
    put(q, 5, 5)
    claim = q.claim()
    before = snapshot(q)
    with pytest.raises(UsageError):
        q.claim(lease=lease)
    with pytest.raises(UsageError):
        q.renew(claim, lease=lease)
    assert snapshot(q) == before


@pytest.mark.parametrize("bound", [True, False])
def test_both_queues_claim_alike(make, bound):
    """A program can be given either queue: claim takes the same arguments on both."""
    q = make()
    put(q, 5)
    assert q.claim(lease=1.0, bound=bound).id == 1


CLAIM_VERBS = ["done", "fail", "defer", "release", "renew"]


@pytest.mark.parametrize("verb", CLAIM_VERBS)
@pytest.mark.parametrize("form", ["item", "claim", "id", "text"])
def test_a_claim_is_named_in_every_form(make, verb, form):
    """The Item, `ID.N`, the id, and the id as text all name the claim."""
    q = make()
    put(q, 5, 5)
    item = q.claim()
    ref = {"item": item, "claim": item.claim, "id": 1, "text": "1"}[form]
    after = getattr(q, verb)(ref)
    assert after.id == 1 and q.claim().id == (1 if verb == "release" else 2)


def test_a_lane_is_in_order_whatever_limits_its_items_have(make):
    """Also where nothing ages: of one priority the lowest id comes first."""
    q = make(enable_aging=False)
    put(q, 5, 5)
    assert [q.claim().id, q.claim().id] == [1, 2]
    put(q, 5, limit="x")
    put(q, 5, 6)
    assert [q.claim().id for _ in range(3)] == [3, 4, 5]


def test_an_item_can_be_claimed_as_it_is_made(make):
    """Nobody else ever sees it wait, and its claim ends as any other."""
    q = make()
    q.enqueue(b"other", priority=1)
    item = q.commit_claimed(q.stage(b"own", Request()))
    assert (item.id, item.claim, item.state) == (2, "2.1", State.ACTIVE)
    assert q.payload(item) == b"own" and ids(q, State.ACTIVE) == [2]
    q.done(item)
    assert ids(q) == [1]


@pytest.mark.parametrize("verb", CLAIM_VERBS)
def test_a_stale_claim_is_refused_and_changes_nothing(make, clock, verb):
    """After the claim was taken away, no verb on it does anything to the new holder's work."""
    q = make()
    q.enqueue(b"x", key="k")
    stale = q.claim()
    clock.pass_(300)
    fresh = q.claim()
    assert (fresh.claim, stale.claim) == ("1.2", "1.1")
    before = snapshot(q)
    for ref in (stale, stale.claim, "1.3"):
        with pytest.raises(StaleClaimError):
            getattr(q, verb)(ref)
    assert snapshot(q) == before
    q.done(fresh)


@pytest.mark.parametrize("verb", CLAIM_VERBS)
@pytest.mark.parametrize("state", [s for s in State if s not in (State.ACTIVE, State.REMOVED)])
def test_what_is_not_claimed_cannot_be_ended(make, verb, state):
    """In every state but active the claim's verbs are refused and change nothing."""
    q = make(keep_done=60.0)
    in_state(q, state)
    before = snapshot(q)
    with pytest.raises(StaleClaimError, match=f"item 1 is {state}"):
        getattr(q, verb)(1)
    assert snapshot(q) == before


def in_state(q, state):
    """Bring item 1, the only one, into a state."""
    q.enqueue(b"x", delay=50 if state is State.DELAYED else None)
    if state is State.HELD:
        q.hold(1)
    if state in (State.ACTIVE, State.FAILED, State.DONE):
        claim = q.claim()
        if state is State.FAILED:
            q.fail(claim, dead=True)
        if state is State.DONE:
            q.done(claim)
    if state is State.REMOVED:
        q.remove(1)
    assert q.get(1).state is state


@pytest.mark.parametrize(
    "verb", [*CLAIM_VERBS, "get", "payload", "retry", "hold", "cancel", "change", "remove"]
)
def test_an_item_that_is_not_there_is_told(make, verb):
    """No such id is NoSuchItemError, what cannot be an item UsageError, for every verb."""
    q = make()
    q.enqueue(b"x")
    for ref in (99, "99", "99.1", -1, 10**17):
        with pytest.raises(NoSuchItemError):
            getattr(q, verb)(ref)
    for ref in ("", "x", "1.", ".1", "1.1.1", "-1", " 1", "١", "1" * 30):
        with pytest.raises(UsageError):
            getattr(q, verb)(ref)
    assert ids(q) == [1]


def test_done_ends_an_item(make):
    """A done item is gone; its claim is then of no item."""
    q = make()
    q.enqueue(b"x")
    item = q.claim()
    after = q.done(item)
    assert after.state is State.DONE and after.lease_until is None and after.holder is None
    assert len(q) == 0 and ids(q) == []
    with pytest.raises(NoSuchItemError):
        q.done(item)


def test_a_done_item_can_be_kept(make):
    """With keep_done it stays, payload and history included, and counts no more."""
    q = make(keep_done=60.0)
    q.enqueue(b"x")
    q.done(q.claim())
    kept = q.get(1)
    assert kept.state is State.DONE and kept.history[-1]["outcome"] == "done"
    assert q.payload(1) == b"x" and len(q) == 0
    with pytest.raises(StaleClaimError):
        q.done("1.1")


@pytest.mark.parametrize("keep_done", [0.0, 60.0])
def test_done_and_claim_is_both(make, keep_done):
    """What done and claim would do, one after the other, and the log tells both in that order."""
    q = make(keep_done=keep_done)
    put(q, 5, 5, 1)
    item = q.claim()
    for expected in (1, 2):
        item = q.done_and_claim(item, lease=7.0, bound=False, status=0)
        assert (item.id, item.claims, item.lease_until) == (expected, 1, item.updated_at + 7.0)
        assert plain(q.get(item.id)) == plain(item) and q.payload(item) == b"5"
    assert q.done_and_claim(item) is None and len(q) == 0
    told = [(event["event"], event["id"]) for event in q.log() if event["event"] != "enqueued"]
    one_after_the_other = [(what, number) for number in (3, 1, 2) for what in ("claimed", "done")]
    assert told == one_after_the_other


def test_done_and_claim_of_a_claim_that_was_lost_claims_nothing(make):
    """Whoever has lost it is told, and is not given work over which he would not hear of it."""
    q = make()
    put(q, 5, 5)
    item = q.claim()
    q.release(item)
    q.hold(1)
    with pytest.raises(StaleClaimError):
        q.done_and_claim(item)
    assert q.get(2).claims == 0
    q.remove(1)
    with pytest.raises((StaleClaimError, NoSuchItemError)):
        q.done_and_claim(item)
    assert q.get(2).claims == 0


@pytest.mark.parametrize(
    "wrong", [{"lease": 0}, {"lease": "1h"}, {"bound": 1}, {"later": None}], ids=str
)
def test_done_and_claim_with_what_is_no_argument_does_nothing(make, wrong):
    """It is refused before the item has ended."""
    q = make()
    put(q, 5, 5)
    item = q.claim()
    with pytest.raises(UsageError):
        q.done_and_claim(item, **wrong)
    assert [(i.id, i.claims) for i in q.items()] == [(1, 1), (2, 0)]


def test_done_and_claim_while_paused_ends_the_item(make):
    """What has begun may end, and nothing begins."""
    q = make()
    put(q, 5, 5)
    item = q.claim()
    q.pause()
    assert q.done_and_claim(item) is None
    assert ids(q) == [2] and q.get(2).claims == 0


def test_done_and_claim_takes_the_slot_that_it_gave_back(make):
    """The limit counts those at work, and one of them has just ended."""
    q = make(limits={"api": 1})
    for _ in range(2):
        q.enqueue(b"x", limit="api")
    assert q.done_and_claim(q.claim()).id == 2


def test_done_and_claim_may_claim_what_came_after(make):
    """What waited for the item waits no longer."""
    q = make()
    q.enqueue(b"x")
    q.enqueue(b"y", after=[1])
    assert q.done_and_claim(q.claim()).id == 2


def test_a_failed_attempt_waits_longer_each_time(make, clock):
    """backoff * factor^(n-1), at most max_backoff; then pending again in its old place."""
    q = make(backoff=10.0, backoff_factor=3.0, max_backoff=50.0, max_attempts=9)
    put(q, 5)
    for number, wait in enumerate([10, 30, 50, 50], 1):
        after = q.fail(q.claim(), f"no {number}")
        assert (after.state, after.attempts) == (State.DELAYED, number)
        assert after.not_before == clock.now + wait and after.last_error == f"no {number}"
        clock.pass_(wait - 0.000001)
        assert q.claim() is None
        clock.pass_(0.000001)
        clock.now = round(clock.now, 6)
    assert [e["error"] for e in q.claim().history] == ["no 1", "no 2", "no 3", "no 4"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_jitter_takes_off_up_to_a_tenth(tmp_path, clock, backend):
    """What failed together does not come back together: the wait is 90 to 100 per cent."""
    q = make_queue(backend, tmp_path, clock, jitter=lambda: 0.5, backoff=100.0)
    put(q, 5)
    assert q.fail(q.claim()).not_before == START + 95


def test_at_max_attempts_an_item_is_a_dead_letter(make, clock):
    """The last attempt that fails makes it failed; it is not served again."""
    q = make(max_attempts=2, backoff=1.0)
    put(q, 5)
    q.fail(q.claim(), "one")
    clock.pass_(1)
    after = q.fail(q.claim(), "two")
    assert (after.state, after.attempts, after.last_error) == (State.FAILED, 2, "two")
    assert after.not_before is None and len(q) == 0
    clock.pass_(1e6)
    assert q.claim() is None and ids(q, State.FAILED) == [1]


def test_dead_fails_at_once(make):
    """`dead=True` spends no further attempts; without an error the last one stays."""
    q = make()
    put(q, 5)
    assert q.fail(q.claim(), "no hope", dead=True).state is State.FAILED
    q.retry(1)
    assert q.fail(q.claim(), dead=True).last_error == "no hope"


def test_an_endless_error_is_cut(make):
    """At most 2000 characters are kept, and the cut shows."""
    q = make()
    put(q, 5)
    kept = q.fail(q.claim(), "x" * 5000 + "\udcff").last_error
    assert len(kept) == 2000 and kept.endswith("x…") and q.get(1).last_error == kept


def test_errors_of_any_characters_are_kept(make):
    """Control characters, lone surrogates and NUL in an error come back as they were."""
    q = make()
    put(q, 5)
    text = "a\0b\x1b[31m\n\udcff\U0001f4a5"
    q.fail(q.claim(), text)
    assert q.get(1).last_error == text


def test_deferring_is_uncounted_and_waits_longer_in_a_row(make, clock):
    """Each deferral in a row doubles the wait; another outcome starts it anew."""
    q = make(backoff=10.0, max_attempts=1)
    put(q, 5)
    for wait in (10, 20, 40):
        after = q.defer(q.claim(), "later")
        assert (after.state, after.attempts) == (State.DELAYED, 0)
        assert after.not_before == clock.now + wait
        clock.pass_(wait)
    q.fail(q.claim(), dead=True)
    q.retry(1)
    assert q.defer(q.claim()).not_before == clock.now + 10
    assert q.get(1).claims == 5


def test_a_released_item_is_uncounted_and_in_its_old_place(make):
    """release gives the attempt back, keeps the place, and leaves no trace in the history."""
    q = make()
    put(q, 5, 5)
    item = q.claim()
    after = q.release(item)
    assert (after.state, after.attempts, after.history) == (State.PENDING, 0, ())
    assert after.lease_until is None and after.holder is None
    again = q.claim()
    assert (again.id, again.attempts, again.claim) == (1, 1, "1.2")


def test_only_the_latest_history_is_kept(make):
    """Twenty attempts are remembered, the oldest dropped first."""
    q = make(backoff=0.0, max_attempts=100)
    put(q, 5)
    for number in range(25):
        q.fail(q.claim(), str(number))
    assert [e["error"] for e in q.get(1).history] == [str(n) for n in range(5, 25)]


def test_an_expired_lease_gives_the_item_back(make, clock):
    """At the lease's end, not before, the next one to ask gets it; the attempt counts."""
    q = make()
    put(q, 5, 5)
    q.claim()
    q.claim()
    clock.pass_(299.999999)
    assert q.claim() is None
    clock.now = START + 300
    item = q.claim()
    assert (item.id, item.attempts, item.claim) == (1, 2, "1.2")
    assert "lease ran out" in item.last_error and item.history[-1]["outcome"] == "lost"
    assert q.get(2).state is State.PENDING


def test_leases_do_not_spend_more_than_max_attempts(make, clock):
    """When the last attempt's lease is over the item has failed."""
    q = make(max_attempts=1)
    put(q, 5)
    q.claim(lease=10)
    clock.pass_(10)
    assert q.claim() is None
    assert q.get(1).state is State.FAILED and "lease ran out" in q.get(1).last_error


def test_an_expired_claim_that_nobody_missed_may_still_end(make, clock):
    """Until somebody asks for work the late worker can still say done."""
    q = make()
    put(q, 5)
    claim = q.claim()
    clock.pass_(10_000)
    assert q.done(claim).state is State.DONE and len(q) == 0


def test_renewing_prolongs_a_claim(make, clock):
    """A renewed claim holds from the renewal on, for the lease or the time given."""
    q = make()
    put(q, 5)
    claim = q.claim()
    clock.pass_(200)
    after = q.renew(claim)
    assert after.lease_until == START + 500 and after.claim == claim.claim
    clock.pass_(299)
    assert q.claim() is None
    q.renew(claim, lease=2)
    clock.pass_(2)
    assert q.claim().claim == "1.2"


def test_a_claim_can_be_cut_short_by_renewing(make, clock):
    """renew sets the end, also to an earlier one, and that end is kept."""
    q = make()
    put(q, 5)
    q.renew(q.claim(), lease=1)
    clock.pass_(1)
    assert q.claim().claim == "1.2"


# -- delayed -------------------------------------------------------------------


def test_a_delayed_item_comes_due(make, clock):
    """Not before its time, to the microsecond; then in its place by id."""
    q = make()
    q.enqueue(b"late", delay=10.5)
    q.enqueue(b"at", at=START + 10.25)
    put(q, 5)
    assert ids(q, State.DELAYED) == [2, 1] and ids(q, State.PENDING) == [3]
    clock.now = START + 10.249999
    assert ids(q, State.PENDING) == [3]
    clock.now = START + 10.25
    assert ids(q) == [2, 3, 1]
    clock.now = START + 10.5
    assert ids(q) == [1, 2, 3]
    assert drain(q) == [1, 2, 3]


def test_what_is_due_in_the_present_second_is_not_forgotten(make, clock):
    """A look within the second before one is due does not hide it after."""
    q = make()
    for part in (0.2, 0.4, 0.6, 0.8):
        q.enqueue(b"", delay=part)
    served = []
    for part in (0.1, 0.3, 0.5, 0.7, 0.9):
        clock.now = START + part
        served.append(drain(q))
    assert served == [[], [1], [2], [3], [4]]


def test_what_is_due_far_away_holds_up_nothing(make, clock):
    """Items due in other centuries do not hide those due soon, in any order of arrival."""
    q = make()
    q.enqueue(b"", at=100_000_000_000.0)
    q.enqueue(b"", delay=10)
    q.enqueue(b"", at=10_000_000_000.0)
    assert ids(q, State.DELAYED) == [2, 3, 1]
    clock.pass_(10)
    assert ids(q, State.PENDING) == [2]
    assert q.claim().id == 2 and q.claim() is None
    clock.now = 30_000_000_000.0
    assert q.claim(lease=1e9).id == 2 and q.claim().id == 3 and q.claim() is None


def test_what_was_due_before_it_came_is_pending(make):
    """A time that has passed, now, or no delay at all: pending at once."""
    q = make()
    made = [q.enqueue(b"", at=START - 1), q.enqueue(b"", at=START), q.enqueue(b"", delay=0)]
    assert [(i.state, i.not_before) for i in made] == [(State.PENDING, None)] * 3
    assert q.enqueue(b"", at=0).state is State.PENDING


# -- changes by people ---------------------------------------------------------


@pytest.mark.parametrize("state", [State.FAILED, State.HELD, State.DELAYED])
def test_retry_keeps_id_place_and_history(make, state):
    """A retried item is pending in its old place, its attempts reset, its history kept."""
    q = make(keep_done=60.0)
    put(q, 5, 5, 5)
    claim = q.claim()
    q.fail(claim, "no", dead=state is State.FAILED)
    if state is State.HELD:
        q.hold(1)
    assert q.get(1).state is state
    after = q.retry(1)
    assert (after.state, after.attempts, after.last_error) == (State.PENDING, 0, "no")
    assert len(after.history) == 1 and after.not_before is None
    assert ids(q) == [1, 2, 3]
    assert q.claim().claim == "1.2"


@pytest.mark.parametrize("state", [State.PENDING, State.ACTIVE, State.DONE])
def test_only_what_waits_or_failed_is_retried(make, state):
    """retry of anything else is a ConflictError and changes nothing."""
    q = make(keep_done=60.0)
    in_state(q, state)
    before = snapshot(q)
    with pytest.raises(ConflictError, match=f"item 1 is {state}"):
        q.retry(1)
    assert snapshot(q) == before


def test_retry_can_change_the_lane(make):
    """retry with a priority puts it into that lane, by id; a bad one is refused."""
    q = make()
    put(q, 5, 2)
    q.hold(1)
    for bad in (0, 11, True):
        with pytest.raises(UsageError):
            q.retry(1, priority=bad)
    assert q.get(1).state is State.HELD
    assert q.retry(1, priority=2).priority == 2
    assert drain(q) == [1, 2]


def test_a_held_item_is_not_served(make, clock):
    """hold takes a pending or delayed item out until retry; holding twice is once."""
    q = make()
    put(q, 5)
    q.enqueue(b"", delay=5)
    first, second = q.hold(1), q.hold(2)
    assert (first.state, second.state, second.not_before) == (State.HELD, State.HELD, None)
    clock.pass_(10)
    assert plain(q.hold(1)) == plain(first)
    assert q.claim() is None and ids(q, State.HELD) == [1, 2] and len(q) == 2


@pytest.mark.parametrize("state", [State.ACTIVE, State.FAILED, State.DONE])
def test_only_what_waits_can_be_held(make, state):
    """hold of anything else is a ConflictError and changes nothing."""
    q = make(keep_done=60.0)
    in_state(q, state)
    before = snapshot(q)
    with pytest.raises(ConflictError, match=f"item 1 is {state}"):
        q.hold(1)
    assert snapshot(q) == before


@pytest.mark.parametrize("state", [State.ACTIVE, State.PENDING, State.DELAYED, State.HELD])
def test_what_is_cancelled_has_failed_and_says_by_whom(make, state):
    """cancel: nobody works on the item, now or later; whoever did has no claim any more."""
    q = make()
    in_state(q, state)
    claimed = q.get(1)
    after = q.cancel(1, by="ann")
    assert (after.state, after.last_error, after.not_before) == (
        State.FAILED, "cancelled by ann", None,
    )  # fmt: skip
    assert plain(q.get(1)) == plain(after) and q.claim() is None
    assert list(q.log())[-1].items() >= {"event": "cancelled", "error": "cancelled by ann"}.items()
    if state is State.ACTIVE:
        assert q.lost([claimed]) == [claimed]
        assert [entry["outcome"] for entry in after.history] == ["cancelled"]
        with pytest.raises(StaleClaimError):
            q.done(claimed)
    assert q.retry(1).state is State.PENDING


@pytest.mark.parametrize("state", [State.ACTIVE, State.PENDING, State.DELAYED, State.HELD])
def test_what_is_cancelled_can_be_held_or_removed_instead(make, state):
    """cancel(hold=True) and cancel(remove=True) end a claim, too; `restore` brings back."""
    q = make()
    in_state(q, state)
    claimed = q.get(1)
    assert q.cancel(1, hold=True).state is q.get(1).state is State.HELD
    q.retry(1)
    claimed = q.claim() if state is State.ACTIVE else claimed
    assert q.cancel(1, remove=True).state is q.get(1).state is State.REMOVED
    assert q.lost([claimed]) == [claimed] or state is not State.ACTIVE
    back = State.FAILED if state is State.ACTIVE else State.PENDING
    assert q.restore(1).state is back


@pytest.mark.parametrize("state", [State.FAILED, State.DONE, State.REMOVED])
def test_only_what_lives_can_be_cancelled(make, state):
    """cancel of what has ended is a ConflictError and changes nothing; so is hold with remove."""
    q = make(keep_done=60.0)
    in_state(q, state)
    before = snapshot(q)
    with pytest.raises(ConflictError, match=f"item 1 is {state}"):
        q.cancel(1)
    with pytest.raises(UsageError, match="exclude each other"):
        q.cancel(1, hold=True, remove=True)
    assert snapshot(q) == before


def test_a_claim_is_lost_when_it_has_ended_and_no_sooner(make, clock):
    """lost tells it of every end that another may bring about, and of the next claim."""
    q = make(lease=10.0)
    put(q, 5, 5, 5, 5, 5)
    claims = [q.claim() for _ in range(5)]
    assert q.lost([]) == q.lost(claims) == []
    q.release(claims[0])
    q.fail(claims[1], dead=True)
    q.done(claims[2])
    q.renew(claims[3])
    assert q.lost(claims) == claims[:3]
    assert q.claim().id == 1 and q.lost(claims) == claims[:3]
    clock.pass_(11)
    q.claim()
    assert q.lost(claims) == claims


def test_a_changed_priority_moves_the_item_to_its_place_in_the_lane(make):
    """The new lane is ordered by id as ever; id, age and payload stay."""
    q = make(enable_aging=False)
    put(q, 5, 2, 5, 2)
    after = q.change(3, priority=2)
    assert (after.priority, after.created_at) == (2, START)
    assert ids(q) == [2, 3, 4, 1] == drain(q)


@pytest.mark.parametrize("state", (*LIVE, State.FAILED))
def test_a_priority_changes_in_any_state_but_done(make, state):
    """It changes in place: the state, the claim and the due time stay."""
    q = make()
    in_state(q, state)
    before = q.get(1)
    after = q.change("1", priority=9)
    assert (after.priority, after.state, after.claim) == (9, state, before.claim)
    assert after.not_before == before.not_before and plain(q.get(1)) == plain(after)
    if state is State.ACTIVE:
        assert q.release(after).priority == 9 and q.claim().priority == 9


def test_a_due_time_can_be_moved(make, clock):
    """Later, earlier, or to now; a pending item becomes delayed and the other way round."""
    q = make()
    put(q, 5)
    assert q.change(1, delay=10).not_before == START + 10
    assert q.claim() is None
    assert q.change(1, at=START + 5, priority=3).not_before == START + 5
    clock.pass_(5)
    assert [i.state for i in q.items()] == [State.PENDING]
    assert q.change(1, delay=0).state is State.PENDING
    assert q.claim().priority == 3


@pytest.mark.parametrize("state", [State.ACTIVE, State.HELD, State.FAILED, State.DONE])
def test_only_what_waits_can_be_delayed(make, state):
    """A due time for anything else is a ConflictError and changes nothing."""
    q = make(keep_done=60.0)
    in_state(q, state)
    before = snapshot(q)
    with pytest.raises(ConflictError, match=f"item 1 is {state}"):
        q.change(1, delay=5)
    if state is State.DONE:
        with pytest.raises(ConflictError):
            q.change(1, priority=5)
    assert snapshot(q) == before


@pytest.mark.parametrize(
    "fields", [{"priority": 0}, {"delay": -1}, {"delay": 1, "at": 1}, {"at": math.inf}]
)
def test_a_bad_change_is_refused(make, fields):
    """The same ranges as on enqueue."""
    q = make()
    put(q, 5)
    before = snapshot(q)
    with pytest.raises(UsageError):
        q.change(1, **fields)
    assert snapshot(q) == before


@pytest.mark.parametrize("state", [s for s in State if s not in (State.ACTIVE, State.REMOVED)])
def test_a_removed_item_is_gone(make, state):
    """It counts no more and is not served, and no verb but restore touches it."""
    q = make(keep_done=60.0)
    in_state(q, state)
    wrong = State.FAILED if state is not State.FAILED else State.DONE
    before = snapshot(q)
    with pytest.raises(ConflictError):
        q.remove(1, state=wrong)
    assert snapshot(q) == before
    gone = q.remove(1, state=state)
    assert (gone.state, gone.was) == (State.REMOVED, state)
    assert snapshot(q) == [] and len(q) == 0 and q.claim() is None
    assert plain(q.get(1)) == plain(next(q.items([State.REMOVED]))) == plain(gone)
    for verb in (q.remove, q.retry, q.hold, lambda ref: q.change(ref, priority=1)):
        with pytest.raises(ConflictError, match="removed"):
            verb(1)
    with pytest.raises(StaleClaimError):
        q.done(1)
    assert q.enqueue(b"").id == 2
    q.remove(2)
    assert plain(q.restore(1)) == before[0][0] and snapshot(q) == before
    with pytest.raises(ConflictError):
        q.restore(1)


def test_a_key_is_free_while_its_item_is_removed(make):
    """Another item may take it, and then the first cannot come back."""
    q = make()
    q.enqueue(b"a", key="k")
    q.remove(1)
    assert q.enqueue(b"b", key="k").id == 2
    with pytest.raises(KeyTakenError):
        q.restore(1)
    q.remove(2)
    assert q.restore(1).key == "k" and q.enqueue(b"c", key="k").id == 1


def test_removed_items_go_for_good(make, clock):
    """Each removal is known apart, the latest first; after `keep_removed` it is gone."""
    q = make(keep_removed=60.0)
    put(q, 5, 5, 5, 5)
    until = q.removal()
    for ref in (1, 2):
        q.remove(ref, kept_until=until)
    q.remove(3)
    assert [numbers for _, numbers in q.removed()] == [[3], [1, 2]]
    clock.pass_(60)
    q.remove(4)
    assert [numbers for _, numbers in q.removed()] == [[4], [3]]
    with pytest.raises(NoSuchItemError):
        q.get(1)
    assert sum(q.expire()) == 2 and list(q.removed()) == []
    with pytest.raises(NoSuchItemError):
        q.restore(4)


def test_nothing_need_be_kept(make):
    """With `keep_removed = 0` a removed item is gone at once."""
    q = make(keep_removed=0.0)
    put(q, 5)
    assert q.remove(1).state is State.PENDING and list(q.removed()) == []
    with pytest.raises(NoSuchItemError):
        q.get(1)


def test_what_somebody_works_on_is_not_removed(make):
    """remove of an active item is a ConflictError and the claim goes on."""
    q = make()
    in_state(q, State.ACTIVE)
    with pytest.raises(ConflictError, match="active"):
        q.remove(1)
    q.done("1.1")


# -- looking -------------------------------------------------------------------


def everything(q):
    """Fill a queue with items in every state; return their ids in listing order."""
    put(q, 5, 5, 5, 5, 5, 5, 3)
    q.done(q.claim())  # 7
    q.fail(q.claim(), dead=True)  # 1
    q.claim()  # 2
    q.hold(3)
    q.change(4, delay=20)
    q.change(5, delay=10)
    put(q, 1)
    return [2, 8, 6, 5, 4, 3, 1, 7]


def test_items_come_as_they_would_be_served(make):
    """Active, pending in serving order, delayed by due time, held, failed, done."""
    q = make(keep_done=60.0)
    assert everything(q) == ids(q)


def test_items_can_be_asked_for_by_state(make):
    """Any iterable of states; the order of listing stays."""
    q = make(keep_done=60.0)
    everything(q)
    wanted = [State.DONE, State.ACTIVE, State.HELD]
    assert ids(q, *wanted) == [2, 3, 7]
    assert [i.id for i in q.items(iter(wanted))] == [2, 3, 7]
    assert list(q.items([])) == []


def test_looking_changes_nothing(make, clock):
    """A due item, an expired lease: listing shows them as they are and moves neither."""
    q = make()
    q.enqueue(b"", delay=1)
    put(q, 5)
    q.claim(lease=1)
    clock.pass_(100)
    first = snapshot(q)
    assert [p["state"] for p, _ in first] == [State.ACTIVE, State.PENDING]
    assert snapshot(q) == first and q.get(1).state is State.DELAYED and len(q) == 2


def test_changes_wait_for_nobody_who_is_listing(make):
    """While a listing is half read, the queue can be changed, by the reader too."""
    q = make()
    put(q, *range(1, 11))
    listed = []
    for item in q.items():
        listed.append(item.id)
        if item.state is State.PENDING:
            q.hold(item)
    assert listed[0] == 1 and set(ids(q, State.HELD)) == set(listed)


# -- what somebody types ---------------------------------------------------------


def test_ids_and_claims_are_suggested_by_how_they_begin(make):
    """State after state, as asked for; an active item by its claim; no more than wanted."""
    q = make()
    put(q, *[5] * 12)
    q.claim()
    q.hold(11)
    q.remove(12)
    q.enqueue(b"", delay=60)
    wanted = [State.ACTIVE, State.HELD, State.REMOVED, State.PENDING, State.DELAYED]
    assert [item.id for item in q.suggest(wanted, "1")] == [1, 11, 12, 10, 13]
    assert [item.claim for item in q.suggest([State.ACTIVE], "1.")] == ["1.1"]
    assert q.suggest([State.ACTIVE], "2") == q.suggest(None, "14") == q.suggest(None, "x") == []
    assert {item.id for item in q.suggest(None, "")} == set(range(1, 14))
    assert len(q.suggest(None, "", 3)) == 3 and q.suggest(None, "", 0) == []


def test_keys_are_suggested_by_how_they_begin(make):
    """Only those of live items, sorted, as they were given; no more than wanted."""
    q = make()
    for key in ("b", "a b", "a%", "ä", "over"):
        q.enqueue(b"", key=key)
    q.remove(5)
    assert q.suggest_keys("") == ["a b", "a%", "b", "ä"]
    assert q.suggest_keys("a") == ["a b", "a%"] and q.suggest_keys("a", 1) == ["a b"]
    assert q.suggest_keys("ov") == q.suggest_keys("\udcff") == []


# -- what commands ask of any queue ----------------------------------------------


def test_a_batch_tells_what_came_in_what_was_there_and_what_stopped_it(make):
    """`commit` gives items up to the one that failed; those whose key was taken are told apart."""
    q = make(max_items=2)
    q.enqueue(b"old", key="k")
    batch = [q.stage(b"%d" % n, Request(key=key)) for n, key in enumerate(["k", None, None, None])]
    admitted = q.commit(batch)
    assert [item.id for item in admitted.items] == [1, 2]
    assert [item.id for item in admitted.found] == [1] and admitted.found[0].claim is None
    assert isinstance(admitted.error, QueueFullError) and len(q) == 2
    admitted = q.commit([q.stage(b"", Request(key="k"))])
    assert (admitted.error, [item.id for item in admitted.found]) == (None, [1])


def test_a_payload_can_be_given_to_programs_as_a_file(make):
    """`file_of` has a descriptor and a name under which others find the very bytes meanwhile."""
    q = make()
    q.enqueue(b"\0abc\n" * 1000)
    item = q.claim()
    with q.file_of(item) as file:
        assert os.fstat(file.fileno()).st_size == item.size
        with open(file.name, "rb") as other:
            assert other.read() == file.read() == q.payload(item)
    with pytest.raises(NoSuchItemError):
        q.file_of(7)


def test_the_backlog_is_what_would_be_served(make, clock):
    """Ids by lane, ascending, what is due among them; how many are not, and when the first is."""
    q = make()
    put(q, 5, 1, 5)
    q.enqueue(b"", priority=1, delay=10)
    q.enqueue(b"", priority=3, delay=30)
    q.enqueue(b"", priority=3, delay=20)
    q.hold(1)
    clock.pass_(15)
    backlog = q.backlog()
    lanes = {lane: list(found) for lane, found in backlog.lanes.items()}
    assert lanes == {(1, ""): [2, 4], (5, ""): [3]}
    assert (backlog.delayed, backlog.next_due) == (2, START + 20)
    assert backlog.created_in((1, ""))(4) == START


def test_what_an_attempt_wrote_is_kept_as_long_as_its_item(make):
    """`keep_log` is fenced; each attempt has its own; the oldest goes; none is left of an item."""
    q = make(max_attempts=100, backoff=0.0)
    q.enqueue(b"x")
    for _ in range(MAX_HISTORY + 2):
        item = q.claim()
        q.keep_log(item, 7, b"words\xff")
        q.fail(item)
    with pytest.raises(StaleClaimError):
        q.keep_log(item, 0, b"")
    logs = q.attempt_logs(item)
    assert list(logs) == list(range(3, MAX_HISTORY + 3))
    with q.open_log(item, 5) as log:
        head, _, output = log.read().partition(b"\n")
    assert b'"exit":7' in head.replace(b" ", b"") and output == b"words\xff"
    assert logs[5].endswith(("1.5", "5.log"))
    with pytest.raises(FileNotFoundError):
        q.open_log(item, 1)
    q.done(q.claim())
    assert q.attempt_logs(item) == {}


def test_people_name_items_by_id_or_claim_and_nothing_else_is_guessed(make):
    """`reference` takes an id or a claim; what is no path in this queue is refused."""
    q = make()
    q.enqueue(b"")
    item = q.claim()
    assert (q.reference("1"), q.reference(item.claim)) == ("1", "1.1")
    for text in ("x", "", "/nowhere/0000000001"):
        with pytest.raises(UsageError):
            q.reference(text)


def test_a_queue_says_what_it_is_called_and_what_it_lies_on(make):
    """`where` is for messages; `facts` have a name, a value, and what is wrong if anything is."""
    q = make()
    assert q.where and q.quarantined() == 0 and q.now() == START
    assert all(fact.name and fact.value for fact in q.facts())


# -- to and from other queues ----------------------------------------------------


def arrive(q, *names, realm="elsewhere", **fields):
    """Let an item enter for each name, in one batch; return what became of each."""
    with q.arrivals() as arrivals:
        for number, name in enumerate(names):
            received = arrivals.receive(io.BytesIO(name.encode()))
            item = Item(id=number, state=State.PENDING, priority=4, created_at=START - 60,
                        updated_at=START, max_attempts=3, claims=5, **fields)  # fmt: skip
            arrivals.add(received, item, Origin(realm=realm, name=name))
        return arrivals.commit()


def test_items_enter_with_their_past_and_are_remembered(make):
    """In order, with new ids, unclaimed; `taken` knows their names, by realm."""
    q = make()
    q.enqueue(b"")
    first, second = arrive(q, "a", "b", attempts=2, last_error="x")
    assert (first.id, second.id, first.claims, first.attempts) == (2, 3, 0, 2)
    assert (q.get(2).created_at, q.get(2).last_error, q.payload(3)) == (START - 60, "x", b"b")
    assert q.get(2).extra["origin"] == {"realm": "elsewhere", "name": "a"}
    assert sorted(q.taken("elsewhere")) == sorted([digest("a"), digest("b")])
    assert list(q.taken("other")) == []
    assert [event["event"] for event in q.log()].count("imported") == 2


def test_what_may_not_enter_is_told_and_may_come_again(make):
    """A taken key and a full queue refuse one item each; neither is remembered as taken."""
    q = make(max_items=2)
    q.enqueue(b"", key="k")
    (refused,) = arrive(q, "a", key="k")
    assert isinstance(refused, KeyTakenError)
    entered, full = arrive(q, "b", "c")
    assert entered.id and isinstance(full, QueueFullError)
    assert list(q.taken("elsewhere")) == [digest("b")] and len(q) == 2


def test_what_was_not_committed_has_not_entered(make):
    """An import that ends before its commit leaves nothing, and the next one goes on."""
    q = make()
    with pytest.raises(RuntimeError), q.arrivals() as arrivals:
        arrivals.describe("elsewhere", "plain")
        item = Item(id=0, state=State.PENDING, priority=4, created_at=START, updated_at=START,
                    max_attempts=3)  # fmt: skip
        origin = Origin(realm="elsewhere", name="a")
        arrivals.add(arrivals.receive(io.BytesIO(b"x")), item, origin)
        arrivals.discard(arrivals.receive(io.BytesIO(b"y")))
        raise RuntimeError
    assert snapshot(q) == [] and list(q.taken("elsewhere")) == []
    assert q.reader_of("elsewhere") == "plain" and q.reader_of("other") is None
    assert [item.id for item in arrive(q, "a")] == [1]


def test_a_payload_that_comes_in_says_its_size_and_checksum(make):
    """So a stream that was damaged on its way is known before its item enters."""
    with make().arrivals() as arrivals:
        received = arrivals.receive(io.BytesIO(b"payload"))
        assert (received.size, received.checksum) == (7, "crc32:422c6a15")
        assert not arrivals.full


def test_what_leaves_is_held_until_it_has_left(make):
    """`mark` holds what waits, and gives it as it is to arrive; `put_back` undoes that."""
    q = make()
    put(q, 5, 5, 5, 5)
    q.enqueue(b"", delay=60)
    q.fail(q.claim(), dead=True)
    claim = q.claim()
    before = {item.id: (item.state, item.not_before) for item in q.items()}
    departures = q.departures()
    marked = departures.mark([1, 2, 3, 5, 9])
    assert [(i.id, i.state) for i in marked] == [
        (1, State.FAILED), (3, State.PENDING), (5, State.DELAYED)]  # fmt: skip
    assert ids(q, State.HELD) == [3, 5] and ids(q, State.FAILED) == [1]
    assert departures.marked(3).state is State.HELD
    with pytest.raises(ConflictError, match="put back to work"):
        departures.marked(4)
    q.departures().put_back([3])
    assert q.get(3).state is State.HELD
    departures.put_back([1, 3, 5])
    assert {item.id: (item.state, item.not_before) for item in q.items()} == before
    assert "leaving" not in q.get(3).extra
    q.done(claim)


def test_the_later_of_two_exports_decides(make):
    """It takes over what the earlier one has marked, which then may neither remove nor put back."""
    q = make()
    put(q, 5)
    earlier, later = q.departures(), q.departures()
    earlier.mark([1])
    later.mark([1])
    with pytest.raises(ConflictError, match="another pq export"):
        earlier.marked(1)
    later.put_back([1])
    assert q.get(1).state is State.PENDING


def test_a_queue_is_told_from_all_others_for_ever(make):
    """`uuid` is letters and digits, the same at every look, also once something has left."""
    q = make()
    put(q, 5)
    uuid = q.uuid()
    q.departures().mark([1])
    assert q.uuid() == uuid and uuid.isalnum() and len(uuid) <= 64
