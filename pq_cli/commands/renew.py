"""`pq renew`: prolong claims."""

from __future__ import annotations

from pq_cli.commands.spools import for_each, open_spool, told
from pq_cli.core.item import Item
from pq_cli.options import ItemsOptions, option, span
from pq_cli.screen import Screen


class RenewOptions(ItemsOptions):
    """The command line of `pq renew`, as typed."""

    lease: float | None = option("--lease D", "How long from now.", read=span)


OPTIONS = RenewOptions


def command(o: RenewOptions, screen: Screen) -> int:
    """Prolong the lease of claimed items, counted from now."""
    queue = open_spool(o, screen)

    def renew(ref: str) -> Item:
        return queue.renew(ref, o.lease)

    return for_each(queue, o.items, screen, told(o.as_json, queue, screen, renew))
