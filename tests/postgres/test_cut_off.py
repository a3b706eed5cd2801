"""Who claims, or comes to work, and loses the connection on the way asks again by itself."""

from __future__ import annotations

import os

import pytest
from database import server
from support import readable

from pq_cli import LockTimeoutError, PostgresQueue, TryAgainError
from pq_cli.errors import ConnectionLostError

WHEN = {
    "before it is written": "create trigger cut before update on pq.item",
    "as it is kept": "create constraint trigger cut after update on pq.item"
    " deferrable initially deferred",
}
CUT = """
create sequence cuts;
create function cut() returns trigger language plpgsql as $$ begin
    if nextval('cuts') <= {times} then perform pg_terminate_backend(pg_backend_pid()); end if;
    return new;
end $$;
{when} for each row when (new.queue = {queue}) execute function cut();
"""


@pytest.fixture(params=WHEN.values(), ids=WHEN)
def cut(queue, url, request):
    """What lets the server end the sessions that change an item of the queue, so many times.

    The sessions of whoever they are: sequences are not rolled back, so that it counts.
    """
    name = url.partition("#")[2]
    ((number,),) = server().sql("select number from pq.queue where name = %s", name)

    def begin(times=1):
        server().sql(CUT.format(times=times, when=request.param, queue=number))

    yield begin
    server().sql("drop trigger if exists cut on pq.item; drop function if exists cut")
    server().sql("drop sequence if exists cuts")


def was_cut(times=1):
    """Tell whether that many sessions have been ended, and another not."""
    return server().sql("select last_value > %s from cuts", times) == [(True,)]


@pytest.mark.parametrize(
    "words", [["next"], ["next", "--wait=1h"], ["next", "--", "cat"], ["run", "--", "cat"]]
)
def test_each_that_claims_claims_again(pq, queue, cut, words):
    """Nobody is told of a connection that was lost, where another claim does no harm."""
    queue.enqueue(b"payload")
    cut()
    assert pq(*words).out == b"payload"
    assert was_cut()


@pytest.mark.parametrize("words", [["next", "--wait=1h"], ["run", "--follow", "--", "cat"]])
def test_who_waits_for_work_waits_on(pq, queue, cut, words):
    """What comes while nobody was there is not lost on whoever has waited for it."""
    cut(3)
    with pq.start(*words) as waiting:
        queue.enqueue(b"payload")
        assert readable(waiting.stdout.fileno())
        assert os.read(waiting.stdout.fileno(), 99) == b"payload"
    assert was_cut(3)


def test_who_comes_to_work_comes_again(pq, queue, cut):
    """It takes back a claim that is over as it comes, and may lose the connection over that."""
    queue.enqueue(b"payload")
    queue.claim(bound=False, lease=0.001)
    cut()
    assert pq("run", "--", "cat").out == b"payload"
    assert was_cut()


def test_it_ends_when_it_is_of_no_use(queue, url, cut):
    """A server that ends each session is asked for as long as one that does not answer."""
    queue.enqueue(b"payload")
    cut(10**9)
    with PostgresQueue(url, lock_timeout=0.2) as mine, pytest.raises(ConnectionLostError) as told:
        mine.claim()
    assert isinstance(told.value, TryAgainError) and not isinstance(told.value, LockTimeoutError)
