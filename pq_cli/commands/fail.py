"""`pq fail`: an attempt failed."""

from __future__ import annotations

from functools import partial

from pq_cli.commands.spools import act_on_items
from pq_cli.options import ItemsOptions, option
from pq_cli.screen import Screen


class FailOptions(ItemsOptions):
    """The command line of `pq fail`, as typed."""

    error: str | None = option("--error TEXT", "What failed.")
    dead: bool = option("--dead", "Do not retry.")


def command(o: FailOptions, screen: Screen) -> int:
    """Say that the attempt failed: the item is retried later, or fails for good at max_attempts."""
    return act_on_items(o, screen, lambda queue: partial(queue.fail, error=o.error, dead=o.dead))
