"""What it costs in "full" to take an item and to end it, in one process, beside localqueue.

All take turns, ten items each, so that what else the machine does meets all of them. Two forms of
pq: each `done` durable when it returns; and, as `work()` and `pq run` do it, durable together with
nine others, before anybody is told.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from benchmarks import peers
from benchmarks.harness import Bench, Target, timed
from pq_cli import Spool
from pq_cli.queue.request import Request

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

NAME = "ends"
_TURN = 10
_EACH = "each durable when it returns"
_SHARED = "ten share a sync"
_RIVAL = peers.LOCALQUEUE_DURABLE
_TARGET = Target("at least 3 times localqueue's durable get + ack, taking turns", 1 / 3)


def run(bench: Bench) -> None:
    """Measure claim + done from a short queue and from a longer one."""
    turns = bench.pick(small=2, usual=40)
    for waiting in bench.pick(small=20, usual=1000), bench.pick(small=40, usual=10_000):
        cases = {"all": functools.partial(_take_turns, waiting, turns)}
        samples = bench.alternate(cases, bench.pick(small=1, usual=3))
        rival = samples.of("all", _RIVAL.name)
        for name, target in ((_EACH, _TARGET), (_SHARED, None)):
            bench.report(
                NAME, f"claim + done, full, {waiting:,} waiting: {name}", samples.of("all", name),
                "us", to=_RIVAL.name if rival else None, reference=rival,
                target=target if rival else None, size=waiting,
            )  # fmt: skip
        bench.report(NAME, f"get + ack, {waiting:,} waiting: {_RIVAL.name}", rival, "us")


def _take_turns(waiting: int, turns: int, folder: str) -> Mapping[str, float]:
    takers: dict[str, Callable[[], None]] = {}
    opened: list[Spool | peers.Queue] = []
    for name in (_EACH, _SHARED):
        spool = Spool(f"{folder}/{len(opened)}")
        spool.enqueue_many([(peers.TEXT.encode(), Request())] * waiting)
        opened.append(spool)
        takers[name] = functools.partial(_turn, spool, name == _SHARED)
    if _RIVAL.version is not None:
        filling = peers.LOCALQUEUE.make(folder)
        for number in range(waiting):
            filling.put(number)
        filling.close()
        rival = _RIVAL.make(folder)
        opened.append(rival)
        takers[_RIVAL.name] = functools.partial(_rival_turn, rival)
    took = dict.fromkeys(takers, 0.0)
    for turn in takers.values():
        turn()  # what is done once, at the first
    turns = min(turns, waiting // _TURN - 1)
    for _ in range(turns):
        for name, turn in takers.items():
            took[name] += timed(turn, _TURN) / turns
    for queue in opened:
        queue.close()
    return took


def _turn(spool: Spool, shared: bool) -> None:
    for _ in range(_TURN):
        item = spool.claim()
        assert item is not None
        spool.done(item, later=shared)
    spool.settle()


def _rival_turn(rival: peers.Queue) -> None:
    for _ in range(_TURN):
        rival.take()
