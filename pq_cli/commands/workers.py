"""`pq workers`: who is at work, and on what."""

from __future__ import annotations

from pq_cli.commands.spools import open_spool
from pq_cli.errors import EXIT_NOTHING, EXIT_OK
from pq_cli.options import AS_JSON, COLOR, LookOptions
from pq_cli.render.explain import sentences
from pq_cli.render.present import present
from pq_cli.render.workers import worker_columns, worker_json, worker_sheet
from pq_cli.screen import Screen


class WorkersOptions(LookOptions):
    """The command line of `pq workers`, as typed."""

    as_json: bool = AS_JSON
    color: str = COLOR


def command(o: WorkersOptions, screen: Screen) -> int:
    """Say who works on this spool: host and process, since when, what each runs and for how long.

    A worker that died is shown until others have taken over what it had. In a pipe: tab-separated
    host, pid, since, state, slots, gate_closed, slow, claims, working since, command. Nothing is
    locked or changed. Exit 1: nobody is there.
    """
    queue = open_spool(o, screen)
    workers, now = queue.workers(), queue.now()
    present(
        workers,
        screen,
        as_json=o.as_json,
        color=o.color,
        record=lambda worker: worker_json(worker, now),
        line=lambda worker: worker_columns(worker, now),
        table=lambda found, out: worker_sheet(found, now, out),
        nothing=f"nobody is working on {queue.where}",
    )
    screen.flush()
    for sentence in sentences(queue.trouble(), now) if screen.is_terminal() else ():
        screen.warn(sentence)
    return EXIT_OK if any(worker.at_work(now) for worker in workers) else EXIT_NOTHING
