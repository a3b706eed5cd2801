"""A survey of what waits: the ids of every lane, and when a few of them were created.

Lists names and opens a meta only when asked for its time, so a million items cost a second.
"""

from __future__ import annotations

from pq_cli.core import transitions
from pq_cli.core.item import State
from pq_cli.core.tick import unheard
from pq_cli.errors import DamagedItemError
from pq_cli.spool.disk import layout
from pq_cli.spool.disk.reader import Reader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pq_cli.core.tick import Tick

_GONE = 0.0
"""The time of an item that is gone meanwhile: as if old, for the oldest go first."""


class Survey:
    """The lanes of a spool at `now` (Unix seconds), what is due included. No lock, no write.

    tick: told of items as their names are read.
    """

    def __init__(self, reader: Reader, now: float, tick: Tick = unheard) -> None:
        self._reader = reader
        self._tick = tick
        self._created: dict[int, float] = {}
        self.delayed = 0
        self.next_due: float | None = None
        self.lanes: dict[int, list[int]] = {}
        due = self._due(now)
        for lane in sorted({*reader.lanes(), *due}):
            ids = []
            for block in sorted(reader.blocks(f"pending/{lane:02d}")):
                ids += sorted(self._ids(f"pending/{lane:02d}/{layout.block_name(block)}"))
            if lane in due:
                ids = sorted({*ids, *due[lane]})
            if ids:
                self.lanes[lane] = ids

    def _ids(self, folder: str) -> list[int]:
        ids = self._reader.ids(folder)
        self._tick(len(ids))
        return ids

    def _due(self, now: float) -> dict[int, list[int]]:
        """Return the delayed items that are due, by lane; count the others."""
        found: dict[int, list[int]] = {}
        for folder in self._reader.second_folders(State.DELAYED):
            ids = self._ids(folder)
            if layout.second_of(folder) > now:
                self.delayed += len(ids)
                if ids and self.next_due is None:
                    self.next_due = float(layout.second_of(folder))
                continue
            for item_id in ids:
                try:
                    item = self._reader.read(folder, f"{item_id:010d}", State.DELAYED, None)
                except (FileNotFoundError, DamagedItemError):
                    continue
                if (item.not_before or 0.0) > now:
                    self.delayed += 1
                    self.next_due = self.next_due or item.not_before
                    continue
                item = transitions.due(item)
                self._created[item_id] = item.created_at
                found.setdefault(item.priority, []).append(item_id)
        return found

    def created_in(self, lane: int) -> Callable[[int], float]:
        """Return a function that gives the creation time (Unix seconds) of the lane's items."""

        def created(item_id: int) -> float:
            if item_id not in self._created:
                block = layout.block_name(item_id // layout.BLOCK_SIZE)
                folder = f"pending/{lane:02d}/{block}"
                try:
                    item = self._reader.read(folder, f"{item_id:010d}", State.PENDING, lane)
                    self._created[item_id] = item.created_at
                except (FileNotFoundError, DamagedItemError):
                    self._created[item_id] = _GONE
            return self._created[item_id]

        return created

    def count(self, state: State) -> int:
        """Return how many items are active, held, failed or done, by names alone."""
        if state is State.ACTIVE:
            return len(self._reader.active_names())
        return sum(
            len(self._ids(f"{state}/{layout.block_name(block)}"))
            for block in self._reader.blocks(str(state))
        )
