"""`pq cancel`: stop what is being worked on, or will be."""

from __future__ import annotations

import os

from pq_cli.commands.spools import for_each, open_spool
from pq_cli.errors import UsageError
from pq_cli.options import ItemsOptions, flag
from pq_cli.screen import Screen


class CancelOptions(ItemsOptions):
    """The command line of `pq cancel`, as typed."""

    hold: bool = flag("--hold", help="Hold the items instead: `pq retry` sends them back.")
    remove: bool = flag("--remove", help="Remove them instead: `pq undo` brings them back.")


OPTIONS = CancelOptions


def command(o: CancelOptions, screen: Screen) -> int:
    """Let nobody work on items: they are failed, "cancelled by YOU".

    A command that runs on one is stopped by its worker within a second, wherever that is, by
    TERM and, should it not heed that, by KILL.
    """
    if o.hold and o.remove:
        raise UsageError("--hold and --remove exclude each other")
    queue = open_spool(o, screen)
    by, until = _user(), queue.removal() if o.remove else None
    return for_each(
        queue, o.items, screen,
        lambda ref: queue.cancel(ref, hold=o.hold, remove=o.remove, by=by, kept_until=until),
    )  # fmt: skip


def _user() -> str:
    """Return the name of who runs this, or the number where the system has no name for it."""
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
