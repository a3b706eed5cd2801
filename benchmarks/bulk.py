"""Many items at once: `pq enqueue --lines` beside a loop over a peer."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from benchmarks import peers
from benchmarks.harness import Bench, Target, child_environment, pq_command, process, timed

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME = "bulk"
_NQ = "a shell loop of nq"


def run(bench: Bench) -> None:
    """Measure 100,000 lines (fewer of what is slow), by durability, beside the peers."""
    count = bench.pick(small=200, usual=100_000)
    cases = {
        "pq full": functools.partial(_pq, "full", count),
        "pq fast": functools.partial(_pq, "fast", count),
    }
    loops = {peers.LOCALQUEUE_DURABLE: count // 20, peers.DIRQ: count // 2}
    for peer in peers.installed(tuple(loops)):
        cases[peer.name] = functools.partial(_put, peer, loops[peer])
    if peers.command_installed("nq"):
        cases[_NQ] = functools.partial(_nq_loop, bench.pick(small=10, usual=300))
    samples = bench.alternate(cases, bench.pick(small=1, usual=3))
    costs = {name: samples.of(name, "item") for name in cases}
    for name, values in costs.items():
        bench.report(NAME, f"one of many items: {name}", values, "us")
    for name, to, target in (
        ("pq full", peers.LOCALQUEUE_DURABLE.name, Target("at least twice the rate", 0.5)),
        ("pq full", _NQ, Target("at least 10 times the rate", 0.1)),
        ("pq fast", peers.DIRQ.name, Target("at least the rate", 1.0)),
    ):
        bench.report(
            NAME, f"enqueue --lines, {count:,} items: {name}", costs[name], "us",
            to=to, reference=costs.get(to, ()), target=target,
        )  # fmt: skip


def _pq(durability: str, count: int, folder: str) -> Mapping[str, float]:
    spool, lines = f"{folder}/spool", f"{folder}/lines"
    environment, pq = child_environment(PQ_SPOOL=spool), pq_command()
    process([pq, "init"], environment)
    with open(f"{spool}/queue.toml", "w", encoding="utf-8") as file:
        file.write(f'durability = "{durability}"\n')
    with open(lines, "w", encoding="utf-8") as file:
        file.writelines(f"{peers.TEXT}\n" for _ in range(count))
    took = process([pq, "enqueue", "--lines"], environment, stdin=lines, stdout=f"{folder}/ids")
    with open(f"{folder}/ids", encoding="utf-8") as file:
        assert sum(1 for _ in file) == count
    return {"item": took * 1000 / count}


def _put(peer: peers.Peer, count: int, folder: str) -> Mapping[str, float]:
    queue = peer.make(folder)

    def put() -> None:
        for number in range(count):
            queue.put(number)

    took = timed(put, count)
    queue.close()
    return {"item": took}


def _nq_loop(count: int, folder: str) -> Mapping[str, float]:
    environment = child_environment(**peers.command_environment(folder))
    loop = f"i=0; while [ $i -lt {count} ]; do nq -q true; i=$((i+1)); done"
    took = process(["sh", "-c", loop], environment)
    process(["nq", "-w"], environment)
    return {"item": took * 1000 / count}
