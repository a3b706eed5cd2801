"""An end and the next claim at once: one trip, and both or neither of them."""

from __future__ import annotations

import asyncio
import threading

import pytest
from database import server
from queues import Clock
from rows import cut_at_the_end, number_of
from support import wait_until

from pq_cli import (
    LockTimeoutError,
    NoSuchItemError,
    PostgresQueue,
    PqError,
    StaleClaimError,
    TryAgainError,
    drain,
)
from pq_cli.postgres import statements as sql
from pq_cli.postgres.finding import ORDER
from pq_cli.postgres.own.claims import TAKE
from pq_cli.postgres.wire.session import Refused, Session


@pytest.fixture
def queue_in_one(url, monkeypatch):
    """A queue whose claims are one statement, however slowly the machine works."""
    monkeypatch.setattr("pq_cli.postgres.finding.CENSUS", 1e9)
    with PostgresQueue(url, clock=Clock()) as queue:
        yield queue


@pytest.fixture
def trips(monkeypatch):
    """The statements that were sent, one list for each time that something was."""
    sent, run = [], Session.run

    def noting(session, statements):
        sent.append([text for text, _ in statements])
        return run(session, statements)

    monkeypatch.setattr(Session, "run", noting)
    return sent


def test_an_end_and_the_next_claim_are_one_trip(queue_in_one, trips):
    """And one transaction, so one wait for the disk: this is what a worker does all the time."""
    queue = queue_in_one
    for number in range(3):
        queue.enqueue(b"x", limit=None if number else "api")
    item = queue.claim(bound=False)
    trips.clear()
    for expected in (2, 3):
        item = queue.done_and_claim(item, bound=False)
        assert (item.claim, queue.payload(item)) == (f"{expected}.1", b"x")
    assert [len(sent) for sent in trips] == [3, 2]  # the first gave a slot back, and said so
    assert not any("BEGIN" in text for sent in trips for text in sent)


def test_a_pool_asks_for_both_at_once(queue_in_one, trips):
    """For each item but the last, whose end is asked for together with what is no more there."""
    queue = queue_in_one
    for _ in range(5):
        queue.enqueue(b"x")
    asyncio.run(drain(queue, lambda _: None))
    both = [sent for sent in trips if TAKE in sent and sql.END in sent]
    assert len(both) == 5
    assert len([sent for sent in trips if sql.END in sent]) == 5


def test_what_one_statement_cannot_claim_is_not_asked_for_by_another(queue_in_one, trips):
    """The next has a limit: it is found, and its limit locked, in the trips that this takes."""
    queue = queue_in_one
    for _ in range(2):
        queue.enqueue(b"x", limit="api")
    item = queue.claim(bound=False)
    trips.clear()
    assert queue.done_and_claim(item, bound=False).id == 2
    assert [TAKE in sent for sent in trips].count(True) == 1


def test_of_an_end_that_is_refused_the_next_claim_is_too(queue_in_one, url, trips):
    """Somebody else has the item by now: nothing is claimed that nobody would hear of."""
    queue = queue_in_one
    for _ in range(2):
        queue.enqueue(b"x")
    mine = queue.claim(bound=False)
    with PostgresQueue(url) as other:
        other.release(mine.claim)
        assert other.claim(bound=False).claim == "1.2"
    trips.clear()
    with pytest.raises(StaleClaimError):
        queue.done_and_claim(mine, bound=False)
    assert TAKE in trips[0]  # it was asked for in one trip
    assert queue.get(2).claims == 0
    assert [event["event"] for event in queue.log()][-2:] == ["released", "claimed"]


def test_of_an_end_that_must_be_told_to_others_it_is_two(queue_in_one, url, trips):
    """What came after the item meanwhile is served; the claim made along with it is of that."""
    queue = queue_in_one
    queue.enqueue(b"x")
    mine = queue.claim(bound=False)
    with PostgresQueue(url) as other:
        other.enqueue(b"y", after=[1])
    trips.clear()
    assert queue.done_and_claim(mine, bound=False).id == 2
    assert sql.END in trips[0] and TAKE in trips[0]


def test_an_end_and_a_claim_that_nobody_has_heard_of(queue_in_one, monkeypatch):
    """Of the end it is said that nobody knows; the claim is over, for nobody has got it."""
    queue = queue_in_one
    for _ in range(2):
        queue.enqueue(b"x")
    mine = queue.claim()
    with monkeypatch.context() as patch:
        cut_at_the_end(patch)
        with pytest.raises(TryAgainError):
            queue.done_and_claim(mine)
    with pytest.raises(NoSuchItemError):
        queue.done(mine)
    again = queue.claim()
    assert again.claim == "2.2"
    assert again.history[-1]["error"] == "the connection was lost while it was claimed"


def ends_while(queue, number, mine, change):
    """Return what comes of an end and a claim while somebody else holds the row of item 1.

    change: what he does, once the end waits for him; then he lets go.
    """
    import psycopg

    got, waits = [], "select 1 from pg_stat_activity where wait_event = 'transactionid'"

    def end():
        try:
            got.append(queue.done_and_claim(mine, bound=False))
        except PqError as error:
            got.append(error)

    with psycopg.connect(server().conninfo) as other:
        other.execute("select from pq.item where queue = %s and id = 1 for update", (number,))
        ending = threading.Thread(target=end)
        ending.start()
        wait_until(lambda: server().sql(waits), "the end to wait for the row")
        change(other)
        other.commit()
        ending.join()
    return got[0]


def test_an_end_that_waits_for_somebody_who_takes_the_item_is_refused(queue_in_one, url):
    """The next claim is, too: that the end had begun, and waited for the row, is no end."""
    queue, number = queue_in_one, number_of(url)
    for _ in range(2):
        queue.enqueue(b"x")
    taken = "update pq.item set moving = replace(moving, '\"claims\":1', '\"claims\":2')"

    def take(other):
        other.execute(f"{taken} where queue = %s and id = 1", (number,))

    mine = queue.claim(bound=False)
    assert isinstance(ends_while(queue, number, mine, take), StaleClaimError)
    assert queue.get(2).claims == 0


def test_an_end_waits_for_nobody_who_waits_for_those_that_claim(queue_in_one, url):
    """Who has the item, and then needs the order of the queue, gets it: else both would wait."""
    queue, number = queue_in_one, number_of(url)
    for _ in range(2):
        queue.enqueue(b"x")

    def order(other):
        other.execute("select pg_advisory_xact_lock(%s, %s)", (ORDER, number))

    mine = queue.claim(bound=False)
    assert ends_while(queue, number, mine, order).id == 2
    assert [item.id for item in queue.items()] == [2]


def test_an_end_does_not_wait_for_those_that_claim(queue_in_one, url):
    """Who has the order of the queue may need the item next: the end is made, the claim waits."""
    import psycopg

    queue, number = queue_in_one, number_of(url)
    for _ in range(2):
        queue.enqueue(b"x")
    mine, got = queue.claim(bound=False), []
    ending = threading.Thread(target=lambda: got.append(queue.done_and_claim(mine, bound=False)))
    with psycopg.connect(server().conninfo) as other:
        other.execute("select pg_advisory_xact_lock(%s, %s)", (ORDER, number))
        ending.start()
        there = "select 1 from pq.item where queue = %s and id = 1"
        wait_until(lambda: not server().sql(there, number), "the end")
        assert not got
        other.commit()
        ending.join()
    assert got[0].id == 2


def test_an_end_does_not_need_who_shows_that_the_worker_is_there(queue_in_one, monkeypatch):
    """Its session was lost, and no other is to be had: the next claim must wait, not the end."""
    queue = queue_in_one
    for _ in range(2):
        queue.enqueue(b"x")
    mine = queue.claim()

    def refused(*_):
        raise LockTimeoutError("too many connections")

    monkeypatch.setattr("pq_cli.postgres.presence.of_this_process", refused)
    assert queue.done_and_claim(mine) is None
    assert [(item.id, item.claims) for item in queue.items()] == [(2, 0)]


def test_what_cannot_be_given_back_does_not_hide_that_the_other_is_done(
    queue_in_one, url, monkeypatch
):
    """The next cannot be read, and the server refuses to take that claim back just then."""
    queue = queue_in_one
    for _ in range(2):
        queue.enqueue(b"x")
    mine = queue.claim(bound=False)
    server().sql(
        "update pq.item set fixed = fixed || '!' where queue = %s and id = 2", number_of(url)
    )
    run = Session.run

    def refusing(session, statements):
        if any("set state = 'pending'" in text for text, _ in statements):
            raise Refused("57014", "canceled")
        return run(session, statements)

    monkeypatch.setattr(Session, "run", refusing)
    assert queue.done_and_claim(mine, bound=False) is None
    with pytest.raises(NoSuchItemError):
        queue.get(1)
