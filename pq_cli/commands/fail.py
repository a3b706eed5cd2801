"""`pq fail`: an attempt failed."""

from __future__ import annotations

from pq_cli.commands.spools import for_each, open_spool, told
from pq_cli.core.item import Item
from pq_cli.options import ItemsOptions, option
from pq_cli.screen import Screen


class FailOptions(ItemsOptions):
    """The command line of `pq fail`, as typed."""

    error: str | None = option("--error TEXT", "What failed.")
    dead: bool = option("--dead", "Do not retry.")


OPTIONS = FailOptions


def command(o: FailOptions, screen: Screen) -> int:
    """Say that the attempt failed: the item is retried later, or fails for good at max_attempts."""
    queue = open_spool(o, screen)

    def fail(ref: str) -> Item:
        return queue.fail(ref, o.error, dead=o.dead)

    return for_each(queue, o.items, screen, told(o.as_json, queue, screen, fail))
