"""`pq cat`: an item's payload."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from pq_cli.commands.common import SpoolOption, open_spool, reference
from pq_cli.render import check_stdout, copy_to_stdout


def command(
    item: Annotated[str, typer.Argument(metavar="ITEM", help="An id, a claim, or a path.")],
    spool: SpoolOption = "",
) -> int:
    """Print the payload, byte for byte; nothing is claimed or changed."""
    queue = open_spool(spool)
    check_stdout()
    fd = queue.open_payload(reference(queue, item))
    try:
        copy_to_stdout(fd)
    finally:
        os.close(fd)
    return 0
