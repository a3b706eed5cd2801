"""`pq undo`: what was removed comes back."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from pq_cli.commands.common import (
    LOCK_TIMEOUT,
    LockTimeoutOption,
    SpoolOption,
    for_each,
    open_spool,
)
from pq_cli.core.timefmt import format_time
from pq_cli.errors import NothingThereError, UsageError
from pq_cli.messages import warn
from pq_cli.render import emit, stdout_is_terminal
from pq_cli.render.sheet import removed_sheet
from pq_cli.render.terminal import console

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_NOTHING = "nothing to undo: nothing was removed, or it is gone for good"

_NOTHING = "nothing to undo: nothing was removed, or it is gone for good"


def command(
    items: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ITEM...]", help="Those to bring back; else the last removal's."),
    ] = None,
    list_only: Annotated[
        bool, typer.Option("--list", help="Only say what could be brought back.")
    ] = False,
    spool: SpoolOption = "",
    lock_timeout: LockTimeoutOption = LOCK_TIMEOUT,
) -> int:
    """Bring back what the last `pq rm` or `pq purge` removed, or the ITEMs; print their ids.

    Each returns to the state and place it had. What was removed is kept for keep_removed, a day.
    --list prints, in a pipe, until when it is kept and its id, tab-separated, latest removal first.
    """
    if items and list_only:
        raise UsageError("--list takes no ITEM")
    queue = open_spool(spool, lock_timeout=lock_timeout)
    if list_only:
        _list(queue.removed())
        return 0
    wanted = items or [str(number) for number in next(queue.removed(), (0.0, []))[1]]
    if not wanted:
        raise NothingThereError(_NOTHING)
    return for_each(queue, wanted, lambda ref: emit(str(queue.restore(ref).id)))


def _list(batches: Iterable[tuple[float, Sequence[int]]]) -> None:
    if stdout_is_terminal():
        rows = list(batches)
        if rows:
            removed_sheet(rows, time.time(), console("auto"))
        else:
            warn(_NOTHING)
        return
    for moment, ids in batches:
        for number in ids:
            emit(f"{format_time(moment)}\t{number}")
