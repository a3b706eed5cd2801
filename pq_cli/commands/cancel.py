"""`pq cancel`: stop what is being worked on, or will be."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

from pq_cli.commands.choosing import act_on
from pq_cli.core.item import LIVE
from pq_cli.errors import UsageError
from pq_cli.host import user_name
from pq_cli.options import ChosenOptions, option
from pq_cli.screen import Screen

if TYPE_CHECKING:
    from pq_cli.commands.choosing import Act
    from pq_cli.queue.verbs import Queue


class CancelOptions(ChosenOptions):
    """The command line of `pq cancel`, as typed."""

    hold: bool = option("--hold", "Hold the items instead: `pq retry` sends them back.")
    remove: bool = option("--remove", "Remove them instead: `pq undo` brings them back.")


def command(o: CancelOptions, screen: Screen) -> int:
    """Let nobody work on items: they are failed, "cancelled by YOU".

    A command that runs on one is stopped by its worker within a second, wherever that is, by
    TERM and, should it not heed that, by KILL. Those named, or all that options such as --key or
    --older-than choose.
    """
    if o.hold and o.remove:
        raise UsageError("--hold and --remove exclude each other")
    did = "held" if o.hold else "removed" if o.remove else "cancelled"

    def cancel(queue: Queue) -> Act:
        until = queue.removal() if o.remove else None
        me = user_name(os.getuid())
        return partial(queue.cancel, hold=o.hold, remove=o.remove, by=me, kept_until=until)

    return act_on(o, screen, LIVE, did, cancel)
