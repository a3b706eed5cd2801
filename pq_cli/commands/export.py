"""`pq export`: items as a stream, for a backup or for another spool."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Annotated, BinaryIO

import typer

from pq_cli.commands.common import (
    LOCK_TIMEOUT,
    STATES_HELP,
    CommandAfterDashes,
    LockTimeoutOption,
    SpoolOption,
    states_from,
)
from pq_cli.commands.spools import open_spool
from pq_cli.core.item import State
from pq_cli.core.timefmt import format_time
from pq_cli.errors import PqError, UsageError
from pq_cli.messages import warn
from pq_cli.queue.verbs import Queue
from pq_cli.render import StdoutBytes, check_stdout, flush, stdout_is_terminal
from pq_cli.render.counting import Counting
from pq_cli.transfer.jsonl import JsonWriter
from pq_cli.transfer.moving import into, settle, stay
from pq_cli.transfer.sending import Sending
from pq_cli.transfer.tarred import TarWriter

PARSER = CommandAfterDashes
_DEFAULT = (State.PENDING, State.DELAYED, State.HELD, State.FAILED)


def command(
    cmd: Annotated[
        list[str] | None,
        typer.Argument(metavar="[-- CMD...]", help="With --move: what takes the stream."),
    ] = None,
    states: Annotated[
        list[str] | None, typer.Option("--state", metavar="S", help=STATES_HELP)
    ] = None,
    tar: Annotated[bool, typer.Option("--tar", help="A tar stream, for big payloads.")] = False,
    move: Annotated[
        bool, typer.Option("--move", help="They leave when CMD has taken them.")
    ] = False,
    spool: SpoolOption = "",
    lock_timeout: LockTimeoutOption = LOCK_TIMEOUT,
) -> int:
    """Write items with their payloads to stdout, as JSON Lines or tar, for `pq import`.

    With --move they go to CMD and are held meanwhile; when it exits 0 they are removed (pq undo
    brings them back), else they stand as they were.
    """
    if cmd and not move:
        raise UsageError("CMD is for --move: pq export --move -- CMD")
    if move and not cmd:
        raise UsageError(
            "--move: what is to take the items? pq export --move -- ssh HOST pq import"
        )
    chosen = states_from(states or ())
    if move and State.ACTIVE in chosen:
        raise UsageError("--move: an active item is being worked at, it cannot leave")
    queue = open_spool(spool, lock_timeout=lock_timeout)
    if cmd:
        return _move(queue, chosen or _DEFAULT, cmd, tar=tar)
    return _copy(queue, chosen or (State.ACTIVE, *_DEFAULT), tar=tar)


class _Trouble:
    """Tells of what could not be done, and remembers the status of the first."""

    def __init__(self) -> None:
        self.status = 0

    def __call__(self, error: PqError) -> None:
        warn(error)
        self.status = self.status or error.exit_code


def _copy(queue: Queue, states: Sequence[State], *, tar: bool) -> int:
    check_stdout()
    if tar and stdout_is_terminal():
        raise UsageError("--tar: this is a terminal; write to a file or a pipe")
    trouble = _Trouble()
    with Counting("items", lambda: queue.count(states)) as counting:
        sending = Sending(queue, states, None, trouble, counting.tick)
        _send(sending, counting.watched(StdoutBytes()), queue.uuid(), tar=tar)
        flush()
    return trouble.status


def _move(queue: Queue, states: Sequence[State], cmd: Sequence[str], *, tar: bool) -> int:
    departures, trouble = queue.departures(), _Trouble()
    uuid = queue.uuid()
    with Counting("items", lambda: queue.count(states)) as counting:
        sending = Sending(queue, states, departures, trouble, counting.tick)
        try:
            with into(cmd) as pipe:
                _send(sending, pipe, uuid, tar=tar)
        except BaseException:
            stay(departures, sending.marked)
            raise
    left = settle(queue, departures, sending, trouble)
    warn(f"{left} items have left")
    return trouble.status


def _send(sending: Sending, stream: BinaryIO, uuid: str, *, tar: bool) -> None:
    writer = TarWriter(stream) if tar else JsonWriter(stream)
    at = format_time(time.time())
    for _ in sending.send(writer, uuid, os.uname().nodename, at):
        pass
