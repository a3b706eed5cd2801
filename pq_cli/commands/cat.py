"""`pq cat`: payloads."""

from __future__ import annotations

from pq_cli.commands.spools import for_each, open_spool
from pq_cli.errors import UsageError
from pq_cli.options import ITEMS, LookOptions, option
from pq_cli.render.present import NOT_TEXT
from pq_cli.screen import Screen


class CatOptions(LookOptions):
    """The command line of `pq cat`, as typed."""

    items: tuple[str, ...] = ITEMS
    raw: bool = option("--raw", "To a terminal, too, what is not text.")


def command(o: CatOptions, screen: Screen) -> int:
    """Print the payload, byte for byte; nothing is claimed or changed.

    A terminal gets no payload that is not text, unless --raw asks for it.
    """
    queue = open_spool(o, screen)
    screen.check()

    def print_payload(ref: str) -> None:
        with queue.open_payload(ref) as payload:
            if not screen.copy(payload, raw=o.raw):
                raise UsageError(
                    f"item {ref} is {NOT_TEXT}: --raw prints it, or `pq cat {ref} >FILE`"
                )

    return for_each(queue, o.items, screen, print_payload)
