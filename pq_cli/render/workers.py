"""Workers as text: a sheet for people, columns and JSON for programs, one line for a summary."""

from __future__ import annotations

import shlex
from collections import Counter

from pq_cli.core.insight.words import counted
from pq_cli.core.insight.workers import STATES, duty_values
from pq_cli.core.item import printable
from pq_cli.core.timefmt import format_time
from pq_cli.render.sheet import print_sheet
from pq_cli.render.words import short_duration, whole_duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from pq_cli.core.insight.workers import Worker
    from pq_cli.render.terminal import Cell, Console

_MOST_ITEMS = 25
"""Items of one worker that are named."""


def worker_json(worker: Worker, now: float) -> dict[str, Any]:
    """Return a worker as `--json` shows it; of what it works on, for how many seconds."""
    return {
        "host": worker.host,
        "pid": worker.pid,
        "since": format_time(worker.since),
        "command": list(worker.command),
        "state": worker.state(now),
        **duty_values(worker.duty),
        "items": [
            {"id": item.id, "claim": item.claim, "name": item.name, "key": item.key,
             "since": format_time(at), "seconds": round(max(0.0, now - at), 3)}
            for item, at in worker.claims()
        ],
    }  # fmt: skip


def worker_columns(worker: Worker, now: float) -> str:
    """Return the tab-separated columns of `pq workers` in a pipe; absent ones are empty.

    host, pid, since, state, slots, gate_closed, slow, claims, since when the first of these is
    worked on, command.
    """
    said = worker_json(worker, now)
    claims = ",".join(str(item["claim"]) for item in said["items"])
    first = min((item["since"] for item in said["items"]), default="")
    columns = (
        said["host"], said["pid"], said["since"], said["state"], said["slots"], said["gate_closed"],
        said["slow"], claims, first, shlex.join(worker.command),
    )  # fmt: skip
    return "\t".join("" if value is None else printable(str(value)) for value in columns)


def worker_name(worker: Worker) -> str:
    """Return what people know a worker by: its host and process."""
    return f"{printable(worker.host)}:{worker.pid}"


def worker_state(worker: Worker, now: float) -> str:
    """Return what a worker is at, and for how long, if that is not to work or to wait for some."""
    duty, state = worker.duty, worker.state(now)
    said = [] if state in ("gate closed", "slow") else [state]
    if worker.alive and duty.gate_closed is not None:
        said.append(f"gate closed for {short_duration(now - duty.gate_closed)}")
    if worker.alive and duty.slow is not None:
        many = counted(duty.in_a_row, "failure")
        said.append(f"slow for {short_duration(now - duty.slow)} after {many}")
    return ", ".join(said)


def worker_program(worker: Worker) -> str:
    """Return the first word of what a worker runs."""
    return printable("".join(_words(worker)[:1]), 60)


def _words(worker: Worker) -> list[str]:
    """Return what a worker runs: of `pq run -j 4 -- ./upload` people want to see ./upload."""
    if "--" in worker.command:
        return list(worker.command[worker.command.index("--") + 1 :])
    if not worker.command:
        return []
    first, *rest = worker.command
    return ["pq" if first.endswith("/pq_cli/__main__.py") else first.rpartition("/")[2], *rest]


def slots_taken(worker: Worker) -> str:
    """Return how many items it works on, of how many at once, if it has said so."""
    busy, slots = len(worker.items), worker.duty.slots
    return str(busy) if slots is None else f"{busy}/{slots}"


def workers_line(workers: Sequence[Worker], now: float) -> str:
    """Return one line: how many there are of each kind, and how much they work on."""
    counts = Counter(worker.state(now) for worker in workers)
    said = ", ".join(f"{counts[state]:,} {state}" for state in STATES if counts[state])
    slots = sum(worker.duty.slots or 0 for worker in workers if worker.alive)
    items = sum(len(worker.items) for worker in workers)
    return f"{said}; {counted(items, 'item')} at work" + (f", {slots:,} slots" if slots else "")


def worker_sheet(workers: Iterable[Worker], now: float, out: Console) -> None:
    """Print who works, and below each what it works on, and for how long."""
    rows: list[list[Cell]] = []
    for worker in workers:
        style = "" if worker.at_work(now) else "red"
        rows.append([
            (worker_name(worker), "bold"), short_duration(now - worker.since), slots_taken(worker),
            (worker_state(worker, now), style), (printable(shlex.join(_words(worker))), "dim"),
        ])  # fmt: skip
        for item, at in worker.claims()[:_MOST_ITEMS]:
            text = f"{item.claim} {printable(item.name or item.key or '')}".rstrip()
            rows.append(["", "", "", f"for {whole_duration(now - at)}", text])
        left = len(worker.items) - _MOST_ITEMS
        if left > 0:
            rows.append(["", "", "", "", (f"and {left:,} more", "dim")])
    print_sheet(rows, out, titles=("WORKER", "FOR", "SLOTS", "RUNS", ""), right=(1, 2))
