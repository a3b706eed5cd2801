"""`pq init`: make a spool with a queue.toml that explains itself, or the tables of a database."""

from __future__ import annotations

from pq_cli.backends import set_up
from pq_cli.commands.spools import open_own_folder
from pq_cli.errors import UsageError
from pq_cli.options import Options, option
from pq_cli.queue.policytext import CONFIG_TEMPLATE
from pq_cli.screen import Screen
from pq_cli.spool.disk import layout


class InitOptions(Options):
    """The command line of `pq init`, as typed."""

    where: str | None = option("DIR|URL", "What to make, instead of -s.")
    grant: tuple[str, ...] = option(
        "--grant ROLE", "In PostgreSQL: let this role work at the queue.", many=True
    )
    drop_mode: int | None = option(
        "--drop-mode MODE", "Let others drop files into new/: 1730.", read=layout.parse_drop_mode
    )


def command(o: InitOptions, screen: Screen) -> int:
    """Make the spool, if it is missing, and write a commented queue.toml into it.

    A queue.toml that is there already stays as it is. With --drop-mode 1730 the group may drop
    files into SPOOL/new/ but neither list nor read anything; 0700 takes that back.

    Of a URL, make or upgrade the tables in its database, and the queue that it names.
    """
    if o.where is not None:
        o = o.replace(spool=o.where)
    made = set_up(o.spool, o.grant, o.lock_timeout)
    if made is not None:
        if o.drop_mode is not None:
            raise UsageError(f"{made}: a database has no drop box: --drop-mode is for a directory")
        screen.warn(f"the tables in {made} are ready")
        return 0
    if o.grant:
        raise UsageError("--grant is for a queue in PostgreSQL; a directory has its owner and mode")
    queue = open_own_folder(o, screen, "init", create=True)
    if queue.write_config(CONFIG_TEMPLATE):
        screen.warn(f"made {queue.path}/queue.toml; every line in it is a default, commented out")
    else:
        screen.warn(f"{queue.path}/queue.toml is there already and stays as it is")
    mode = o.drop_mode
    if mode is not None:
        queue.open_drop_box(mode)
        screen.warn(
            f"{queue.path}/new has mode {mode:04o} now; its group is that of the folder (chgrp)"
        )
    return 0
