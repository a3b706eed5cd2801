"""`pq init`: make a spool, and a queue.toml that explains itself."""

from __future__ import annotations

from typing import Annotated

import typer

from pq_cli.backends import open_folder
from pq_cli.commands.common import LOCK_TIMEOUT, LockTimeoutOption, SpoolOption
from pq_cli.core.timefmt import parse_duration
from pq_cli.messages import warn
from pq_cli.spool.disk import layout
from pq_cli.spool.template import CONFIG_TEMPLATE


def command(
    drop_mode: Annotated[
        str | None,
        typer.Option("--drop-mode", metavar="MODE", help="Let others drop files into new/: 1730."),
    ] = None,
    spool: SpoolOption = "",
    lock_timeout: LockTimeoutOption = LOCK_TIMEOUT,
) -> int:
    """Make the spool, if it is missing, and write a commented queue.toml into it.

    A queue.toml that is there already stays as it is. With --drop-mode 1730 the group may drop
    files into SPOOL/new/ but neither list nor read anything; 0700 takes that back.
    """
    mode = None if drop_mode is None else layout.parse_drop_mode(drop_mode)
    seconds = parse_duration(lock_timeout)
    queue = open_folder(spool, "init", create=True, lock_timeout=seconds, report=warn)
    if queue.write_config(CONFIG_TEMPLATE):
        warn(f"made {queue.path}/queue.toml; every line in it is a default, commented out")
    else:
        warn(f"{queue.path}/queue.toml is there already and stays as it is")
    if mode is not None:
        queue.open_drop_box(mode)
        warn(f"{queue.path}/new has mode {mode:04o} now; its group is that of the folder (chgrp)")
    return 0
