"""`pq pause`: nothing is claimed for a while."""

from __future__ import annotations

from pq_cli.commands.spools import open_spool
from pq_cli.errors import UsageError
from pq_cli.options import Options, option
from pq_cli.screen import Screen

_MAX_REASON = 500


class PauseOptions(Options):
    """The command line of `pq pause`, as typed."""

    reason: str | None = option("[REASON]", "Shown to everyone who asks.")


def command(o: PauseOptions, screen: Screen) -> int:
    """Let nothing be claimed until `pq resume`: `pq next` exits 75 and says why.

    Those who wait go on waiting; enqueue goes on, and what is active may finish. Pausing again
    replaces the reason.
    """
    if len(o.reason or "") > _MAX_REASON:
        raise UsageError(f"a reason has at most {_MAX_REASON} characters")
    open_spool(o, screen, create=True).pause(o.reason)
    return 0
