"""`pq renew`: prolong claims."""

from __future__ import annotations

from typing import Annotated

import typer

from pq_cli.commands.common import (
    LOCK_TIMEOUT,
    ItemsArgument,
    LockTimeoutOption,
    SpoolOption,
    for_each,
    lease_seconds,
    open_spool,
)


def command(
    items: ItemsArgument,
    lease: Annotated[str | None, typer.Option(metavar="D", help="How long from now.")] = None,
    spool: SpoolOption = "",
    lock_timeout: LockTimeoutOption = LOCK_TIMEOUT,
) -> int:
    """Prolong the lease of claimed items, counted from now."""
    seconds = lease_seconds(lease)
    queue = open_spool(spool, lock_timeout=lock_timeout)
    return for_each(queue, items, lambda ref: queue.renew(ref, seconds))
