"""`pq enqueue`: stdin or files become items; their ids are printed, one a line."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from pq_cli.commands.common import (
    LOCK_TIMEOUT,
    LockTimeoutOption,
    PriorityOption,
    SpoolOption,
    open_spool,
)
from pq_cli.commands.messages import os_error_status, os_error_text, warn
from pq_cli.commands.records import json_records, split_records
from pq_cli.core.item import printable, valid_priority
from pq_cli.core.request import Request, checked
from pq_cli.core.timefmt import parse_duration, parse_time
from pq_cli.errors import PqError, UsageError
from pq_cli.render import check_stdout, emit, flush

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pq_cli.commands.records import Record
    from pq_cli.spool.payload import Staged
    from pq_cli.spool.spool import Spool


def command(
    files: Annotated[list[str] | None, typer.Argument(metavar="[FILE...]")] = None,
    priority: PriorityOption = None,
    key: Annotated[str | None, typer.Option("--key", help="Unique among live items.")] = None,
    if_exists: Annotated[
        str, typer.Option(metavar="WHAT", help="If the key is taken: skip, fail or replace.")
    ] = "skip",
    delay: Annotated[str | None, typer.Option(metavar="D", help="Not before D from now.")] = None,
    at: Annotated[str | None, typer.Option(metavar="T", help="Not before this time.")] = None,
    max_attempts: Annotated[
        str | None, typer.Option(metavar="N", help="Attempts before it counts as failed.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="A name to show; default: FILE's.")] = None,
    metadata: Annotated[
        list[str] | None, typer.Option("-m", "--metadata", metavar="K=V", help="May be repeated.")
    ] = None,
    lines: Annotated[bool, typer.Option("--lines", help="One item a line.")] = False,
    null: Annotated[bool, typer.Option("-0", "--null", help="One item a NUL record.")] = False,
    jsonl: Annotated[bool, typer.Option("--jsonl", help="One item a JSON record.")] = False,
    move: Annotated[bool, typer.Option("--move", help="Remove each FILE once queued.")] = False,
    spool: SpoolOption = "",
    lock_timeout: LockTimeoutOption = LOCK_TIMEOUT,
) -> int:
    """Add stdin, or each FILE, to the queue; print the ids, one a line.

    An id that was printed is safe, also from a power loss.
    """
    modes = lines + null + jsonl
    if modes > 1:
        raise UsageError("--lines, -0 and --jsonl exclude each other")
    if move and (modes or not files):
        raise UsageError("--move takes whole FILEs")
    request = checked(
        Request(
            priority=None if priority is None else valid_priority(priority),
            key=key,
            if_exists=if_exists,
            delay=None if delay is None else parse_duration(delay),
            at=None if at is None else parse_time(at),
            max_attempts=None if max_attempts is None else _whole(max_attempts),
            name=name,
            metadata=_metadata(metadata or []),
        )
    )
    if not files:
        _check_stdin()
    check_stdout()
    queue = open_spool(spool, create=True, lock_timeout=lock_timeout)
    work = _Enqueue(queue, request)
    for file in files or ["-"]:
        if modes:
            work.records(file, lines=lines, null=null)
        else:
            work.whole(file, move=move)
    return work.status


def _check_stdin() -> None:
    if sys.stdin is None:
        raise UsageError("no FILE given, and standard input is closed")
    if os.isatty(0):
        raise UsageError("no FILE given, and standard input is a terminal; pipe something in")


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise UsageError(f"max-attempts {printable(text)!r}: give a whole number from 1")
    return int(text)


def _metadata(pairs: Iterable[str]) -> dict[str, str]:
    metadata = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise UsageError(f"-m {printable(pair)}: give KEY=VALUE")
        metadata[key] = value
    return metadata


class _Enqueue:
    """Enqueues one FILE after the other; one that is bad does not stop the others."""

    def __init__(self, spool: Spool, request: Request) -> None:
        self._spool = spool
        self._request = request
        self.status = 0

    def whole(self, file: str, *, move: bool) -> None:
        """Make one item of a whole FILE; `-` is stdin."""
        try:
            if file == "-":
                _check_stdin()
                staged = self._spool.stage(sys.stdin.buffer, self._request)
            else:
                name = self._request.name or os.path.basename(file)
                request = self._request.replace(name=name)
                staged = self._spool.stage_file(file, request, move=move)
            self._commit([staged])
        except PqError as error:
            self._note(error, error.exit_code)
        except OSError as error:
            if isinstance(error, BrokenPipeError):
                raise
            self._note(os_error_text(error), os_error_status(error))

    def records(self, file: str, *, lines: bool, null: bool) -> None:
        """Make items of the records in a FILE; those before a bad one stay queued."""
        try:
            fd = 0 if file == "-" else os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            self._note(os_error_text(error), os_error_status(error))
            return
        try:
            if lines or null:
                batches = split_records(fd, b"\0" if null else b"\n", self._request)
            else:
                batches = json_records(fd, self._request)
            for batch in batches:
                self._batch(batch.records)
                if batch.error is not None:
                    raise batch.error
        except PqError as error:
            where = "" if file == "-" else f"{file}: "
            self._note(f"{where}{error}", error.exit_code)
        except OSError as error:
            if isinstance(error, BrokenPipeError):
                raise
            self._note(os_error_text(error), os_error_status(error))
        finally:
            if fd:
                os.close(fd)

    def _batch(self, records: list[Record]) -> None:
        staged: list[Staged] = []
        for payload, request in records:
            staged.append(self._spool.stage(payload, request))
        self._commit(staged)

    def _commit(self, staged: list[Staged]) -> None:
        items, error = self._spool.commit(staged)
        for item in items:
            emit(str(item.id))
        flush()
        if error is not None:
            raise error

    def _note(self, message: object, status: int) -> None:
        warn(message)
        self.status = self.status or status
