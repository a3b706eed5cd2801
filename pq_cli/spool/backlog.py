"""What waits: the ids of every lane, and when a few of them were created.

Lists names and opens a meta only when asked for its time, so a million items cost a second.
No lock, no write.
"""

from __future__ import annotations

from pq_cli.core import transitions
from pq_cli.core.insight.shape import Backlog, slots
from pq_cli.core.item import Item, State
from pq_cli.errors import DamagedItemError
from pq_cli.spool.disk import layout
from pq_cli.spool.disk.reader import Reader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pq_cli.core.order import LaneName


_GONE = 0.0
"""The time of an item that is gone meanwhile: as if old, for the oldest go first."""


def backlog(reader: Reader, now: float, most: Mapping[str, int]) -> Backlog:
    """Return what waits at `now` (Unix seconds); see `Store.backlog`. most: see `slots`."""
    return _Look(reader, now).backlog(most)


class _Look:
    def __init__(self, reader: Reader, now: float) -> None:
        self._reader = reader
        self._now = now
        self._created: dict[int, float] = {}
        self._delayed = 0
        self._next_due: float | None = None

    def backlog(self, most: Mapping[str, int]) -> Backlog:
        due = self._due()
        lanes = {}
        for lane in sorted({*self._reader.lanes(), *due}):
            folders = [folder for folder, _ in self._reader.of(State.PENDING, lane=lane)]
            ids = [item_id for folder in folders for item_id in sorted(self._reader.ids(folder))]
            if lane in due:
                ids = sorted({*ids, *due[lane]})
            if ids:
                lanes[lane] = ids
        active = {
            limit: len(self._reader.entries(layout.active_folder(limit)))
            for limit in self._reader.limits()
        }
        return Backlog(
            lanes=lanes,
            created_in=self._created_in,
            delayed=self._delayed,
            next_due=self._next_due,
            slots=slots(lanes, {limit: n for limit, n in active.items() if n}, most),
        )

    def _due(self) -> dict[LaneName, list[int]]:
        """Return the delayed items that are due, by lane; count the others."""
        found: dict[LaneName, list[int]] = {}
        for folder, _ in self._reader.of(State.DELAYED):
            ids = self._reader.ids(folder)
            if layout.second_of(folder) > self._now:
                self._delayed += len(ids)
                if ids and self._next_due is None:
                    self._next_due = float(layout.second_of(folder))
                continue
            for item_id in ids:
                item = self._read(folder, item_id, State.DELAYED, None)
                if item is None:
                    continue
                if (item.not_before or 0.0) > self._now:
                    self._delayed += 1
                    self._next_due = self._next_due or item.not_before
                    continue
                item = transitions.due(item)
                self._created[item_id] = item.created_at
                found.setdefault(item.lane, []).append(item_id)
        return found

    def _created_in(self, lane: LaneName) -> Callable[[int], float]:
        def created(item_id: int) -> float:
            if item_id not in self._created:
                folder = layout.pending_folder(lane, item_id)
                item = self._read(folder, item_id, State.PENDING, lane[0])
                self._created[item_id] = _GONE if item is None else item.created_at
            return self._created[item_id]

        return created

    def _read(self, folder: str, item_id: int, state: State, priority: int | None) -> Item | None:
        try:
            return self._reader.read(folder, layout.stem(item_id), state, priority)
        except (FileNotFoundError, DamagedItemError):
            return None
