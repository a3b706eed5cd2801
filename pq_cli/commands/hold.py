"""`pq hold`: suspend waiting items."""

from __future__ import annotations

from pq_cli.commands.choosing import act_on
from pq_cli.core.item import State
from pq_cli.options import ChosenOptions
from pq_cli.screen import Screen


def command(o: ChosenOptions, screen: Screen) -> int:
    """Suspend pending or delayed items until `pq retry` sends them back.

    Those named, or all that options such as --key or --older-than choose.
    """
    return act_on(o, screen, (State.PENDING, State.DELAYED), "held", lambda queue: queue.hold)
