"""Ends that are told in groups: what `settle` has counted survives a crash of the server."""

from __future__ import annotations

import pytest
from database import need_postgres, new_server, server

from pq_cli import PostgresQueue, Request
from pq_cli.core.policy import QueueConfig


def test_what_was_settled_survives_a_crash_and_what_was_lost_with_it_is_not_counted():
    """Ten ends wait for the disk once, by settle; after a crash they stand. Later ones: unknown."""
    need_postgres()
    own = new_server()
    try:
        with PostgresQueue(own.url("q")) as queue:
            for _ in range(12):
                queue.enqueue(b"x")
            claims = [queue.claim(bound=False) for _ in range(12)]
            for claimed in claims[:10]:
                queue.done(claimed, later=True)
            assert (queue.settle(), queue.settle()) == (10, 0)
            queue.done(claims[10], later=True)
            own.stop()
            own.start()
            assert queue.settle() == 0
            assert {item.id for item in queue.items()} <= {11, 12}
            queue.done(claims[11], later=True)
            assert queue.settle() == 1
            assert 12 not in {item.id for item in queue.items()}
    finally:
        own.remove()


@pytest.mark.parametrize("kept", [0.0, 60.0])
def test_an_end_that_is_told_later_does_not_wait_for_the_disk(url, kept):
    """The server is told so for this one transaction; the next claim, or settle, waits again."""
    need_postgres()
    sql = server().sql
    sql("create table if not exists waited (how text)")
    sql(
        "create or replace function waits() returns trigger language plpgsql as $$ begin insert"
        " into waited values (current_setting('synchronous_commit')); return null; end $$"
    )
    sql(
        "create trigger waits after delete or update on pq.item for each row"
        " execute function waits()"
    )
    try:
        with PostgresQueue(url, config=QueueConfig(keep_done=kept)) as queue:
            for later in (False, True, False):
                queue.enqueue(b"x")
                queue.done(queue.claim(bound=False), later=later)
            how = [row[0] for row in sql("select how from waited")]
            assert how == ["on", "on", "on", "off", "on", "on"]
            queue.settle()
            queue.enqueue_many([(b"x", Request())] * 2)
            item = queue.claim(bound=False)
            while item is not None:
                item = queue.done_and_claim(item, later=True, bound=False)
            how = [row[0] for row in sql("select how from waited")][6:]
            assert how == ["on", "off", "on", "off"]  # with the next claim it waits after all
            assert queue.settle() >= 1
    finally:
        sql("drop trigger waits on pq.item")
        sql("drop table waited")
