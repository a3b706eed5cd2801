"""`pq wait`: until items have ended, or all work is done."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pq_cli.commands.spools import each_argument, open_spool
from pq_cli.core.item import State, printable
from pq_cli.core.timefmt import format_time, parse_duration
from pq_cli.errors import EXIT_COMMAND_FAILED, EXIT_OK, TryAgainError, UsageError
from pq_cli.options import AS_JSON, LookOptions, option
from pq_cli.render.present import present
from pq_cli.screen import Screen

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pq_cli.queue.ends import Ended
    from pq_cli.queue.verbs import Queue


class WaitOptions(LookOptions):
    """The command line of `pq wait`, as typed."""

    items: tuple[str, ...] = option("[ITEM...]", "Those to wait for; - is stdin.", many=True)
    drained: bool = option("--drained", "Until nothing is pending, delayed or active.")
    timeout: float | None = option("--timeout D", "Give up (exit 75) after D.", read=parse_duration)
    as_json: bool = AS_JSON


def command(o: WaitOptions, screen: Screen) -> int:
    """Wait until the items have ended; print how each did, as soon as it has.

    Also of those that are gone: the log tells. A line is id, how (done, failed, removed), when,
    exit status, name and error, tab-separated. Exit 0: all were done; 6: one failed or was
    removed; 75: the time is over; 3: there never was such an item.
    """
    if bool(o.items) == o.drained:
        raise UsageError("give ITEMs to wait for, or --drained: until nothing is left to do")
    seconds = math.inf if o.timeout is None else o.timeout
    queue = open_spool(o, screen)
    if not o.drained:
        return _wait_for(queue, o, seconds, screen)
    if not queue.drained(wait=seconds):
        raise TryAgainError("there is work left: `pq ls` lists it")
    return EXIT_OK


def _wait_for(queue: Queue, o: WaitOptions, seconds: float, screen: Screen) -> int:
    status = EXIT_OK

    def ends() -> Iterator[Ended]:
        nonlocal status
        references = [queue.reference(word) for word in each_argument(o.items)]
        for end in queue.ends(references, wait=seconds):
            if end.how is not State.DONE:
                status = EXIT_COMMAND_FAILED
            yield end
            screen.flush()

    def line(end: Ended) -> str:
        return "\t".join("" if v is None else printable(str(v)) for v in _record(end).values())

    present(ends(), screen, as_json=o.as_json, line=line, record=_record)
    return status


def _record(end: Ended) -> dict[str, Any]:
    at = None if end.at is None else format_time(end.at)
    return {
        "id": end.id, "how": str(end.how), "at": at, "exit": end.status, "name": end.name,
        "error": end.error,
    }  # fmt: skip
