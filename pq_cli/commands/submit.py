"""`pq submit`: its options; see `actions.submit` for what it does."""

from __future__ import annotations

from typing import Annotated

import typer

from pq_cli.actions.submit import SubmitOptions, submit
from pq_cli.commands.common import (
    LOCK_TIMEOUT,
    CommandAfterDashes,
    DeferOnOption,
    LockTimeoutOption,
    PriorityOption,
    SpoolOption,
)

PARSER = CommandAfterDashes


def command(
    cmd: Annotated[
        list[str] | None,
        typer.Argument(metavar="-- CMD...", help="Run with the payload on its stdin."),
    ] = None,
    priority: PriorityOption = None,
    key: Annotated[
        str | None, typer.Option("--key", metavar="KEY", help="Unique among live items.")
    ] = None,
    if_exists: Annotated[
        str, typer.Option(metavar="WHAT", help="If the key is taken: skip, fail or replace.")
    ] = "skip",
    max_attempts: Annotated[
        str | None, typer.Option(metavar="N", help="Attempts before it counts as failed.")
    ] = None,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="A name to show.")] = None,
    metadata: Annotated[
        list[str] | None, typer.Option("-m", "--metadata", metavar="K=V", help="May be repeated.")
    ] = None,
    defer_on: DeferOnOption = None,
    lease: Annotated[
        str | None, typer.Option("--lease", metavar="D", help="Renewed while CMD runs.")
    ] = None,
    spool: SpoolOption = "",
    lock_timeout: LockTimeoutOption = LOCK_TIMEOUT,
) -> int:
    """Run CMD on stdin now; if it fails, leave the payload in the queue for a later `pq run`.

    Exit 0: delivered, or queued; the id is printed only when it is queued. Exit 6: CMD said
    (exit 100) that it can never succeed; the item is among the failed ones.
    """
    return submit(
        SubmitOptions(
            cmd=tuple(cmd or ()), priority=priority, key=key, if_exists=if_exists,
            max_attempts=max_attempts, name=name, metadata=tuple(metadata or ()), lease=lease,
            defer_on=defer_on, spool=spool, lock_timeout=lock_timeout,
        )
    )  # fmt: skip
