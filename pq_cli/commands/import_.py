"""`pq import`: the items of a stream of `pq export`."""

from __future__ import annotations

from typing import Annotated

import typer

from pq_cli.actions.transfer import import_stream
from pq_cli.commands.common import LOCK_TIMEOUT, LockTimeoutOption, SpoolOption


def command(
    receipt: Annotated[
        bool, typer.Option("--receipt", help="Print receipts for the sender, not ids.")
    ] = False,
    spool: SpoolOption = "",
    lock_timeout: LockTimeoutOption = LOCK_TIMEOUT,
) -> int:
    """Read what `pq export` wrote from stdin; print the new ids, one a line.

    An item that came before does not come again, so a stream that was cut short is sent anew.
    """
    return import_stream(receipt=receipt, spool=spool, lock_timeout=lock_timeout)
