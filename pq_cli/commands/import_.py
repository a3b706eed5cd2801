"""`pq import`: the items of a stream of `pq export`."""

from __future__ import annotations

import sys

from pq_cli.commands.spools import open_spool
from pq_cli.core.insight.words import counted
from pq_cli.errors import EXIT_DATA, PqError, SpoolIOError
from pq_cli.options import Options
from pq_cli.render.counting import Counting
from pq_cli.screen import Screen
from pq_cli.transfer.jsonl import read_lines
from pq_cli.transfer.receiving import Receiving
from pq_cli.transfer.tarred import read_tar


def command(o: Options, screen: Screen) -> int:
    """Read what `pq export` wrote from stdin; print the new ids, one a line.

    An item that came before does not come again, so a stream that was cut short is sent anew.
    """
    screen.check()
    if sys.stdin is None:
        raise SpoolIOError("standard input is closed; `pq import < FILE` reads a stream")
    queue = open_spool(o, screen, create=True)
    refused: list[PqError] = []

    def refuse(error: PqError) -> None:
        screen.report(error)
        refused[:] = [error]

    entered = known = 0
    try:
        with Counting(screen, "items") as counting, queue.arrivals() as arrivals:
            stream = counting.watched(sys.stdin.buffer)
            is_json = stream.peek(1)[:1] in (b"{", b"\n", b"")  # tar does not begin so
            source = read_lines(stream) if is_json else read_tar(stream)
            receiving = Receiving(queue, arrivals, refuse)
            for item in receiving.run(source):
                if item is None:
                    known += 1
                else:
                    entered += 1
                    screen.emit(str(item.id))
                screen.flush()
                counting.tick()
    finally:
        before = f"; {known:,} had come before" if known else ""
        screen.warn(f"{counted(entered, 'item')} imported{before}")
    return EXIT_DATA if refused else 0
