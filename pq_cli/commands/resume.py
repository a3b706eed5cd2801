"""`pq resume`: the end of a pause."""

from __future__ import annotations

from pq_cli.commands.common import LOCK_TIMEOUT, LockTimeoutOption, SpoolOption, open_spool
from pq_cli.messages import warn


def command(spool: SpoolOption = "", lock_timeout: LockTimeoutOption = LOCK_TIMEOUT) -> int:
    """Let items be claimed again. A queue that is not paused stays as it is."""
    if not open_spool(spool, lock_timeout=lock_timeout).resume():
        warn("the queue was not paused")
    return 0
