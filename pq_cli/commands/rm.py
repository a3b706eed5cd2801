"""`pq rm`: remove items."""

from __future__ import annotations

from functools import partial

from pq_cli.commands.choosing import act_on
from pq_cli.core.item import State
from pq_cli.options import ChosenOptions
from pq_cli.screen import Screen

_MAY = (State.PENDING, State.DELAYED, State.HELD, State.FAILED, State.DONE)


def command(o: ChosenOptions, screen: Screen) -> int:
    """Remove items with their payloads. An active item is refused (exit 4).

    Those named, or all that options such as --key or --older-than choose. `pq undo` brings back
    what was removed, for keep_removed (a day); `pq purge --state removed` deletes it for good.
    """
    return act_on(
        o, screen, _MAY, "removed",
        lambda queue: partial(queue.remove, kept_until=queue.removal()),
    )  # fmt: skip
