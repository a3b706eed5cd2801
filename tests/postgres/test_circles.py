"""Nobody waits in a circle for somebody's item, and nobody's lane is out of order for a look."""

from __future__ import annotations

import threading

import pytest
from database import server
from rows import number_of
from support import wait_until

from pq_cli import (
    ConflictError,
    NoSuchItemError,
    PostgresQueue,
    PqError,
    StaleClaimError,
)
from pq_cli.postgres import statements as sql
from pq_cli.postgres.wire.session import Session

WAITS = "select 1 from pg_stat_activity where wait_event = '{}'"


def begun(act):
    """Begin something in a thread; return that, and the list that gets what came of it."""
    got = []

    def run():
        try:
            got.append(act())
        except PqError as error:
            got.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, got


ENDS = {"ends": None, "is over": 0.001}
WANTS = {
    "its key": lambda queue: queue.enqueue(b"", key="k").id,
    "itself": lambda queue: queue.cancel(1, hold=True).id,
}


@pytest.mark.parametrize("lease", ENDS.values(), ids=ENDS)
@pytest.mark.parametrize("want", WANTS.values(), ids=WANTS)
def test_an_end_that_others_wait_for_and_who_wants_the_item(queue, url, want, lease):
    """To tell who waits may need the keys: who has them may be waiting for the item.

    Else the end had the item and wanted the keys, and the server would have to end one of both.
    """
    import psycopg

    number = number_of(url)
    queue.enqueue(b"", key="k", max_attempts=1)
    queue.enqueue(b"", key="l", after=[1], if_failed="run")
    mine = queue.claim(bound=False, lease=lease)
    follower = "select from pq.item where queue = %s and id = 2 for update"
    with psycopg.connect(server().conninfo) as other, PostgresQueue(url) as wanting:
        other.execute(follower, (number,))
        ending, ended = begun(lambda: queue.claim(bound=False) if lease else queue.done(mine))
        wait_until(lambda: server().sql(WAITS.format("transactionid")), "the end to be half way")
        coming, came = begun(lambda: want(wanting))
        wait_until(lambda: server().sql(WAITS.format("advisory")), "the other one to wait for it")
        other.commit()
        ending.join()
        coming.join()
    assert ended[0].id == (2 if lease else 1)
    assert came[0] == 3 or isinstance(came[0], NoSuchItemError | ConflictError)


def looked(monkeypatch, then):
    """Do something, once, when an item has been looked for."""
    run, did = Session.run, []

    def looking(session, statements):
        rows = run(session, statements)
        if not did and any(sql.FIND in text for text, _ in statements):
            did.append(True)
            then()
        return rows

    monkeypatch.setattr(Session, "run", looking)


def test_who_comes_too_late_to_an_end_does_not_change_the_order(queue, url, monkeypatch):
    """The item was given back meanwhile: while he is told so, it is not passed over."""
    for _ in range(2):
        queue.enqueue(b"")
    mine, got = queue.claim(bound=False), []
    queue.release(mine)
    with PostgresQueue(url) as other:
        looked(monkeypatch, lambda: got.append(other.claim(bound=False).id))
        with pytest.raises(StaleClaimError):
            queue.done(mine)
    assert got == [1]


def test_who_changes_an_item_that_was_found_before_does_not_change_the_order(
    queue, url, monkeypatch
):
    """Also by the Item itself people look at one that waits: a claim waits for them."""
    item, claims = queue.enqueue(b""), []
    queue.enqueue(b"")
    with PostgresQueue(url) as other:

        def claim():
            claims.append(begun(lambda: other.claim(bound=False)))
            waits = WAITS.format("advisory")
            wait_until(lambda: claims[0][1] or server().sql(waits), "the claim to wait")

        looked(monkeypatch, claim)
        queue.change(item, name="x")
        claims[0][0].join()
    assert claims[0][1][0].id == 1
