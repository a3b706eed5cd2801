"""`pq next`: its options; see `actions.next` for what it does."""

from __future__ import annotations

from typing import Annotated

import typer

from pq_cli.actions.next import NextOptions, next_item
from pq_cli.commands.common import (
    LOCK_TIMEOUT,
    CommandAfterDashes,
    DeferOnOption,
    LockTimeoutOption,
    SpoolOption,
)

PARSER = CommandAfterDashes


def command(
    cmd: Annotated[
        list[str] | None,
        typer.Argument(metavar="[-- CMD...]", help="Run CMD with the payload on its stdin."),
    ] = None,
    claim: Annotated[bool, typer.Option("--claim", help="Print the claim, ID.N.")] = False,
    path: Annotated[bool, typer.Option("--path", help="Print the payload's path.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the item as JSON.")] = False,
    ack: Annotated[
        bool, typer.Option("--ack", help="Print the payload; done once it was written.")
    ] = False,
    raw: Annotated[
        bool, typer.Option("--raw", help="To a terminal, too, a payload that is not text.")
    ] = False,
    wait: Annotated[
        str | None, typer.Option("--wait", metavar="[=D]", help="Wait for work, at most D.")
    ] = None,
    defer_on: DeferOnOption = None,
    lease: Annotated[
        str | None, typer.Option("--lease", metavar="D", help="How long the claim holds.")
    ] = None,
    spool: SpoolOption = "",
    lock_timeout: LockTimeoutOption = LOCK_TIMEOUT,
) -> int:
    """Claim the next item and print its payload; the claim is named on stderr.

    With CMD: run it with the payload on stdin; exit 0 ends the item, 75 or 111 puts it off, 100
    fails it for good, anything else retries it until max_attempts. Exit 1: nothing to do.
    """
    return next_item(
        NextOptions(
            cmd=tuple(cmd or ()), claim=claim, path=path, as_json=as_json, ack=ack, raw=raw,
            wait=wait, lease=lease, defer_on=defer_on, spool=spool, lock_timeout=lock_timeout,
        )
    )  # fmt: skip
