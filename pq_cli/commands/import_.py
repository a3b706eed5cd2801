"""`pq import`: the items of a stream of `pq export`."""

from __future__ import annotations

import sys
from typing import BinaryIO

from pq_cli.commands.common import LOCK_TIMEOUT, LockTimeoutOption, SpoolOption
from pq_cli.commands.spools import open_spool
from pq_cli.errors import EXIT_DATA, PqError, SpoolIOError
from pq_cli.messages import warn
from pq_cli.render import check_stdout, emit, flush
from pq_cli.render.counting import Counting
from pq_cli.transfer.jsonl import JsonSource
from pq_cli.transfer.receiving import Receiving
from pq_cli.transfer.stream import Source
from pq_cli.transfer.tarred import TarSource


def command(spool: SpoolOption = "", lock_timeout: LockTimeoutOption = LOCK_TIMEOUT) -> int:
    """Read what `pq export` wrote from stdin; print the new ids, one a line.

    An item that came before does not come again, so a stream that was cut short is sent anew.
    """
    check_stdout()
    if sys.stdin is None:
        raise SpoolIOError("standard input is closed")
    queue = open_spool(spool, create=True, lock_timeout=lock_timeout)
    refused: list[PqError] = []

    def refuse(error: PqError) -> None:
        warn(error)
        refused[:] = [error]

    entered = known = 0
    try:
        with Counting("items") as counting, queue.arrivals() as arrivals:
            source = _source(counting.watched(sys.stdin.buffer))
            receiving = Receiving(queue, arrivals, refuse)
            for received in counting.over(receiving.run(source)):
                if received.item is None:
                    known += 1
                else:
                    entered += 1
                    emit(str(received.item.id))
                flush()
    finally:
        warn(f"{entered} items imported" + (f"; {known} had come before" if known else ""))
    return EXIT_DATA if refused else 0


def _source(stream: BinaryIO) -> Source:
    """Return the reader of the stream on stdin: JSON Lines begin with a brace, tar does not."""
    first = stream.peek(1)[:1]  # type: ignore[attr-defined]
    return JsonSource(stream) if first in (b"{", b"\n", b"") else TarSource(stream)
