"""`pq cat`: payloads."""

from __future__ import annotations

from pq_cli.commands.common import ItemsArgument, SpoolOption, for_each, open_spool
from pq_cli.render import check_stdout, copy_to_stdout


def command(items: ItemsArgument, spool: SpoolOption = "") -> int:
    """Print the payload, byte for byte; nothing is claimed or changed."""
    queue = open_spool(spool)
    check_stdout()

    def print_payload(ref: str) -> None:
        with queue.open_payload(ref) as payload:
            copy_to_stdout(payload.fileno())

    return for_each(queue, items, print_payload)
