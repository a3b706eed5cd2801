"""`pq fail`: an attempt failed."""

from __future__ import annotations

from typing import Annotated

import typer

from pq_cli.commands.common import (
    LOCK_TIMEOUT,
    ItemsArgument,
    LockTimeoutOption,
    SpoolOption,
    for_each,
    open_spool,
)


def command(
    items: ItemsArgument,
    error: Annotated[
        str | None, typer.Option("--error", metavar="TEXT", help="What failed.")
    ] = None,
    dead: Annotated[bool, typer.Option("--dead", help="Do not retry.")] = False,
    spool: SpoolOption = "",
    lock_timeout: LockTimeoutOption = LOCK_TIMEOUT,
) -> int:
    """Say that the attempt failed: the item is retried later, or fails for good at max_attempts."""
    queue = open_spool(spool, lock_timeout=lock_timeout)
    return for_each(queue, items, lambda ref: queue.fail(ref, error, dead=dead))
