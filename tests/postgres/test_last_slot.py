"""Limits in a database: the last slot is taken once; what waits for a full one costs nothing."""

from __future__ import annotations

import threading

import pytest
from database import server
from rows import number_of
from support import wait_until

from pq_cli import LockTimeoutError, PostgresQueue, Request
from pq_cli.postgres import statements as sql
from pq_cli.postgres.finding import KEYS, RETURNS
from pq_cli.postgres.presence import channel


@pytest.fixture
def number(queue, url):
    """Its number in the database."""
    return number_of(url)


def limited(queue, *limits):
    """Enqueue an item of each of these limits."""
    assert queue.enqueue_many([(b"", Request(limit=limit)) for limit in limits]).error is None


WAITS = "select 1 from pg_locks where locktype = 'advisory' and not granted"


def takes_the_slot(url, number, take):
    """Return what `take` gives while somebody else takes the slot of item 1's limit."""
    import psycopg

    with psycopg.connect(url.partition("#")[0]) as other:
        other.execute(sql.LOCK_LIMIT, (str(number), "api"))
        got = []
        taking = threading.Thread(target=lambda: got.append(take()))
        taking.start()
        wait_until(lambda: server().sql(WAITS), "the limit's lock to be waited for")
        other.execute("update pq.item set state = 'active' where queue = %s and id = 1", (number,))
        other.commit()
        taking.join(60)
    return got[0]


def test_who_comes_second_to_the_last_slot_looks_again(queue, url, number):
    """Somebody is just taking it: a claim waits for that, and then takes what has another limit."""
    limited(queue, "api", "api", "db", "db")
    assert takes_the_slot(url, number, queue.claim).id == 3
    assert queue.claim() is None


def test_who_waits_for_a_limit_keeps_no_other(queue, url, number):
    """That of one that was full is let go before the next is taken: nobody waits in a circle."""
    import psycopg

    limited(queue, "api", "api", "db")
    server_url, got = url.partition("#")[0], []
    with psycopg.connect(server_url) as api, psycopg.connect(server_url) as db:
        for other, limit in ((api, "api"), (db, "db")):
            other.execute(sql.LOCK_LIMIT, (str(number), limit))
        taking = threading.Thread(target=lambda: got.append(queue.claim()))
        taking.start()
        wait_until(lambda: server().sql(WAITS), "the first lock to be waited for")
        api.execute("update pq.item set state = 'active' where queue = %s and id = 1", (number,))
        api.commit()
        free = sql.LOCK_LIMIT.replace("pg_advisory", "pg_try_advisory")
        wait_until(lambda: server().sql(free, str(number), "api")[0][0], "the first is let go")
        assert server().sql(WAITS) and not got
        db.rollback()
        taking.join(60)
    assert got[0].id == 3


def test_an_item_claimed_as_it_enters_waits_for_who_takes_the_slot(queue, url, number):
    """`commit_claimed` asks under the limit's lock, too: then the item is queued."""
    limited(queue, "api")
    staged = queue.stage(b"", Request(limit="api"))
    item = takes_the_slot(url, number, lambda: queue.commit_claimed(staged))
    assert (item.id, item.claim) == (2, None)


def test_the_end_of_an_item_with_a_limit_wakes_who_waits_for_it(queue, url, number):
    """Of others nobody waits for the end: nothing is said."""
    import psycopg

    limited(queue, None, "api", "db")
    claims = [queue.claim(), queue.claim(), queue.claim()]
    with psycopg.connect(url.partition("#")[0], autocommit=True) as other:
        other.execute(f"listen {channel(number)}")
        ends = (queue.done, queue.done, lambda item: queue.fail(item, dead=True))
        for item, end, heard in zip(claims, ends, (0, 1, 1), strict=True):
            end(item)
            other.execute("select 1")  # what was said before has come with its answer
            assert len(list(other.notifies(timeout=0))) == heard


def rows_of_items(plan):
    """Return how many rows of pq.item a plan has looked at, those thrown away included."""
    here = 0
    if plan.get("Relation Name") == "item":
        thrown = plan.get("Rows Removed by Filter", 0) + plan.get(
            "Rows Removed by Index Recheck", 0
        )
        here = (plan["Actual Rows"] + thrown) * plan["Actual Loops"]
    return here + sum(rows_of_items(below) for below in plan.get("Plans", ()))


def test_what_waits_behind_a_full_limit_is_not_looked_at(queue, url, number):
    """A claim looks at a few rows only, with 20,000 items behind a full limit as with ten."""
    import psycopg

    limited(queue, "api", "api", "db", None)
    assert [queue.claim().limit for _ in range(3)] == ["api", "db", None]
    queue.release("4.1")
    values = {
        "queue": number, "t": 2e9, "passed": [], "most": 8, "locked": "", "limits": None,
        "ranks": 1, "threshold": 300.0, "boost": 1, "cap": 4,
    }  # fmt: skip
    looked_at = []
    with psycopg.connect(url.partition("#")[0]) as connection:
        for count in (10, 20_000):
            connection.execute(
                "insert into pq.item (queue, id, state, priority, created_at, limited_by, blob,"
                " fixed, moving) select queue, %s * 100 + n, state, priority, created_at,"
                " limited_by, blob, fixed, moving from pq.item, generate_series(1, %s) as n"
                " where queue = %s and id = 2",
                (count, count, number),
            )
            connection.commit()
            connection.execute("analyze pq.item")
            explain = f"explain (analyze, format json) {sql.NEXT}"
            ((told,),) = connection.execute(explain, values).fetchall()
            looked_at.append(rows_of_items(told[0]["Plan"]))
    assert queue.claim().id == 4
    assert looked_at[1] <= min(looked_at[0], 40)


@pytest.mark.parametrize(
    "come", [lambda queue: queue.enqueue(b"", key="k"), lambda queue: queue.retry(1)]
)
def test_who_may_give_an_item_a_key_waits_for_who_is_at_it(queue, url, number, come):
    """An item that failed is just coming back with its key: who wants it, or that item, waits."""
    import psycopg

    queue.enqueue(b"", key="k")
    queue.fail(queue.claim(), dead=True)
    with psycopg.connect(url.partition("#")[0]) as other:
        other.execute("select pg_advisory_xact_lock(%s, %s)", (KEYS, number))
        got = []
        coming = threading.Thread(target=lambda: got.append(come(queue)))
        coming.start()
        wait_until(lambda: server().sql(WAITS), "the lock of keys to be waited for")
        other.execute("update pq.item set state = 'held' where queue = %s and id = 1", (number,))
        other.commit()
        coming.join(60)
    assert got[0].id == 1


def test_who_waits_for_a_key_for_too_long_is_told_so(url, number):
    """And nothing of its batch has come: what the server refuses undoes what went before it."""
    import psycopg

    batch = [(b"", Request()), (b"", Request(key="k"))]
    mine = PostgresQueue(url, lock_timeout=0.2)
    with psycopg.connect(url.partition("#")[0]) as other, mine as queue:
        other.execute("select pg_advisory_xact_lock(%s, %s)", (KEYS, number))
        for come in (lambda: queue.enqueue(b"", key="k"), lambda: queue.enqueue_many(batch)):
            queue.enqueue(b"")  # now the time is known, and only the key is asked for
            with pytest.raises(LockTimeoutError):
                come()
        other.rollback()
        assert [item.id for item in queue.enqueue_many(batch).items] == [3, 4]


def test_two_who_bring_items_back_come_one_after_the_other(queue, url, number):
    """They would lock the same rows by different ways, and each wait for the other."""
    import psycopg

    queue.enqueue(b"x")
    queue.claim(bound=False, lease=0.001)
    got = []
    with psycopg.connect(url.partition("#")[0]) as other, PostgresQueue(url) as mine:
        other.execute("select pg_advisory_xact_lock(%s, %s)", (RETURNS, number))
        claiming = threading.Thread(target=lambda: got.append(mine.claim(bound=False)))
        claiming.start()
        wait_until(lambda: server().sql(WAITS), "the lock of what returns to be waited for")
        other.commit()
        claiming.join(60)
    assert got[0].claim == "1.2"


BACK = {
    "whose lease is over": "lease_until = 0",
    "whose worker is gone": "worker = 999",
    "that is due": "state = 'delayed', not_before = 0",
}


@pytest.mark.parametrize("change", BACK.values(), ids=BACK)
def test_who_brings_items_back_waits_for_nobody_who_has_one(queue, url, number, change):
    """Who is just ending it may need the order of the queue: each would wait for the other."""
    import psycopg

    for _ in range(2):
        queue.enqueue(b"x")
    one = "where queue = %s and id = 1"
    patient = PostgresQueue(url, lock_timeout=5)
    with psycopg.connect(url.partition("#")[0]) as other, patient as mine:
        if "delayed" not in change:
            queue.claim(bound=False)
        server().sql(f"update pq.item set {change} {one}", number)
        other.execute(f"select from pq.item {one} for update", (number,))
        assert mine.claim(bound=False).id == 2
        other.commit()
        assert wait_until(lambda: mine.claim(bound=False), "the item to be let go").id == 1


def test_the_database_itself_has_no_key_twice(queue, number):
    """Whatever a client does: of two live items none has the other's key."""
    import psycopg

    queue.enqueue(b"", key="k")
    queue.fail(queue.claim(), dead=True)
    assert queue.enqueue(b"", key="k").id == 2
    with pytest.raises(psycopg.errors.UniqueViolation):
        server().sql("update pq.item set state = 'pending' where queue = %s and id = 1", number)
