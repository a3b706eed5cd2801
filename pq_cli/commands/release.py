"""`pq release`: give claimed items back."""

from __future__ import annotations

from pq_cli.commands.choosing import act_on
from pq_cli.core.item import State
from pq_cli.options import ChosenOptions
from pq_cli.screen import Screen


def command(o: ChosenOptions, screen: Screen) -> int:
    """Give claimed items back, in their old place; the attempt does not count.

    Those named, or all active ones that options such as --key or --older-than choose. A command
    that runs on one is stopped by its worker.
    """
    return act_on(o, screen, (State.ACTIVE,), "released", lambda queue: queue.release)
