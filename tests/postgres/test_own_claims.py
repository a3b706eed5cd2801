"""A claim that is made here is one statement, and so is its end; they say what all others do."""

from __future__ import annotations

import json
import time

import pytest
from database import server
from queues import Clock
from rows import cut_at_the_end, number_of
from support import wait_until

from pq_cli import (
    DamagedItemError,
    NoSuchItemError,
    PostgresQueue,
    StaleClaimError,
    State,
    TryAgainError,
)
from pq_cli.postgres.own import ends
from pq_cli.postgres.presence import channel


def test_a_claim_that_somebody_else_has_by_now_is_stale(queue, url):
    """Whoever ended it so would end what the other one works on."""
    queue.enqueue(b"x")
    mine = queue.claim(bound=False, lease=0.001)
    with PostgresQueue(url) as other:
        theirs = []
        wait_until(lambda: theirs.append(other.claim(bound=False)) or theirs[-1], "the lease's end")
        with pytest.raises(StaleClaimError):
            queue.done(mine)
        assert queue.get(mine.id).claims == theirs[-1].claims == 2
        other.done(theirs[-1])


def test_a_claim_that_was_given_back_is_stale_for_who_made_it(queue, url):
    """Nothing is left of it in memory that would end the next one."""
    queue.enqueue(b"x")
    mine = queue.claim(bound=False)
    with PostgresQueue(url) as other:
        other.release(mine.claim)
    with pytest.raises(StaleClaimError):
        queue.done(mine)
    assert queue.get(mine.id).state is State.PENDING


def test_who_has_come_after_it_meanwhile_is_told(queue, url):
    """What is enqueued after an item that is being worked on is served once that is done."""
    first = queue.enqueue(b"x")
    claimed = queue.claim(bound=False)
    with PostgresQueue(url) as other:
        second = other.enqueue(b"y", after=[first.id])
        assert second.state is State.HELD
        queue.done(claimed)
        assert other.claim(bound=False).id == second.id


def test_the_time_of_an_end_is_the_servers(queue, monkeypatch):
    """Whatever this host's clocks did since the claim: they stood still, or ran ahead."""
    queue.enqueue(b"x")
    item = queue.claim(bound=False)
    real = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: real() + 3600)
    done = queue.done(item)
    ((now,),) = server().sql("select extract(epoch from clock_timestamp())::float8")
    assert abs(done.updated_at - now) < 600
    assert list(queue.items()) == []


def test_the_time_of_a_claim_is_the_servers(queue, monkeypatch):
    """Not what this host makes of it: its lease would be over at once, or last for hours."""
    monkeypatch.setattr("pq_cli.postgres.finding.CENSUS", 1e9)
    queue.enqueue(b"x")
    queue.release(queue.claim(bound=False))
    queue.enqueue(b"y", priority=1)
    real = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: real() + 3600)
    item = queue.claim(bound=False)
    ((now,),) = server().sql("select extract(epoch from clock_timestamp())::float8")
    assert (item.id, abs(item.updated_at - now) < 600) == (2, True)


def test_the_end_of_a_limited_item_wakes_those_who_wait_for_its_slot(queue, url):
    """They would look again only some seconds later."""
    import psycopg

    queue.enqueue(b"x", limit="api")
    item = queue.claim(bound=False)
    number = number_of(url)
    with psycopg.connect(server().conninfo, autocommit=True) as ear:
        ear.execute(f"listen {channel(number)}")
        queue.done(item)
        assert len(list(ear.notifies(timeout=30, stop_after=1))) == 1


def test_a_connection_that_was_lost_meanwhile_is_made_again(queue):
    """The work took an hour, and the server was restarted: its end is told all the same."""
    queue.enqueue(b"x")
    item = queue.claim(bound=False)
    end = "select pg_terminate_backend(pid, 60000) from pg_stat_activity"
    assert server().sql(f"{end} where application_name = 'pq'")
    queue.done(item)
    assert list(queue.items()) == []


def test_a_claim_that_nobody_has_heard_of_is_over(queue, monkeypatch):
    """The connection was lost as it was written: who asked for it has not got it, and asks again.

    Nobody would work on it before the end of its lease: its worker lives, and knows nothing of it.
    """
    queue.enqueue(b"x")
    cut_at_the_end(monkeypatch)
    again = queue.claim()
    assert again.claim == "1.2"
    assert again.history[-1]["error"] == "the connection was lost while it was claimed"
    assert queue.claim() is None
    queue.done(again)


@pytest.mark.parametrize("error", [None, KeyboardInterrupt()], ids=["lost", "interrupted"])
def test_a_claim_in_one_statement_that_nobody_has_heard_of_is_over(queue, monkeypatch, error):
    """Nobody knows which item it was; what was written of it tells."""
    for _ in range(2):
        queue.enqueue(b"x")
    queue.claim()
    cut_at_the_end(monkeypatch, error)
    if error is not None:
        with pytest.raises(KeyboardInterrupt):
            queue.claim()
        assert [queue.get(number).state for number in (1, 2)] == [State.ACTIVE, State.ACTIVE]
    again = queue.claim()
    assert again.claim == "2.2"
    assert again.history[-1]["error"] == "the connection was lost while it was claimed"
    assert queue.claim() is None


NAMED = (
    {}, {"name": "a"}, {"key": "k"}, {"key": "k2", "name": ""}, {"key": "k3", "name": "é я 名"},
    {"name": 'a"b'}, {"name": "a\\b"}, {"name": "\u202e"}, {"name": "x" * 300},
    {"name": "100% %1$s"}, {"metadata": {"key": None, "name": "m", "id": -1}}, {"priority": 1},
    {"limit": "api"},
)  # fmt: skip


ROW = """
select state, priority, not_before, lease_until, kept_until, worker, limited_by, key, fixed, moving
from pq.item where queue = %s and id = %s
"""


def test_a_claim_in_one_statement_makes_what_any_other_makes(url):
    """The item that is returned, its row and the event: to the letter, whatever it is called.

    Who has just come looks for the dead first, and claims in several statements.
    """
    clock, urls = Clock(), (f"{url}-one", f"{url}-several")
    with PostgresQueue(urls[0], clock=clock) as one, PostgresQueue(urls[1], clock=clock) as other:
        one.claim(bound=False)
        for each in NAMED:
            claims = []
            for queue in (one, other):
                queue.enqueue(b"x", **each)
            clock.pass_(1.25)
            claims.append(one.claim(bound=False))
            with PostgresQueue(urls[1], clock=clock) as several:
                claims.append(several.claim(bound=False))
            assert claims[0] == claims[1], each
            rows = [server().sql(ROW, number_of(each), claims[0].id) for each in urls]
            assert rows[0] == rows[1], each
            clock.pass_(1)
            for queue in (one, other):
                queue.done(claims[0])
    told = []
    for each in urls:
        said = server().sql(
            "select said from pq.event where queue = %s order by seq", number_of(each)
        )
        told.append([json.loads(line) for (line,) in said])
    assert told[0] == told[1]
    assert [list(event) for event in told[0]] == [list(event) for event in told[1]]


def test_a_claim_in_one_statement_tells_the_name_of_by_now(url):
    """One that was changed since the item was enqueued; also one that an older pq wrote."""
    with PostgresQueue(url) as queue:
        queue.claim(bound=False)
        for name in ("first", "second", "third"):
            queue.enqueue(b"x", name=name)
        queue.change(1, name="new")
        server().sql("update pq.item set called = null where queue = %s and id > 1", number_of(url))
        for _ in range(3):
            queue.claim(bound=False)
    told = server().sql(
        "select said from pq.event where queue = %s and said like '%%\"claimed\"%%' order by seq",
        number_of(url),
    )
    assert [json.loads(said).get("name") for (said,) in told] == ["new", "second", "third"]


def test_a_claim_in_one_statement_passes_over_nothing(url):
    """What was claimed before has its place; also what others are taking away from behind it."""
    clock = Clock()
    with PostgresQueue(url, clock=clock) as queue:
        queue.claim(bound=False)
        for _ in range(3):
            queue.enqueue(b"x")
        queue.release(queue.claim(bound=False))
        assert [queue.claim(bound=False).claim for _ in range(3)] == ["1.2", "2.1", "3.1"]


def test_what_cannot_be_read_is_given_back_as_it_was(url):
    """A row that somebody has written into: it is reported, and the next item is claimed."""
    clock, reported = Clock(), []
    with PostgresQueue(url, clock=clock, report=reported.append) as queue:
        queue.claim(bound=False)
        for _ in range(2):
            queue.enqueue(b"x")
        where = "where queue = %s and id = 1", number_of(url)
        server().sql(f"update pq.item set fixed = fixed || '!' {where[0]}", where[1])
        before = server().sql(f"select * from pq.item {where[0]}", where[1])
        assert queue.claim(bound=False).id == 2
        assert [type(error) for error in reported] == [DamagedItemError]
        assert server().sql(f"select * from pq.item {where[0]}", where[1]) == before


def test_what_cannot_be_read_is_passed_over_when_its_time_has_come(url):
    """Where its lease is over, or it is due: it is told of once, and the others are served."""
    reported, clock = [], Clock()
    with PostgresQueue(url, clock=clock, report=reported.append) as queue:
        queue.enqueue(b"x")
        queue.claim(lease=10.0, bound=False)
        for _ in range(2):
            queue.enqueue(b"x", delay=10.0)
        number = server().sql("select number from pq.queue where name = %s", url.partition("#")[2])
        damage = "update pq.item set fixed = fixed || '!' where queue = %s and id < 3"
        server().sql(damage, number[0][0])
        clock.pass_(20.0)
        assert queue.claim(bound=False).id == 3
        assert queue.claim(bound=False) is None
        assert [type(error) for error in reported] == [DamagedItemError] * 2


def test_a_queue_that_is_removed_meanwhile_is_said_to_be(queue, url):
    """By what puts in, to which the server gives no ids then, and by what asks for the queue."""
    queue.enqueue(b"x")
    server().sql(
        "with one as (delete from pq.queue where name = %s returning number)"
        " delete from pq.counter using one where queue = one.number", url.partition("#")[2],
    )  # fmt: skip
    for verb in (lambda: queue.enqueue(b"x"), queue.pause, queue.claim):
        with pytest.raises(NoSuchItemError, match="this queue has been removed"):
            verb()


def test_a_claim_whose_renewal_nobody_has_heard_of_stands(queue, monkeypatch):
    """Who renewed it has it, and works on."""
    queue.enqueue(b"x")
    item = queue.claim()
    cut_at_the_end(monkeypatch)
    with pytest.raises(TryAgainError):
        queue.renew(item)
    assert queue.claim() is None
    queue.done(item)


def test_a_claim_of_a_worker_that_was_struck_off_is_free(queue, url):
    """It claimed before it knew that its session was gone, and died: nobody lists it any more."""
    queue.enqueue(b"x")
    queue.claim(bound=False)
    find = "(select number from pq.queue where name = %s)"
    name = url.partition("#")[2]
    server().sql(f"update pq.item set worker = 123456789 where queue = {find}", name)
    with PostgresQueue(url) as other:
        assert other.claim(bound=False).claim == "1.2"
        queue.enqueue(b"y")
        assert other.claim().claim == "2.1"  # of one that is listed, and lives
        with PostgresQueue(url) as third:
            assert third.claim() is None


def test_the_log_of_a_database_stays_bounded(queue, url, monkeypatch):
    """Old events go, those of this queue alone, and the newest are left."""
    monkeypatch.setattr(ends, "MOST_EVENTS", 10)
    monkeypatch.setattr(ends, "TRIM_EVERY", 1)
    with PostgresQueue(f"{url}-other") as other:
        other.enqueue(b"x")
        for _ in range(8):
            queue.enqueue(b"x")
            queue.done(queue.claim())
        assert len(list(other.log())) == 1
    told = [(event["event"], event["id"]) for event in queue.log()]
    assert len(told) == 10 and told[-3:] == [("enqueued", 8), ("claimed", 8), ("done", 8)]
