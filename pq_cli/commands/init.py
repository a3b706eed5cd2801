"""`pq init`: make a spool, and a queue.toml that explains itself."""

from __future__ import annotations

from pq_cli.commands.spools import open_own_folder
from pq_cli.options import Options, option
from pq_cli.screen import Screen
from pq_cli.spool.disk import layout
from pq_cli.spool.template import CONFIG_TEMPLATE


class InitOptions(Options):
    """The command line of `pq init`, as typed."""

    drop_mode: str | None = option(
        "--drop-mode", metavar="MODE", help="Let others drop files into new/: 1730."
    )


OPTIONS = InitOptions


def command(o: InitOptions, screen: Screen) -> int:
    """Make the spool, if it is missing, and write a commented queue.toml into it.

    A queue.toml that is there already stays as it is. With --drop-mode 1730 the group may drop
    files into SPOOL/new/ but neither list nor read anything; 0700 takes that back.
    """
    mode = None if o.drop_mode is None else layout.parse_drop_mode(o.drop_mode)
    queue = open_own_folder(o, screen, "init", create=True)
    if queue.write_config(CONFIG_TEMPLATE):
        screen.warn(f"made {queue.path}/queue.toml; every line in it is a default, commented out")
    else:
        screen.warn(f"{queue.path}/queue.toml is there already and stays as it is")
    if mode is not None:
        queue.open_drop_box(mode)
        screen.warn(
            f"{queue.path}/new has mode {mode:04o} now; its group is that of the folder (chgrp)"
        )
    return 0
