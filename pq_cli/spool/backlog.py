"""What waits: the ids of every lane, and when a few of them were created.

Lists names and opens a meta only when asked for its time, so a million items cost a second.
No lock, no write.
"""

from __future__ import annotations

from pq_cli.core import transitions
from pq_cli.core.insight.shape import Backlog, slots
from pq_cli.core.item import State
from pq_cli.errors import DamagedItemError
from pq_cli.spool.disk import layout
from pq_cli.spool.disk.reader import Reader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Set

    from pq_cli.core.order import LaneName


_GONE = 0.0
"""The time of an item that is gone meanwhile: as if old, for the oldest go first."""


def _ids_at_work(reader: Reader, limit: str) -> set[int]:
    names = map(layout.parse_name, reader.entries(layout.active_folder(limit)))
    return {name[0] for name in names if name is not None}


def backlog(reader: Reader, now: float, most: Mapping[str, int], ended: Set[int]) -> Backlog:
    """Return what waits at `now` (Unix seconds); see `Store.backlog`. most: see `slots`.

    ended: ids that are not to be counted.
    """
    created_at: dict[int, float] = {}
    due: dict[LaneName, list[int]] = {}
    delayed, next_due = 0, None
    for folder, _ in reader.of(State.DELAYED):
        second = float(layout.second_of(folder))
        if second > now:
            ids = [item_id for item_id in reader.ids(folder) if item_id not in ended]
            delayed += len(ids)
            next_due = next_due or (second if ids else None)
            continue
        for item in reader.items(folder, State.DELAYED):
            if (item.not_before or 0.0) > now:
                delayed += 1
                next_due = next_due or item.not_before
                continue
            created_at[item.id] = item.created_at
            due.setdefault(transitions.due(item).lane, []).append(item.id)

    def created_in(lane: LaneName) -> Callable[[int], float]:
        def created(item_id: int) -> float:
            if item_id not in created_at:
                folder, stem = layout.pending_folder(lane, item_id), layout.stem(item_id)
                try:
                    item = reader.read(folder, stem, State.PENDING, lane[0])
                    created_at[item_id] = item.created_at
                except FileNotFoundError:
                    created_at[item_id] = _GONE
                except DamagedItemError:
                    created_at[item_id] = now  # nobody knows: let it be the oldest of nothing
            return created_at[item_id]

        return created

    lanes = {}
    for lane in sorted({*reader.lanes(), *due}):
        blocks = (sorted(reader.ids(f)) for f, _ in reader.of(State.PENDING, lane=lane))
        ids = [item_id for block in blocks for item_id in block if item_id not in ended]
        if lane in due:
            ids = sorted({*ids, *due[lane]})
        if ids:
            lanes[lane] = ids
    active = {n: len(_ids_at_work(reader, n) - ended) for n in reader.limits()}
    return Backlog(
        lanes=lanes,
        created_in=created_in,
        delayed=delayed,
        next_due=next_due,
        slots=slots(lanes, {limit: n for limit, n in active.items() if n}, most),
    )
