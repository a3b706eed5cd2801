"""`pq resume`: the end of a pause."""

from __future__ import annotations

from pq_cli.commands.spools import open_spool
from pq_cli.options import Options
from pq_cli.screen import Screen


def command(o: Options, screen: Screen) -> int:
    """Let items be claimed again. A queue that is not paused stays as it is."""
    if not open_spool(o, screen).resume():
        screen.warn("the queue was not paused")
    return 0
