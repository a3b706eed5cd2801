"""`pq done`: its options; see `actions.done` for what it does."""

from __future__ import annotations

from pq_cli.actions.done import DoneOptions, done
from pq_cli.commands.common import LOCK_TIMEOUT, ItemsArgument, LockTimeoutOption, SpoolOption


def command(
    items: ItemsArgument, spool: SpoolOption = "", lock_timeout: LockTimeoutOption = LOCK_TIMEOUT
) -> int:
    """Finish claimed items. A claim that was taken away is refused (exit 4)."""
    return done(DoneOptions(items=tuple(items), spool=spool, lock_timeout=lock_timeout))
