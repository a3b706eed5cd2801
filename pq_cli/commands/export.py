"""`pq export`: items as a stream, for a backup or for another spool."""

from __future__ import annotations

from typing import Annotated

import typer

from pq_cli.actions.transfer import ExportOptions, export
from pq_cli.commands.common import (
    LOCK_TIMEOUT,
    STATES_HELP,
    CommandAfterDashes,
    LockTimeoutOption,
    SpoolOption,
    states_from,
)

PARSER = CommandAfterDashes


def command(
    cmd: Annotated[
        list[str] | None,
        typer.Argument(metavar="[-- CMD...]", help="With --move: what takes the stream."),
    ] = None,
    states: Annotated[
        list[str] | None, typer.Option("--state", metavar="S", help=STATES_HELP)
    ] = None,
    tar: Annotated[bool, typer.Option("--tar", help="A tar stream, for big payloads.")] = False,
    move: Annotated[
        bool, typer.Option("--move", help="Each leaves once the other side has it.")
    ] = False,
    confirm: Annotated[
        bool, typer.Option("--confirm", help="Read receipts; let go what they name.")
    ] = False,
    spool: SpoolOption = "",
    lock_timeout: LockTimeoutOption = LOCK_TIMEOUT,
) -> int:
    """Write items with their payloads to stdout, as JSON Lines or tar, for `pq import`.

    With --move an item is held when it is sent, and removed when its receipt comes back: from
    CMD, or in a pipe from `pq import --receipt` to `pq export --confirm`.
    """
    return export(
        ExportOptions(
            states=states_from(states or ()), tar=tar, move=move, confirm=confirm,
            cmd=tuple(cmd or ()), spool=spool, lock_timeout=lock_timeout,
        )
    )  # fmt: skip
