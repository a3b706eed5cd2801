"""Nobody gets a claim that another made: every verb that gives items, every state of a key."""

from __future__ import annotations

import io
import json

import pytest
from queues import BACKENDS, Clock, make_queue, snapshot
from support import Pq, wait_until

from pq_cli import KeyTakenError, NoSuchItemError, StaleClaimError, State
from pq_cli.queue.request import Request

STATES = ("free", "pending", "delayed", "held", "active", "failed", "done")
RULES = ("skip", "fail", "replace", "raise")
ENDINGS = ("done", "fail", "defer", "release", "renew")


def prepared(queue, state):
    """Put an item with the key `k` in the state; return the claim somebody has on it, or None."""
    if state == "free":
        return None
    queue.enqueue(b"first", key="k", delay=3600 if state == "delayed" else None)
    if state == "held":
        queue.hold(1)
    if state in ("active", "failed", "done"):
        claim = queue.claim()
        if state == "active":
            return claim
        queue.done(claim) if state == "done" else queue.fail(claim, dead=True)
    return None


def staged(spool, if_exists):
    return spool.stage(b"second", Request(key="k", if_exists=if_exists))


ENTRANCES = {
    "enqueue": lambda q, rule: [q.enqueue(b"second", key="k", if_exists=rule)],
    "enqueue a stream": lambda q, rule: [q.enqueue(io.BytesIO(b"2"), key="k", if_exists=rule)],
    "enqueue_many": lambda q, rule: (
        q.enqueue_many(
            [(b"second", Request(key="k", if_exists=rule)), (b"third", Request(key="k"))]
        ).items
    ),
    "commit": lambda q, rule: q.commit([staged(q, rule)]).items,
    "commit_claimed": lambda q, rule: [q.commit_claimed(staged(q, rule))],
    "claim": lambda q, _: [q.claim()],
}
"""Every verb that gives items which its caller has not named."""
ONLY_SPOOL = ("enqueue_many", "commit", "commit_claimed")


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("verb", ENTRANCES)
@pytest.mark.parametrize("backend", BACKENDS)
def test_no_verb_gives_a_claim_that_it_did_not_make(backend, verb, state, rule, tmp_path):
    """What a verb returns ends no claim but one that this very call has made.

    With everything it returned, every verb that ends or renews a claim is tried, and the claim that
    somebody else has on the item with the key goes on as it was.
    """
    if backend == "memory" and verb in ONLY_SPOOL:
        return
    queue = make_queue(backend, tmp_path, Clock(), keep_done=60.0)
    others = prepared(queue, state)
    before = snapshot(queue) if others else None
    try:
        given = [item for item in ENTRANCES[verb](queue, rule) if item is not None]
    except KeyTakenError:
        given = []
    makes = verb in ("claim", "commit_claimed")
    for item in given:
        if others is not None and item.id == others.id:
            assert (item.state, item.claim) == (State.ACTIVE, None)
        elif item.claim is not None:
            assert makes and queue.get(item.id).claim == item.claim
            queue.release(item)
            continue
        for ending in ENDINGS:
            with pytest.raises((StaleClaimError, NoSuchItemError)):
                getattr(queue, ending)(item)
    if others is not None:
        assert snapshot(queue)[0] == before[0]
        queue.done(others)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("command", ["submit", "enqueue"])
def test_a_key_does_not_hand_over_somebodys_work(pq: Pq, command, state, rule):
    """`submit` runs CMD on its own payload or not at all, whatever state the key's item is in.

    An item that is being worked on stays so, under the claim it has; `submit` says that on stderr
    and prints its id, as it does for one that waits.
    """
    with pq.api(keep_done=3600.0) as spool:
        others = prepared(spool, state)
        was = spool.get(1) if others else None
    rest = ("--", "cat") if command == "submit" else ()
    taken = state in ("pending", "delayed", "held", "active")
    refused = taken and (rule == "fail" or (rule == "replace" and state == "active"))
    ran = pq(command, "--key", "k", "--if-exists", rule, *rest, stdin=b"second",
             expect=4 if refused else 0)  # fmt: skip
    if refused:
        assert ran.out == b""
    elif taken and rule in ("skip", "raise"):
        assert ran.out == b"1\n"
        if command == "submit":
            words = "is being worked on" if state == "active" else f"is {state}"
            assert "item 1" in ran.err and words in ran.err
    elif command == "submit":
        assert (ran.out, ran.err) == (b"second", "")
    with pq.api() as spool:
        if was is not None:
            assert spool.get(1) == was
            spool.done(others)


@pytest.mark.parametrize("holder", ["run", "next", "submit"])
def test_somebodys_work_is_not_taken_while_it_is_done(pq: Pq, tmp_path, holder):
    """While `run`, `next` or `submit` works on a key's item, `submit --key` leaves it to them.

    A second command that would fail does not give the item to a third, either.
    """
    mark = tmp_path / "go on"
    if holder != "submit":
        pq.fill(b"first\n", key="k")
    key = ("--key", "k") if holder == "submit" else ()
    script = f"until [ -e '{mark}' ]; do sleep .01; done; cat"
    with pq.start(holder, *key, "--", "sh", "-c", script, stdin=-1) as process:
        assert process.stdin
        process.stdin.write(b"first\n")
        process.stdin.close()
        at_work(pq)
        for cmd in ("cat", "false"):
            ran = pq("submit", "--key", "k", "--", cmd, stdin=b"second\n")
            assert ran.out == b"1\n"
            assert "item 1, which is being worked on" in ran.err
        assert pq.states() == {1: "active"}
        mark.touch()
        assert process.stdout
        assert process.stdout.read() == b"first\n"
        assert process.wait(60) == 0
    assert pq.states() == {}


def at_work(pq: Pq) -> None:
    """Wait until somebody has claimed item 1."""
    wait_until((pq.spool / "state.json").exists, "the spool is made")
    wait_until(lambda: pq.states() == {1: "active"}, "somebody has claimed item 1")


def test_what_ls_shows_is_the_claim(pq: Pq):
    """Looking still tells who works on what: `ls` and `show` name the claim."""
    pq.fill(b"x", key="k")
    claim = pq("next", "--claim").text.strip()
    assert json.loads(pq("ls", "--json").out)["claim"] == claim == "1.1"
