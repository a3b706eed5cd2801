"""The end of a claim that was made here is one statement; it ends nothing else than that claim."""

from __future__ import annotations

import time

import pytest
from database import server
from support import wait_until

from pq_cli import PostgresQueue, StaleClaimError, State, TryAgainError
from pq_cli.postgres.presence import channel
from pq_cli.postgres.wire.session import Refused, Session


@pytest.fixture
def queue(url):
    """A queue that nobody has used."""
    with PostgresQueue(url) as queue:
        yield queue


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


def test_the_end_of_a_limited_item_wakes_those_who_wait_for_its_slot(queue, url):
    """They would look again only some seconds later."""
    import psycopg

    queue.enqueue(b"x", limit="api")
    item = queue.claim(bound=False)
    name = url.partition("#")[2]
    ((number,),) = server().sql("select number from pq.queue where name = %s", name)
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


def cut_at_the_end(monkeypatch):
    """Let the next change of an item be made, and its answer be lost."""
    run = Session.run

    def cut(session, statements):
        rows = run(session, statements)
        if "update pq.item" in statements[0][0]:
            monkeypatch.undo()
            session.close()
            raise Refused(None, "the connection was lost")
        return rows

    monkeypatch.setattr(Session, "run", cut)


def test_a_claim_that_nobody_has_heard_of_is_over(queue, monkeypatch):
    """The connection was lost as it was written: who asked for it has not got it, and asks again.

    Nobody would work on it before the end of its lease: its worker lives, and knows nothing of it.
    """
    queue.enqueue(b"x")
    cut_at_the_end(monkeypatch)
    with pytest.raises(TryAgainError):
        queue.claim()
    again = queue.claim()
    assert again.claim == "1.2"
    assert again.history[-1]["error"] == "the connection was lost while it was claimed"
    assert queue.claim() is None
    queue.done(again)


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
