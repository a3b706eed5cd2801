"""`pq undo`: what was removed comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pq_cli.commands.spools import for_each, open_spool, told
from pq_cli.core.timefmt import format_time
from pq_cli.errors import NothingThereError, UsageError
from pq_cli.options import EACH_AS_JSON, Options, option
from pq_cli.render.present import present
from pq_cli.render.sheet import removed_sheet
from pq_cli.screen import Screen

if TYPE_CHECKING:
    from collections.abc import Sequence

_NOTHING = "nothing to undo: nothing was removed, or it is gone for good"


class UndoOptions(Options):
    """The command line of `pq undo`, as typed."""

    items: tuple[str, ...] = option(
        "[ITEM...]", "Those to bring back; else the last removal's.", many=True
    )
    as_json: bool = EACH_AS_JSON
    list_only: bool = option("--list", "Only say what could be brought back.")


def command(o: UndoOptions, screen: Screen) -> int:
    """Bring back what the last `pq rm` or `pq purge` removed, or the ITEMs; print their ids.

    Each returns to the state and place it had. What was removed is kept for keep_removed, a day.
    --list prints, in a pipe, until when it is kept and its id, tab-separated, latest removal first.
    """
    if o.items and o.list_only:
        raise UsageError("--list takes no ITEM")
    queue = open_spool(o, screen)
    if o.list_only:
        if o.as_json:
            for moment, ids in queue.removed():
                for number in ids:
                    screen.emit_json({"kept_until": format_time(moment), "id": number})
            return 0
        present(queue.removed(), screen, line=_lines, table=removed_sheet, nothing=_NOTHING)
        return 0
    wanted = o.items or [str(number) for number in next(queue.removed(), (0.0, []))[1]]
    if not wanted:
        raise NothingThereError(_NOTHING)
    if o.as_json:
        return for_each(queue, wanted, screen, told(True, queue, screen, queue.restore))
    return for_each(queue, wanted, screen, lambda ref: screen.emit(str(queue.restore(ref).id)))


def _lines(batch: tuple[float, Sequence[int]]) -> str:
    moment, ids = batch
    return "\n".join(f"{format_time(moment)}\t{number}" for number in ids)
