"""`pq pause`: nothing is claimed for a while."""

from __future__ import annotations

from typing import Annotated

import typer

from pq_cli.commands.common import LOCK_TIMEOUT, LockTimeoutOption, SpoolOption, open_spool
from pq_cli.errors import UsageError

_MAX_REASON = 500


def command(
    reason: Annotated[
        str | None, typer.Argument(metavar="[REASON]", help="Shown to everyone who asks.")
    ] = None,
    spool: SpoolOption = "",
    lock_timeout: LockTimeoutOption = LOCK_TIMEOUT,
) -> int:
    """Let nothing be claimed until `pq resume`: `pq next` exits 75 and says why.

    Those who wait go on waiting; enqueue goes on, and what is active may finish. Pausing again
    replaces the reason.
    """
    if reason is not None and len(reason) > _MAX_REASON:
        raise UsageError(f"a reason has at most {_MAX_REASON} characters")
    open_spool(spool, create=True, lock_timeout=lock_timeout).pause(reason)
    return 0
