"""`pq init`: make a spool, and a queue.toml that explains itself."""

from __future__ import annotations

from pq_cli.commands.common import LOCK_TIMEOUT, LockTimeoutOption, SpoolOption, open_spool
from pq_cli.messages import warn
from pq_cli.spool.template import CONFIG_TEMPLATE


def command(spool: SpoolOption = "", lock_timeout: LockTimeoutOption = LOCK_TIMEOUT) -> int:
    """Make the spool, if it is missing, and write a commented queue.toml into it.

    A queue.toml that is there already stays as it is.
    """
    queue = open_spool(spool, create=True, lock_timeout=lock_timeout)
    if queue.write_config(CONFIG_TEMPLATE):
        warn(f"made {queue.path}/queue.toml; every line in it is a default, commented out")
    else:
        warn(f"{queue.path}/queue.toml is there already and stays as it is")
    return 0
