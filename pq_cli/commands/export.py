"""`pq export`: items as a stream, for a backup or for another spool."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import BinaryIO

from pq_cli.commands.spools import open_spool
from pq_cli.core.item import State
from pq_cli.core.timefmt import format_time
from pq_cli.errors import PqError, UsageError
from pq_cli.options import STATES, Options, option
from pq_cli.queue.verbs import Queue
from pq_cli.render.counting import Counting
from pq_cli.screen import Screen
from pq_cli.transfer.jsonl import JsonWriter
from pq_cli.transfer.sending import Sending, into
from pq_cli.transfer.tarred import TarWriter

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
    if o.cmd:
        return _move(queue, o.states or _DEFAULT, o, screen)
    return _copy(queue, o.states or (State.ACTIVE, *_DEFAULT), o, screen)


class _Trouble:
    """Tells of what could not be done, and remembers the status of the first."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self.status = 0

    def __call__(self, error: PqError) -> None:
        failed = self._screen.report(error)
        self.status = self.status or failed


def _copy(queue: Queue, states: Sequence[State], o: ExportOptions, screen: Screen) -> int:
    screen.check()
    if o.tar and screen.is_terminal():
        raise UsageError("--tar: this is a terminal; write to a file or a pipe")
    trouble = _Trouble(screen)
    with Counting(screen, "items", lambda: queue.count(states)) as counting:
        sending = Sending(queue, states, None, trouble)
        _send(sending, counting.watched(screen), queue.uuid(), counting, tar=o.tar)
        screen.flush()
    return trouble.status


def _move(queue: Queue, states: Sequence[State], o: ExportOptions, screen: Screen) -> int:
    trouble, uuid = _Trouble(screen), queue.uuid()
    with Counting(screen, "items", lambda: queue.count(states)) as counting:
        sending = Sending(queue, states, queue.departures(), trouble)
        try:
            with into(o.cmd) as pipe:
                _send(sending, pipe, uuid, counting, tar=o.tar)
        except BaseException:
            sending.stay()
            raise
    screen.warn(f"{sending.settle()} items have left")
    return trouble.status


def _send(sending: Sending, stream: BinaryIO, uuid: str, counting: Counting, *, tar: bool) -> None:
    writer = TarWriter(stream) if tar else JsonWriter(stream)
    at = format_time(time.time())
    for sent in sending.send(writer, uuid, os.uname().nodename, at):
        counting.tick(sent)
