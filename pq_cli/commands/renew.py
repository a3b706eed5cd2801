"""`pq renew`: prolong claims."""

from __future__ import annotations

from functools import partial

from pq_cli.commands.spools import act_on_items
from pq_cli.options import ItemsOptions, option, span
from pq_cli.screen import Screen


class RenewOptions(ItemsOptions):
    """The command line of `pq renew`, as typed."""

    lease: float | None = option("--lease D", "How long from now.", read=span)


def command(o: RenewOptions, screen: Screen) -> int:
    """Prolong the lease of claimed items, counted from now."""
    return act_on_items(o, screen, lambda queue: partial(queue.renew, lease=o.lease))
