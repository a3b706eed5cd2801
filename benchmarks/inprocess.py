"""One process, one queue: what an item costs to put and to take, beside every peer."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from benchmarks import peers
from benchmarks.floor import FLOOR, PROMISES
from benchmarks.harness import Bench, Samples, Target, timed
from pq_cli import MemoryQueue, QueueConfig, Spool

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME = "inprocess"
_FLOORS = (FLOOR, PROMISES)
_UNSYNCED = (peers.DIRQ.name, peers.LOCALQUEUE.name)
_SYNCED = Target("at least 3 times localqueue's durable get + ack", 1 / 3)


def run(bench: Bench) -> None:
    """Measure put and take of every queue, from backlogs too, and what priorities cost pq."""
    _beside_peers(bench)
    for backlog in (10, 100) if bench.size == "full" else (10,):
        _from_a_backlog(bench, backlog)
    _cost_of_priority(bench)


def _beside_peers(bench: Bench) -> None:
    count = _count(bench)
    beside = [*peers.installed(), *_FLOORS]
    cases = {
        peer.name: functools.partial(_put_and_take, peer, count // 4 if peer.sync else count)
        for peer in beside
    }
    samples = bench.alternate(cases, bench.pick(small=1, usual=7))
    for peer in beside:
        name = peer.name
        for figure in ("put", "take"):
            bench.report(NAME, f"{figure}: {name}", samples.of(name, figure), "us")
    _report_takes(bench, samples, "")
    full, durable = peers.PQ_FULL.name, peers.LOCALQUEUE_DURABLE.name
    bench.report(
        NAME, f"put, synced: {full}", samples.of(full, "put"), "us",
        to=durable, reference=samples.of(durable, "put"),
    )  # fmt: skip


def _from_a_backlog(bench: Bench, times: int) -> None:
    """Take from a queue that is many times as long: what a backlog costs each queue."""
    count = _count(bench)
    beside = (
        peers.PQ_UNREAD, peers.PQ_FAST, peers.DIRQ, peers.LOCALQUEUE, peers.LITEQUEUE,
        peers.PQ_FULL_UNREAD, peers.PQ_FULL, peers.LOCALQUEUE_DURABLE,
    )  # fmt: skip
    cases = {
        peer.name: functools.partial(_put_and_take, peer, count, backlog=(times - 1) * count)
        for peer in (*peers.installed(beside), *_FLOORS)
    }
    samples = bench.alternate(cases, bench.pick(small=1, usual=5, full=2 if times > 10 else 5))
    _report_takes(bench, samples, f", of {times * count:,}")


def _count(bench: Bench) -> int:
    return bench.pick(small=20, usual=1000)


def _report_takes(bench: Bench, samples: Samples, what: str) -> None:
    synced, durable = peers.PQ_FULL_UNREAD.name, peers.LOCALQUEUE_DURABLE.name
    for verbs, name, target in (
        ("claim + done", synced, _SYNCED),
        ("claim + payload + done", peers.PQ_FULL.name, None),
    ):
        bench.report(
            NAME, f"{verbs}{what}: {name}", samples.of(name, "take"), "us",
            to=durable, reference=samples.of(durable, "take"), target=target,
        )  # fmt: skip
    unread = peers.PQ_UNREAD.name
    for to in _UNSYNCED:
        bench.report(
            NAME, f"claim + done{what}: {unread}", samples.of(unread, "take"), "us",
            to=to, reference=samples.of(to, "take"),
        )  # fmt: skip
        bench.report(
            NAME, f"claim + payload + done{what}: pq fast", samples.of("pq fast", "take"), "us",
            to=to, reference=samples.of(to, "take"),
        )  # fmt: skip
        for floor in _FLOORS:
            bench.report(
                NAME, f"claim + done{what}: {floor.name}", samples.of(floor.name, "take"), "us",
                to=to, reference=samples.of(to, "take"),
            )  # fmt: skip


def _put_and_take(
    peer: peers.Peer, count: int, folder: str, backlog: int = 0
) -> Mapping[str, float]:
    """Put `count` items and take as many, with `backlog` more behind them."""
    queue = peer.make(folder)

    def put() -> None:
        for number in range(count):
            queue.put(number)

    def take() -> None:
        for _ in range(count):
            queue.take()

    put_cost = timed(put, count)
    for number in range(backlog):
        queue.put(number)
    take_cost = timed(take, count)
    queue.close()
    return {"put": put_cost, "take": take_cost}


def _cost_of_priority(bench: Bench) -> None:
    """Ten lanes against plain first in, first out, for the same items."""
    target = Target("priorities cost at most 10 %", 1.1)
    for kind, count in (
        ("MemoryQueue", bench.pick(small=50, usual=20_000)),
        ("Spool fast", bench.pick(small=20, usual=1000)),
    ):
        cases = {
            name: functools.partial(_cycle, kind, enabled, count)
            for name, enabled in (("on", True), ("off", False))
        }
        samples = bench.alternate(cases, bench.pick(small=1, usual=11))
        bench.report(
            NAME, f"enqueue + claim + done with priorities: {kind}", samples.of("on", "item"), "us",
            to="enable_priority = false", reference=samples.of("off", "item"), target=target,
        )  # fmt: skip


def _cycle(kind: str, enabled: bool, count: int, folder: str) -> Mapping[str, float]:
    config = QueueConfig(enable_priority=enabled, durability="fast")
    queue: MemoryQueue | Spool = (
        MemoryQueue(config) if kind == "MemoryQueue" else Spool(f"{folder}/spool", config=config)
    )

    def cycle() -> None:
        for number in range(count):
            queue.enqueue(b"x", priority=1 + number % 10)
        while (item := queue.claim()) is not None:
            queue.done(item)

    return {"item": timed(cycle, count)}
