"""`pq export`: items as a stream, for a backup or for another spool."""

from __future__ import annotations

import os
import subprocess
import time
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, BinaryIO, cast

from pq_cli.commands.spools import open_spool
from pq_cli.core.insight.words import counted
from pq_cli.core.item import State, printable
from pq_cli.core.timefmt import format_time
from pq_cli.errors import CommandFailedError, PqError, UsageError
from pq_cli.options import STATES, Options, option
from pq_cli.render.counting import Counting
from pq_cli.screen import Screen
from pq_cli.transfer.jsonl import JsonWriter
from pq_cli.transfer.sending import Sending
from pq_cli.transfer.tarred import TarWriter
from pq_cli.worker.contract import not_runnable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_DEFAULT = (State.PENDING, State.DELAYED, State.HELD, State.FAILED)


class ExportOptions(Options):
    """The command line of `pq export`, as typed."""

    cmd: tuple[str, ...] = option("[-- CMD...]", "With --move: what takes the stream.", many=True)
    states: tuple[State, ...] = STATES
    tar: bool = option("--tar", "A tar stream, for big payloads.")
    move: bool = option("--move", "They leave when CMD has taken them.")


def command(o: ExportOptions, screen: Screen) -> int:
    """Write items with their payloads to stdout, as JSON Lines or tar, for `pq import`.

    With --move they go to CMD and are held meanwhile; when it exits 0 they are removed (pq undo
    brings them back), else they stand as they were.
    """
    if o.cmd and not o.move:
        raise UsageError("CMD is for --move: pq export --move -- CMD")
    if o.move and not o.cmd:
        raise UsageError(
            "--move: what is to take the items? `pq export --move -- ssh HOST pq import`"
        )
    if o.move and State.ACTIVE in o.states:
        raise UsageError("--move: an active item is being worked at, it cannot leave")
    queue = open_spool(o, screen)
    states = o.states or (_DEFAULT if o.move else (State.ACTIVE, *_DEFAULT))
    if not o.move:
        screen.check()
        if o.tar and screen.is_terminal():
            raise UsageError("--tar: this is a terminal; write to a file or a pipe")
    status = 0

    def trouble(error: PqError) -> None:
        nonlocal status
        failed = screen.report(error)
        status = status or failed

    uuid, at = queue.uuid(), format_time(time.time())
    sending = Sending(queue, states, queue.departures() if o.move else None, trouble)
    with Counting(screen, "items", lambda: queue.count(states)) as counting:
        try:
            with _into(o.cmd) if o.move else nullcontext(counting.watched(screen)) as stream:
                writer = TarWriter(stream) if o.tar else JsonWriter(stream)
                for sent in sending.send(writer, uuid, os.uname().nodename, at):
                    counting.tick(sent)
        except BaseException:
            if o.move:
                sending.stay()
            raise
        screen.flush()
    if o.move:
        left = sending.settle()
        screen.warn(f"{counted(left, 'item')} {'has' if left == 1 else 'have'} left")
    return status


@contextmanager
def _into(cmd: Sequence[str]) -> Iterator[BinaryIO]:
    """Run a command, and give its standard input; its exit status is the receipt.

    Raises CommandFailedError when it ends with another status than 0 or does not read to the end;
    CommandNotFoundError, NotExecutableError.
    """
    try:
        process = subprocess.Popen(list(cmd), stdin=subprocess.PIPE)
    except OSError as error:
        raise not_runnable(cmd[0], error) from None
    name = printable(cmd[0])
    with process:
        try:
            with cast("BinaryIO", process.stdin) as pipe:
                yield pipe
        except BrokenPipeError:
            raise CommandFailedError(f"{name} did not read to the end") from None
    if process.returncode:
        raise CommandFailedError(f"{name} ended with status {process.returncode}")
