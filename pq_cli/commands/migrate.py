"""`pq migrate`: the items of an older or foreign queue become items of this spool."""

from __future__ import annotations

from typing import Annotated

import typer

from pq_cli.actions.migrate import MigrateOptions, migrate
from pq_cli.commands.common import LOCK_TIMEOUT, JsonOption, LockTimeoutOption, SpoolOption


def command(
    source: Annotated[str, typer.Argument(metavar="SRC", help="The folder of the older queue.")],
    reader: Annotated[
        str | None, typer.Option("--from", metavar="NAME", help="What it is, if looking fails.")
    ] = None,
    tz: Annotated[
        str | None, typer.Option("--tz", metavar="ZONE", help="Of times recorded without a zone.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan; do nothing.")] = False,
    move: Annotated[
        bool, typer.Option("--move", help="Remove the files of each item that is in.")
    ] = False,
    include_done: Annotated[
        bool, typer.Option("--include-done", help="Import done items too.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Although something still works in SRC.")
    ] = False,
    as_json: JsonOption = False,
    spool: SpoolOption = "",
    lock_timeout: LockTimeoutOption = LOCK_TIMEOUT,
) -> int:
    """Import an older or foreign queue, in its order, with its bytes and facts.

    May be interrupted and run again: nothing is taken twice. Files that were not understood are
    listed and left where they are (exit 65). If SRC is a pq spool already, there is nothing to do.
    """
    return migrate(
        MigrateOptions(
            source=source, reader=reader, tz=tz, dry_run=dry_run, move=move,
            include_done=include_done, force=force, as_json=as_json, spool=spool,
            lock_timeout=lock_timeout,
        )
    )  # fmt: skip
