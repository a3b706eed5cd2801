"""`pq export` and `pq import`: items leave for another spool, and arrive from one."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import BinaryIO, cast

from pq_cli.commands.spools import open_spool
from pq_cli.core.item import State, printable
from pq_cli.core.timefmt import format_time
from pq_cli.errors import (
    EXIT_COMMAND_FAILED,
    EXIT_DATA,
    CommandNotFoundError,
    NotExecutableError,
    PqError,
    SpoolIOError,
    UsageError,
)
from pq_cli.messages import warn
from pq_cli.opened import lines_of
from pq_cli.render import StdoutBytes, check_stdout, emit, flush, stdout_is_terminal
from pq_cli.render.counting import Counting
from pq_cli.spool.spool import Spool
from pq_cli.transfer.jsonl import JsonSource, JsonWriter
from pq_cli.transfer.receiving import Receiving
from pq_cli.transfer.sending import Sending
from pq_cli.transfer.stream import Source, read_receipt, receipt_line
from pq_cli.transfer.tarred import TarSource, TarWriter

_DEFAULT = (State.PENDING, State.DELAYED, State.HELD, State.FAILED)


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """The command line of `pq export`; `states` is checked, the rest as typed."""

    states: Sequence[State]
    tar: bool
    move: bool
    confirm: bool
    cmd: Sequence[str]
    spool: str
    lock_timeout: str


class _Trouble:
    """Tells of what could not be done, and remembers the status of the first."""

    def __init__(self) -> None:
        self.status = 0

    def __call__(self, error: PqError) -> None:
        warn(error)
        self.status = self.status or error.exit_code


def export(options: ExportOptions) -> int:
    """Write the stream, or take the receipts; return the exit status."""
    if options.confirm:
        if options.move or options.tar or options.states or options.cmd:
            raise UsageError("--confirm reads receipts on stdin, and takes no other option")
        return _confirm_stdin(options)
    if options.cmd and not options.move:
        raise UsageError("CMD is for --move: it is to print a receipt for each item")
    if options.move and State.ACTIVE in options.states:
        raise UsageError("--move: an active item is being worked at, it cannot leave")
    queue = open_spool(options.spool, lock_timeout=options.lock_timeout)
    trouble = _Trouble()
    states = options.states or (_DEFAULT if options.move else (State.ACTIVE, *_DEFAULT))
    departures = queue.departures()
    uuid = departures.uuid()
    with Counting("items", lambda: queue.count(states)) as counting:
        sending = Sending(
            queue, states, departures if options.move else None, trouble, counting.tick
        )
        if options.cmd:
            return _send_to(options, sending, uuid, trouble)
        check_stdout()
        if options.tar and stdout_is_terminal():
            raise UsageError("--tar: this is a terminal; write to a file or a pipe")
        _send(sending, counting.watched(StdoutBytes()), uuid, tar=options.tar)
        flush()
    if options.move:
        warn(
            f"{sending.count} items sent; each stays here, held, until its receipt comes to"
            " pq export --confirm"
        )
    return trouble.status


def _send(sending: Sending, stream: BinaryIO, uuid: str, *, tar: bool) -> None:
    writer = TarWriter(stream) if tar else JsonWriter(stream)
    for _ in sending.send(writer, uuid, os.uname().nodename, format_time(time.time())):
        pass


def _send_to(options: ExportOptions, sending: Sending, uuid: str, trouble: _Trouble) -> int:
    """Run CMD with the stream on its stdin; let go what it prints receipts for."""
    # With a spool of its own: receipts come while items are still being sent.
    own = open_spool(options.spool, lock_timeout=options.lock_timeout)
    receipts = _Receipts(own, trouble)
    with _started(options.cmd) as process:
        assert process.stdin is not None and process.stdout is not None  # PIPE
        taker = threading.Thread(target=receipts.take, args=(process.stdout,), daemon=True)
        taker.start()
        try:
            with process.stdin as pipe:
                _send(sending, cast("BinaryIO", pipe), uuid, tar=options.tar)
        except BrokenPipeError:
            warn(f"{printable(options.cmd[0])} did not read to the end")
            trouble.status = trouble.status or EXIT_COMMAND_FAILED
        taker.join()
    if receipts.error is not None:
        raise receipts.error
    if process.returncode:
        warn(f"{printable(options.cmd[0])} ended with status {process.returncode}")
        trouble.status = trouble.status or EXIT_COMMAND_FAILED
    left = sending.count - receipts.count
    rest = f"; {left} are held here until they are sent again" if left > 0 else ""
    warn(f"{receipts.count} items have left{rest}")
    return trouble.status or (EXIT_COMMAND_FAILED if left > 0 else 0)


def _started(cmd: Sequence[str]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(list(cmd), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    except FileNotFoundError:
        raise CommandNotFoundError(f"{printable(cmd[0])}: no such command") from None
    except PermissionError:
        raise NotExecutableError(f"{printable(cmd[0])} cannot be executed") from None


def _confirm_stdin(options: ExportOptions) -> int:
    if sys.stdin is None:
        raise SpoolIOError("standard input is closed")
    trouble = _Trouble()
    receipts = _Receipts(open_spool(options.spool, lock_timeout=options.lock_timeout), trouble)
    receipts.take(lines_of(sys.stdin.buffer))
    if receipts.error is not None:
        raise receipts.error
    warn(f"{receipts.count} items have left")
    return trouble.status


class _Receipts:
    """Lets the items of receipts go; usable in a thread of its own."""

    def __init__(self, queue: Spool, trouble: Callable[[PqError], None]) -> None:
        self._departures = queue.departures()
        self._trouble = trouble
        self.count = 0
        self.error: Exception | None = None

    def take(self, lines: Iterable[bytes]) -> None:
        """Take every receipt; a bad one is reported. What ends it is kept in `error`."""
        try:
            uuid = self._departures.uuid()
            for raw in lines:
                line = raw.decode("utf-8", "replace").strip()
                try:
                    if line:
                        self.count += self._departures.let_go(uuid, read_receipt(line))
                except PqError as error:
                    self._trouble(error)
        except Exception as error:
            self.error = error


def import_stream(*, receipt: bool, spool: str, lock_timeout: str) -> int:
    """Let the items on stdin enter; print ids or receipts; return the exit status."""
    check_stdout()
    if sys.stdin is None:
        raise SpoolIOError("standard input is closed")
    queue = open_spool(spool, create=True, lock_timeout=lock_timeout)
    trouble = _Trouble()
    entered = known = 0
    try:
        with Counting("items") as counting, queue.arrivals() as arrivals:
            source = _source(counting.watched(sys.stdin.buffer))
            receiving = Receiving(queue.path, arrivals, trouble, time.time())
            for received in counting.over(receiving.run(source)):
                entered += received.item is not None
                known += received.item is None
                if receipt:
                    emit(receipt_line(received.origin))
                elif received.item is not None:
                    emit(str(received.item.id))
                flush()
    finally:
        warn(f"{entered} items imported" + (f"; {known} had come before" if known else ""))
    return EXIT_DATA if trouble.status else 0


def _source(stream: BinaryIO) -> Source:
    """Return the reader of the stream on stdin: JSON Lines begin with a brace, tar does not."""
    first = stream.peek(1)[:1]  # type: ignore[attr-defined]
    return JsonSource(stream) if first in (b"{", b"\n", b"") else TarSource(stream)
