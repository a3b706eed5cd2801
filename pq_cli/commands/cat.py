"""`pq cat`: payloads."""

from __future__ import annotations

import os

from pq_cli.commands.common import ItemsArgument, SpoolOption, for_each, open_spool
from pq_cli.render import check_stdout, copy_to_stdout


def command(items: ItemsArgument, spool: SpoolOption = "") -> int:
    """Print the payload, byte for byte; nothing is claimed or changed."""
    queue = open_spool(spool)
    check_stdout()

    def print_payload(ref: str) -> None:
        fd = queue.open_payload(ref)
        try:
            copy_to_stdout(fd)
        finally:
            os.close(fd)

    return for_each(queue, items, print_payload)
