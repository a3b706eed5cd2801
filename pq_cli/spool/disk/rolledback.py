"""What a power loss has brought back: metas of items that have ended, and that say so.

The end of an item is one sector of its meta, synced, and no name (see `Files.erase`). So where the
journal was not written since, that meta lies again where it lay before. Who reads it serves it to
nobody; who counts by names would count it. So the first change in a new boot of the machine clears
such metas away, and who only looks before that leaves them out.
"""

from __future__ import annotations

import os
from math import inf

from pq_cli.core.item import ACTIVE, PENDING, State
from pq_cli.host import this_boot
from pq_cli.spool.disk import layout
from pq_cli.spool.disk.reader import Reader
from pq_cli.spool.disk.state import present_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

ENOUGH = 100
"""After so many items in a row that have not ended no more are looked at. They are served in order:
before one that has ended stands only what was put off, or is at work."""


def uncounted(reader: Reader) -> dict[int, State]:
    """Return where such items lie, by id; none once somebody has cleared them away."""
    if present_state(reader.root).boot in (None, this_boot()):
        return {}
    folders = {item_id: os.path.dirname(path) for item_id, path in rolled_back(reader).items()}
    return {item_id: layout.state_of(folder)[0] for item_id, folder in folders.items()}


def rolled_back(reader: Reader) -> dict[int, str]:
    """Return the paths of the payloads of items that have ended though their metas are there."""
    found: list[str] = []
    _look(reader, reader.of(ACTIVE), found, inf)
    _look(reader, reader.of(State.DELAYED), found, ENOUGH)
    for lane in reader.lanes():
        _look(reader, reader.of(PENDING, lane=lane), found, ENOUGH)
    return {(layout.parse_name(os.path.basename(path)) or (0, None))[0]: path for path in found}


def _look(
    reader: Reader, folders: Iterable[tuple[str, int | None]], found: list[str], enough: float
) -> None:
    known, in_a_row = len(found), 0
    for folder, priority in folders:
        state = layout.state_of(folder)[0]
        for _ in reader.items(folder, state, priority, ended=found):
            known, in_a_row = len(found), 1 if len(found) > known else in_a_row + 1
            if in_a_row > enough:
                return
