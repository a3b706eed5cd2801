"""`pq age`: what has aged, and the manual aging clock."""

from __future__ import annotations

from typing import Annotated

import typer

from pq_cli.commands.common import (
    LOCK_TIMEOUT,
    JsonOption,
    LockTimeoutOption,
    SpoolOption,
    open_spool,
)
from pq_cli.core.timefmt import parse_time
from pq_cli.messages import warn
from pq_cli.render import emit, emit_json, stdout_is_terminal
from pq_cli.render.counting import Counting
from pq_cli.render.sheet import age_sheet
from pq_cli.render.terminal import console


def command(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Report; move nothing.")] = False,
    at: Annotated[str | None, typer.Option(metavar="T", help="As of this time.")] = None,
    as_json: JsonOption = False,
    spool: SpoolOption = "",
    lock_timeout: LockTimeoutOption = LOCK_TIMEOUT,
) -> int:
    """Report which pending items have aged, and by how much.

    With aging_clock = "manual" this also moves the aging clock to now, or to --at T: the order
    then stays as it is until the next `pq age`. Columns: priority, effective, count, oldest id.
    """
    moment = None if at is None else parse_time(at)
    queue = open_spool(spool, lock_timeout=lock_timeout)
    with Counting("items looked at") as counting:
        groups = queue.age(moment, dry_run=dry_run, tick=counting.tick)
    if stdout_is_terminal() and not as_json:
        age_sheet(groups, console("auto")) if groups else warn("nothing has aged")
        return 0
    for group in groups:
        if as_json:
            emit_json(dict(group.__dict__))
        else:
            emit(f"{group.priority}\t{group.effective}\t{group.count}\t{group.oldest_id}")
    return 0
