"""`pq enqueue`: its options; see `actions.enqueue` for what it does."""

from __future__ import annotations

from typing import Annotated

import typer

from pq_cli.actions.enqueue import EnqueueOptions, enqueue
from pq_cli.commands.common import LOCK_TIMEOUT, LockTimeoutOption, PriorityOption, SpoolOption


def command(
    files: Annotated[
        list[str] | None, typer.Argument(metavar="[FILE...]", help="Default: stdin, as is -.")
    ] = None,
    priority: PriorityOption = None,
    key: Annotated[
        str | None, typer.Option("--key", metavar="KEY", help="Unique among live items.")
    ] = None,
    if_exists: Annotated[
        str, typer.Option(metavar="WHAT", help="If the key is taken: skip, fail or replace.")
    ] = "skip",
    delay: Annotated[str | None, typer.Option(metavar="D", help="Not before D from now.")] = None,
    at: Annotated[str | None, typer.Option(metavar="T", help="Not before this time.")] = None,
    max_attempts: Annotated[
        str | None, typer.Option(metavar="N", help="Attempts before it counts as failed.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="A name to show; default: FILE's.")
    ] = None,
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
    return enqueue(
        EnqueueOptions(
            files=tuple(files or ()), priority=priority, key=key, if_exists=if_exists,
            delay=delay, at=at, max_attempts=max_attempts, name=name,
            metadata=tuple(metadata or ()), lines=lines, null=null, jsonl=jsonl, move=move,
            spool=spool, lock_timeout=lock_timeout,
        )
    )  # fmt: skip
