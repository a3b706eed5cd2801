"""Items that come after others: the same in memory, on disk and in a database."""

from __future__ import annotations

import json
from unittest.mock import patch

import pytest
from queues import drain
from support import Pq

from pq_cli import (
    KeyTakenError,
    NoSuchItemError,
    QueueFullError,
    Request,
    Spool,
    StaleClaimError,
    State,
    UsageError,
)
from pq_cli.core.transitions import told


def states(q, *items):
    """Return the states of items, as words."""
    return [str(q.get(item.id).state) for item in items]


def work(q, item):
    """Claim the next item, which must be this one."""
    claim = q.claim()
    assert claim is not None and claim.id == item.id
    return claim


def end_badly(q, item, way):
    """Let an item that is next end otherwise than done."""
    if way == "failed":
        q.fail(work(q, item), "HTTP 500", dead=True)
    elif way == "lost":
        q.release(work(q, item))
        for _ in range(q.config.max_attempts):
            q.fail(work(q, item), "no")
    elif way == "cancelled":
        q.cancel(item)
    else:
        q.remove(item)


BAD = ("failed", "lost", "cancelled", "removed")


def test_an_item_waits_until_those_before_it_are_done(make):
    """It is held, whatever else is done, and in its place by id once the last of them is."""
    q = make(keep_done=0.0)
    a, b = q.enqueue(b"a"), q.enqueue(b"b")
    c = q.enqueue(b"c", after=[a, str(b.id)])
    d = q.enqueue(b"d")
    assert (c.state, c.after, c.if_failed) == (State.HELD, (a.id, b.id), "fail")
    assert q.followers(a) == q.followers(b) == [c.id]
    q.done(work(q, a))
    assert (q.get(c.id).state, q.get(c.id).after) == (State.HELD, (b.id,))
    q.done(work(q, b))
    assert (q.get(c.id).state, q.get(c.id).after) == (State.PENDING, ())
    assert drain(q) == [c.id, d.id]
    assert q.followers(a) == q.followers(b) == []


def test_what_is_kept_when_done_counts_as_done(make):
    """Also with keep_done, and when what was done is removed."""
    q = make(keep_done=60.0)
    a = q.enqueue(b"a")
    b = q.enqueue(b"b", after=[a])
    q.done(work(q, a))
    assert states(q, b) == ["pending"]
    q.remove(a)
    assert q.enqueue(b"c", after=[a]).state is State.PENDING


@pytest.mark.parametrize("way", BAD)
@pytest.mark.parametrize(
    ("rule", "state"), [(None, "failed"), ("fail", "failed"), ("hold", "held"), ("run", "pending")]
)
def test_one_that_ends_otherwise_is_dealt_with_as_asked(make, way, rule, state):
    """Failed with a reason, held with the same, or served all the same: at once, or when it comes.

    (When it comes only after, the same holds.)
    """
    q = make(max_attempts=1)
    a = q.enqueue(b"a", priority=1)
    b = q.enqueue(b"b", after=[a], if_failed=rule)
    end_badly(q, a, way)
    why = (
        None if rule == "run" else f"item {a.id} {'was removed' if way == 'removed' else 'failed'}"
    )
    late = q.enqueue(b"late", after=[a], if_failed=rule)
    for item in (q.get(b.id), late):
        assert (str(item.state), item.last_error) == (state, why)
    assert late.after == (() if rule == "run" else (a.id,))


def test_failure_goes_down_the_line_and_a_retry_brings_it_back(make):
    """All behind the first fail, each for the one before it; after its retry they wait again."""
    q = make()
    a = q.enqueue(b"a")
    b = q.enqueue(b"b", after=[a])
    c = q.enqueue(b"c", after=[b])
    d = q.enqueue(b"d", after=[c, a])
    q.fail(work(q, a), "no", dead=True)
    assert states(q, a, b, c, d) == ["failed"] * 4
    assert q.get(c.id).last_error == f"item {b.id} failed"
    q.retry(a)
    assert states(q, a, b, c, d) == ["pending", "held", "held", "held"]
    assert q.get(c.id).last_error is None
    assert drain(q) == [a.id, b.id, c.id, d.id]


def test_retry_brings_back_only_what_failed_because_of_it(make):
    """Neither what was cancelled, nor what failed by itself, nor what another one keeps failed."""
    q = make()
    a, other = q.enqueue(b"a"), q.enqueue(b"other")
    cancelled = q.enqueue(b"x", after=[a])
    both = q.enqueue(b"y", after=[a, other])
    forced = q.enqueue(b"z", after=[a])
    q.cancel(cancelled)
    q.retry(forced)
    q.fail(work(q, a), dead=True)
    q.fail(work(q, other), dead=True)
    q.fail(work(q, forced), "its own", dead=True)
    q.retry(a)
    assert states(q, cancelled, both, forced) == ["failed"] * 3
    assert q.get(both.id).last_error == f"item {other.id} failed"
    q.retry(other)
    assert states(q, cancelled, both, forced) == ["failed", "held", "failed"]


def test_one_that_ended_before_is_known_by_the_log(make):
    """Of what is gone the log says how it ended; of what nobody knows nothing is queued."""
    q = make(keep_removed=0.0)
    done, removed = q.enqueue(b"a"), q.enqueue(b"b")
    q.done(work(q, done))
    q.remove(removed)
    assert q.enqueue(b"c", after=[done]).state is State.PENDING
    failed = q.enqueue(b"d", after=[removed])
    assert (failed.state, failed.last_error) == (State.FAILED, f"item {removed.id} was removed")
    before = len(list(q.items()))
    for item_id in (0, 999):
        with pytest.raises(NoSuchItemError, match=f"no item {item_id} to come after"):
            q.enqueue(b"e", after=[done, item_id])
    admitted = q.enqueue_many([(b"1", Request()), (b"2", Request(after=[999])), (b"3", Request())])
    assert isinstance(admitted.error, NoSuchItemError)
    assert len(list(q.items())) == before + 1


def test_a_batch_may_come_after_its_first(make):
    """Whoever knows the id that the first will have names it for the others."""
    q = make()
    first = q.enqueue(b"0").id + 1
    records = [(b"1", Request()), (b"2", Request(after=[first])), (b"3", Request(after=[first]))]
    items = q.enqueue_many(records).items
    assert [str(item.state) for item in items] == ["pending", "held", "held"]
    assert q.followers(first) == [items[1].id, items[2].id]


def test_what_a_person_holds_waits_for_them(make):
    """It does not go in when all are done; one retry lets it wait as it did, the next serves it."""
    q = make()
    a = q.enqueue(b"a")
    held, back, forced = (q.enqueue(b"x", after=[a]) for _ in range(3))
    q.hold(held)
    q.hold(back)
    assert q.retry(back).state is State.HELD
    assert q.retry(forced).state is State.PENDING
    assert q.followers(a) == [back.id]
    q.done(work(q, a))
    assert states(q, held, back, forced) == ["held", "pending", "pending"]
    assert q.retry(held).state is State.PENDING
    with pytest.raises(StaleClaimError):
        q.release(held)


def test_what_was_cancelled_waits_again_when_it_is_retried(make):
    """And comes in at once if all are done meanwhile."""
    q = make()
    a = q.enqueue(b"a")
    b, c, d = (q.enqueue(b"x", after=[a]) for _ in range(3))
    for item in (b, c):
        q.cancel(item)
    q.cancel(d, hold=True)
    assert q.retry(b).state is State.HELD
    q.done(work(q, a))
    assert states(q, b, c, d) == ["pending", "failed", "held"]
    assert q.retry(c).state is q.retry(d).state is State.PENDING


def test_a_removal_that_is_undone_is_undone_for_those_behind(make):
    """Of the first: they wait again. Of one behind: as things stand then."""
    q = make()
    a = q.enqueue(b"a")
    b, c = (q.enqueue(b"x", after=[a]) for _ in range(2))
    q.remove(c)
    q.remove(a)
    assert states(q, b, c) == ["failed", "removed"]
    assert q.restore(c).state is State.FAILED
    q.restore(a)
    assert states(q, b, c) == ["held", "held"]
    q.remove(c)
    q.done(work(q, a))
    assert q.restore(c).state is State.PENDING


def test_a_time_holds_beside(make, clock):
    """Not before its time, nor before the others are done: whichever is later."""
    q = make()
    a = q.enqueue(b"a")
    b = q.enqueue(b"b", after=[a], delay=100)
    c = q.enqueue(b"c", after=[a], delay=10)
    clock.pass_(20)
    q.done(work(q, a))
    assert states(q, b, c) == ["delayed", "pending"]
    clock.pass_(80)
    assert drain(q) == [b.id, c.id]


@pytest.mark.parametrize("verb", ["hold", "cancel"])
def test_what_a_person_holds_waits_for_no_time_either(make, verb):
    """It has none any more, whatever keeps it: a retry lets it wait for the others alone."""
    q = make()
    a = q.enqueue(b"a")
    b = q.enqueue(b"b", after=[a], delay=100)
    held = q.hold(b) if verb == "hold" else q.cancel(b, hold=True)
    assert held.not_before is None and q.get(b).not_before is None
    q.retry(b)
    q.done(work(q, a))
    assert states(q, b) == ["pending"]


def test_one_that_is_replaced_counts_as_removed(make):
    """Nobody waits for ever for what is gone; and nothing comes after what it replaces."""
    q = make()
    a = q.enqueue(b"a", key="k")
    b = q.enqueue(b"b", after=[a])
    with pytest.raises(KeyTakenError):
        q.enqueue(b"c", key="k", if_exists="replace", after=[a])
    q.enqueue(b"d", key="k", if_exists="replace")
    with pytest.raises(NoSuchItemError):
        q.enqueue(b"e", after=[a])  # the log tells of no end
    assert (q.get(b.id).state, q.get(b.id).last_error) == (State.FAILED, f"item {a.id} was removed")


def test_what_comes_after_one_that_the_same_batch_replaces_fails(make):
    """It is known to wait as soon as it is in, also before its batch is."""
    q = make()
    a = q.enqueue(b"a", key="k")
    replaces = Request(key="k", if_exists="replace")
    b, _ = q.enqueue_many([(b"b", Request(after=[a.id])), (b"c", replaces)]).items
    assert (q.get(b.id).state, q.get(b.id).last_error) == (State.FAILED, f"item {a.id} was removed")


def test_each_step_back_can_be_cut_short(make):
    """Until it is served again, an item that fell shows that it did not fail by itself."""
    q = make()
    a = q.enqueue(b"a")
    b = q.enqueue(b"b", after=[a])
    q.fail(work(q, a), dead=True)
    half = told(q.get(b.id), {a.id: State.DONE}, 0.0)
    assert (half.state, half.after) == (State.HELD, (a.id,))
    whole = told(half, {a.id: State.DONE}, 0.0)
    assert (whole.state, whole.after) == (State.PENDING, ())


def test_a_key_that_somebody_else_has_by_now_keeps_it_failed(make):
    """A failed item gives its key up; what is brought back takes it from nobody."""
    q = make()
    a = q.enqueue(b"a")
    b = q.enqueue(b"b", after=[a], key="k")
    q.fail(work(q, a), dead=True)
    other = q.enqueue(b"c", key="k")
    q.retry(a)
    assert states(q, b, other) == ["failed", "pending"]


def test_one_that_fails_at_once_takes_no_key(make):
    """Whoever has the key keeps it, in every process: what has failed already needs none."""
    q = make()
    gone, a = q.enqueue(b"gone"), q.enqueue(b"a")
    q.remove(gone)
    owner = q.enqueue(b"b", key="k")
    assert q.enqueue(b"c", key="k", after=[gone]).state is State.FAILED
    assert q.enqueue(b"d", key="k", after=[a]).id == q.enqueue(b"e", key="k").id == owner.id
    with pytest.raises(KeyTakenError):
        q.enqueue(b"f", key="k", if_exists="fail")


def test_what_waits_takes_room(make):
    """It counts for max_items as all that is live; what fails at once does not."""
    q = make(max_items=2)
    a = q.enqueue(b"a")
    q.enqueue(b"b", after=[a])
    with pytest.raises(QueueFullError):
        q.enqueue(b"c", after=[a])


def test_one_that_is_sent_elsewhere_is_not_called_in_meanwhile(make):
    """And if it stays, it stands as things stand then."""
    q = make()
    a = q.enqueue(b"a")
    b = q.enqueue(b"b", after=[a])
    departures = q.departures()
    [sent] = departures.mark([b.id])
    assert (sent.state, sent.after) == (State.HELD, (a.id,))
    q.done(work(q, a))
    assert states(q, b) == ["held"]
    departures.put_back([b.id])
    assert states(q, b) == ["pending"]


def test_what_cannot_be_come_after_is_refused(make):
    """With what is wanted instead; nothing is queued."""
    q = make()
    a = q.enqueue(b"a")
    for bad in ("1", a.id, [None], [a.id, 1.5], ["x"], {a.id}):
        with pytest.raises(UsageError):
            q.enqueue(b"b", after=bad)
    with pytest.raises(UsageError, match="one of fail, hold, run"):
        q.enqueue(b"b", after=[a], if_failed="stop")
    with pytest.raises(UsageError, match="give after, too"):
        q.enqueue(b"b", if_failed="hold")
    with pytest.raises(UsageError, match="100 others"):
        q.enqueue(b"b", after=list(range(1, 102)))
    assert len(q) == 1


def test_the_log_tells_of_what_became_of_it(make):
    """As of all that happens to an item: released, cancelled with the reason, held again."""
    q = make()
    a = q.enqueue(b"a")
    b = q.enqueue(b"b", after=[a])
    q.fail(work(q, a), dead=True)
    q.retry(a)
    q.done(work(q, a))
    told = [(r["event"], r.get("error")) for r in q.log() if r["id"] == b.id]
    assert told == [("enqueued", None), ("cancelled", f"item {a.id} failed"),
                    ("held", None), ("released", None)]  # fmt: skip


def test_the_commands_tell_of_both_directions(tmp_path):
    """Enqueue by the line, by records, after a path; show, explain, completion; what is wrong."""
    pq = Pq(tmp_path)
    pq("enqueue", stdin=b"a")
    path = json.loads(pq("show", "1", "--json").out)["path"]
    pq("enqueue", "--after", f"{path},1", "--name", "b", stdin=b"b")
    records = (
        b'{"payload": "c", "after": [1, 2], "if_failed": "hold"}\n{"payload": "d", "after": 2}\n'
    )
    pq("enqueue", "--jsonl", stdin=records)
    first, second, third = map(json.loads, pq("show", "--json", "1", "2", "3").out.splitlines())
    assert (first["after"], first["followers"]) == ([], [2, 3])
    assert (second["state"], second["after"], second["followers"]) == ("held", [1], [3, 4])
    assert (third["after"], third["if_failed"]) == ([1, 2], "hold")
    said = pq("explain", "1", "2").out.decode()
    assert "2 items wait for it: 2, 3" in said
    assert "it waits until item 1 (pending) is done" in said
    offered = pq("__complete", "enqueue", "--after", "1,").out.decode()
    assert [line.split("\t")[0] for line in offered.splitlines()] == ["1,1", "1,2", "1,3", "1,4"]
    assert pq("__complete", "enqueue", "--if-failed=h").out == b"hold\t\n"
    pq("cancel", "1")
    last = pq("submit", "--after", "1", "--", "false", stdin=b"e")
    assert (last.out, "item 5 has failed: item 1 failed" in last.err) == (b"5\n", True)
    assert "`pq retry 1` brings both back" in pq("explain", "2").out.decode()
    assert "there is no item 99 to come after" in pq("enqueue", "--after", "99", expect=3).err
    for wrong in (["--after", "x"], ["--if-failed", "run"], ["--after", "1", "--if-failed", "x"]):
        pq("enqueue", *wrong, stdin=b"x", expect=2)
    assert [line[:1] for line in pq("ls", "-q").out.splitlines()] == [b"3", b"1", b"2", b"4", b"5"]


def test_a_repair_gives_back_one_key_once(tmp_path):
    """Two that failed for one key's turn: who is brought back first has it, the other stays."""
    root = tmp_path / "q"
    with Spool(root) as q:
        a = q.enqueue(b"a")
        b = q.enqueue(b"b", key="k", after=[a])
        q.cancel(a)
        c = q.enqueue(b"c", key="k", after=[a])
        with patch("pq_cli.queue.followers.tell"):  # as if killed before anybody was told
            q.retry(a)
    assert states(Spool(root), b, c) == ["failed", "failed"]
    Pq(tmp_path)("check", "--repair", "-s", root)
    with Spool(root) as q:
        assert states(q, b, c) == ["held", "failed"]
        assert q.enqueue(b"d", key="k").id == b.id
