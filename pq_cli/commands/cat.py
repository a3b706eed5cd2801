"""`pq cat`: payloads."""

from __future__ import annotations

from typing import Annotated

import typer

from pq_cli.commands.common import ItemsArgument, SpoolOption, for_each, open_spool
from pq_cli.errors import UsageError
from pq_cli.render import check_stdout, copy_to_stdout
from pq_cli.render.plain import NOT_TEXT, unfit_for_terminal


def command(
    items: ItemsArgument,
    raw: Annotated[
        bool, typer.Option("--raw", help="To a terminal, too, what is not text.")
    ] = False,
    spool: SpoolOption = "",
) -> int:
    """Print the payload, byte for byte; nothing is claimed or changed.

    A terminal gets no payload that is not text, unless --raw asks for it.
    """
    queue = open_spool(spool)
    check_stdout()

    def print_payload(ref: str) -> None:
        with queue.open_payload(ref) as payload:
            if not raw and unfit_for_terminal(payload.fileno()):
                raise UsageError(
                    f"item {ref} is {NOT_TEXT}: --raw prints it, or `pq cat {ref} >FILE`"
                )
            copy_to_stdout(payload.fileno())

    return for_each(queue, items, print_payload)
