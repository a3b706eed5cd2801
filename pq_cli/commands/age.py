"""`pq age`: what has aged, and the manual aging clock."""

from __future__ import annotations

from pq_cli.commands.spools import open_spool
from pq_cli.core.item import State
from pq_cli.core.order import aged_groups
from pq_cli.options import AS_JSON, Options, moment, option
from pq_cli.render.counting import counted
from pq_cli.render.present import present
from pq_cli.render.sheet import age_sheet
from pq_cli.screen import Screen


class AgeOptions(Options):
    """The command line of `pq age`, as typed."""

    dry_run: bool = option("--dry-run", "Report; move nothing.")
    at: float | None = option("--at T", "As of this time.", read=moment)
    as_json: bool = AS_JSON


def command(o: AgeOptions, screen: Screen) -> int:
    """Report which pending items have aged, and by how much.

    With aging_clock = "manual" this also moves the aging clock to now, or to --at T: the order
    then stays as it is until the next `pq age`. Columns: priority, effective, count, oldest id.
    """
    queue = open_spool(o, screen)
    t = queue.move_clock(o.at, dry_run=o.dry_run)
    pending = counted(queue.items([State.PENDING]), screen, "items looked at")
    groups = aged_groups(queue.config, pending, t)
    present(
        groups,
        screen,
        as_json=o.as_json,
        record=lambda group: dict(group.__dict__),
        line=lambda g: f"{g.priority}\t{g.effective}\t{g.count}\t{g.oldest_id}",
        table=age_sheet,
        nothing="nothing has aged",
    )
    return 0
