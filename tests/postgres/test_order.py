"""The order of many workers at once, against the definition."""

from __future__ import annotations

import json
import os
import random
import re
import sys
import threading
import time
from bisect import bisect_left
from collections import deque
from contextlib import closing
from itertools import accumulate

from database import need_postgres, server
from naive import Naive
from queues import Clock
from support import started_together

from pq_cli import PostgresQueue, QueueConfig, QueueFullError, Request, State
from pq_cli.postgres.address import Address
from pq_cli.postgres.link import Link
from pq_cli.postgres.own.claims import TAKE

WORKERS = 8
ITEMS = 20_000 if os.environ.get("PQ_LONG") else 1_200
WORK = """
import json, sys, time
from pq_cli import PostgresQueue, QueueConfig
config = QueueConfig(**json.loads(sys.argv[2]))
queue = PostgresQueue(sys.argv[1], config=config, clock=lambda: float(sys.argv[3]))
queue.count([])
print("ready", flush=True)
sys.stdin.readline()
out = []
while True:
    before = time.time()
    item = queue.claim(bound=False)
    if item is None:
        break
    out.append([item.id, before, time.time()])
print(json.dumps(out))
"""


def in_order(model, t):
    """Yield the ids as they are served at `t`: of the lanes' heads the lowest, each time."""
    lanes = {}
    for thing in sorted(model.things.values(), key=lambda each: each.id):
        lanes.setdefault(thing.priority, deque()).append(thing)
    while lanes:
        best = min(lanes, key=lambda n: (model.effective(lanes[n][0], t), lanes[n][0].id))
        yield lanes[best].popleft().id
        if not lanes[best]:
            del lanes[best]


def test_no_inversion_that_the_definition_does_not_allow():
    """Eight claim at once what has aged differently: each takes the first that nobody else takes.

    A claim that is over before another begins has the earlier place; of two that overlap either
    may be the first.
    """
    need_postgres()
    url, clock, chance = server().url(), Clock(), random.Random(7)
    policy = {"aging_threshold_seconds": 60.0, "max_priority_boost": 6}
    config = QueueConfig(**policy)
    model = Naive(config, clock)
    with PostgresQueue(url, config=config, clock=clock) as queue:
        for _ in range(ITEMS // 40):
            lanes = [chance.randint(1, 10) for _ in range(40)]
            assert queue.enqueue_many([(b"", Request(priority=n)) for n in lanes]).error is None
            for lane in lanes:
                model.enqueue(b"", priority=lane)
            clock.pass_(chance.choice([-30.0, 1.0, 20.0, 45.0]))
    place = {number: at for at, number in enumerate(in_order(model, clock.now))}
    argv = [sys.executable, "-c", WORK, url, json.dumps(policy), str(clock.now)]
    workers = started_together([argv] * WORKERS)
    claims = [claim for worker in workers for claim in json.loads(worker.communicate()[0])]
    assert sorted(number for number, _, _ in claims) == sorted(place)
    claims.sort(key=lambda claim: claim[2])
    ends = [end for _, _, end in claims]
    highest = list(accumulate((place[number] for number, _, _ in claims), max))
    for number, before, _ in claims:
        ended = bisect_left(ends, before)
        if ended:
            assert highest[ended - 1] < place[number]


def test_a_lane_of_which_others_take_the_front_is_still_the_more_urgent():
    """Others are taking the first twenty of a lane: the next claim is its twenty-first."""
    need_postgres()
    import psycopg

    url, config = server().url(), QueueConfig(enable_aging=False)
    with PostgresQueue(url, config=config) as queue:
        urgent = [(b"", Request(priority=1)) for _ in range(30)]
        items = queue.enqueue_many([*urgent, (b"", Request(priority=5))]).items
        with psycopg.connect(url.partition("#")[0]) as other:
            front = [item.id for item in items[:20]]
            number = "select number from pq.queue where name = %s"
            name = url.partition("#")[2] or "default"
            other.execute(
                f"select 1 from pq.item where queue = ({number}) and id = any(%s) for update",
                (name, front),
            )
            assert [queue.claim().id for _ in range(11)] == [item.id for item in items[20:]]


def test_the_first_that_nobody_else_takes_whatever_has_aged():
    """Others are taking some of the first ones: the next claim is the first of the rest.

    As the listing has it, which goes by the definition alone; lanes that are not looked at because
    age cannot have brought them forward enough are none of the first.
    """
    need_postgres()
    import psycopg

    chance, clock = random.Random(5), Clock()
    find = "select number from pq.queue where name = %s"
    with psycopg.connect(server().conninfo) as other:
        for cap in (0, 2, 4, 9) * 4:
            url = server().url()
            config = QueueConfig(aging_threshold_seconds=60.0, max_priority_boost=cap)
            with PostgresQueue(url, config=config, clock=clock) as queue:
                queue.enqueue(b"")
                queue.done(queue.claim(bound=False))
                for _ in range(12):
                    queue.enqueue(b"", priority=chance.randint(1, 10))
                    clock.pass_(chance.choice([-40.0, 1.0, 45.0, 120.0]))
                order = [item.id for item in queue.items([State.PENDING])]
                taken = chance.sample(order[:5], 2)
                number = other.execute(find, (url.partition("#")[2],)).fetchone()[0]
                lock = "select 1 from pq.item where queue = %s and id = any(%s) for update"
                other.execute(lock, (number, taken))
                claimed = [queue.claim(bound=False).id for _ in range(3)]
                assert claimed == [item for item in order if item not in taken][:3]
                other.rollback()


def test_a_lane_that_was_not_looked_at_comes_before_younger_ones_of_the_first():
    """Somebody takes the old item of lane 6: the next is that of lane 7, which has aged to 3."""
    need_postgres()
    import psycopg

    clock, url = Clock(), server().url()
    config = QueueConfig(aging_threshold_seconds=60.0, max_priority_boost=4)
    with (
        PostgresQueue(url, config=config, clock=clock) as queue,
        psycopg.connect(server().conninfo) as other,
    ):
        queue.enqueue(b"")
        queue.done(queue.claim(bound=False))  # which looks for the dead, for once, and at all lanes
        first, second = queue.enqueue(b"", priority=6), queue.enqueue(b"", priority=7)
        clock.pass_(600)
        queue.enqueue(b"", priority=6)
        find = "(select number from pq.queue where name = %s)"
        lock = f"select 1 from pq.item where queue = {find} and id = %s for update"
        assert other.execute(lock, (url.partition("#")[2], first.id)).fetchone()
        assert queue.claim(bound=False).id == second.id


def test_the_room_is_exact_whoever_comes_at_once():
    """Eight put in at once what there is room for once: max_items live items, and not one more.

    Also in one transaction that replaces an item before it adds one.
    """
    need_postgres()
    url, config = server().url(), QueueConfig(max_items=20)
    start, refused = threading.Barrier(WORKERS), []

    def put():
        with PostgresQueue(url, config=config) as queue:
            for _ in range(4):
                start.wait(60)
                refused.append(queue.enqueue_many([(b"", Request())]).error is not None)

    threads = [threading.Thread(target=put) for _ in range(WORKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with PostgresQueue(url, config=config) as queue:
        assert len(queue) == 20 and refused.count(True) == 4 * WORKERS - 20
        queue.remove(1)
        queue.enqueue(b"", key="k")
        again = [(b"", Request(key="k", if_exists="replace")), (b"", Request())]
        assert type(queue.enqueue_many(again).error) is QueueFullError and len(queue) == 20


def test_a_claim_costs_the_same_however_many_are_at_work():
    """A thousand claims are held, and the server has not counted them yet: no more is read."""
    need_postgres()
    url = server().url()
    values = {
        "manual": False, "small": 0, "most": 8, "ranks": 1, "threshold": 300.0, "boost": 1,
        "cap": 4, "until": 9e9, "worker": None, "moving": "{}", "said": "{}", "fresh": "{%",
        "first": True, "later": False,
    }  # fmt: skip
    link = Link(Address(url), 5.0)

    def pages():
        now = time.time()
        plan = link.rows(f"explain (analyze, buffers) {TAKE}", {**values, "now": now, "at": now})
        return int(re.search(r"shared hit=(\d+)", "".join(line for (line,) in plan))[1])

    with PostgresQueue(url) as queue, closing(link):
        find = "select number from pq.queue where name = %s"
        values["queue"] = link.row(find, url.partition("#")[2])[0]
        queue.enqueue_many([(b"", Request())] * 1100)
        few = pages()
        for _ in range(1000):
            queue.claim(bound=False)
        assert pages() < few + 30
