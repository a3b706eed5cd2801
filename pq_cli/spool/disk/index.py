"""What a process remembers of the spool between two verbs: lanes, claims, what comes due.

Filled only as far as needed, and thrown away as soon as another process has written (see
`state.Counter`); so it is a memory of the folders, never a second truth. Where others have only
taken, the ids of lanes are kept: one that is there no more is found out when its meta is read.
"""

from __future__ import annotations

from pq_cli.core.item import ACTIVE, PENDING, Item, State
from pq_cli.core.order import Lane
from pq_cli.errors import DamagedItemError
from pq_cli.spool.disk import layout
from pq_cli.spool.disk.reader import HasEndedError, Reader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pq_cli.core.order import LaneName


class Index:
    """The lanes and the claims of one spool, as of the last look; used under the lock only."""

    def __init__(self, reader: Reader, report: Callable[[DamagedItemError], None]) -> None:
        self._reader = reader
        self._report = report
        self._names: list[LaneName] | None = None
        self._lanes: dict[LaneName, Lane] = {}
        self._at_work: dict[str, int] = {}
        self._heads: dict[LaneName, Item | None] = {}
        self._active: dict[int, Item] = {}
        self._due: float | None = None
        self._due_known = False
        self.empty_folders: list[str] = []
        self.ended: list[str] = []
        self._passed_over = False

    def others_took(self) -> bool:
        """Keep only what is true although others have taken: no id and no due item is new.

        False where what could not be read or served is to be tried again: then forget all of it.
        """
        self._heads.clear()
        self._at_work.clear()
        return not self._passed_over

    # -- lanes -------------------------------------------------------------

    def lanes(self) -> list[LaneName]:
        """Return the lanes that there are, most urgent first."""
        if self._names is None:
            self._names = self._reader.lanes()
        return self._names

    def _listed(self, lane: LaneName) -> Lane:
        folder = layout.lane_folder(lane)

        def load(block: int) -> list[int]:
            inner = f"{folder}/{layout.block_name(block)}"
            ids = self._reader.ids(inner)
            if not ids:
                self.empty_folders.append(inner)
            return ids

        return Lane(layout.BLOCK_SIZE, self._reader.blocks(folder), load)

    def head(self, lane: LaneName) -> Item | None:
        """Return the lowest item of a lane that can be read, or None."""
        if lane in self._heads:
            return self._heads[lane]
        if lane not in self._lanes:
            self._lanes[lane] = self._listed(lane)
        ids, head = self._lanes[lane], None
        while head is None and (item_id := ids.head()) is not None:
            head = self._read(lane, item_id)
            if head is None:
                ids.discard(item_id)
                if not len(ids):  # others took the last of its block, and saw their own part only
                    self.empty_folders.append(layout.pending_folder(lane, item_id))
        self._heads[lane] = head
        return head

    def _read(self, lane: LaneName, item_id: int) -> Item | None:
        path = layout.pending_path(lane, item_id)
        # Others may have taken many: to ask costs a fifth of what a vain open does.
        if not self._reader.has_meta(path):
            return None
        try:
            return self._reader.read_at(path, item_id, PENDING, lane[0], lane[1] or None)
        except HasEndedError:
            self.ended.append(path)
        except FileNotFoundError:
            pass
        except DamagedItemError as error:
            self._passed_over = True
            self._report(error)
        return None

    def drop(self, lane: LaneName, item_id: int) -> None:
        """Leave a pending item out: it is gone."""
        if lane in self._lanes:
            self._lanes[lane].discard(item_id)
        self._heads.pop(lane, None)

    def pass_over(self, lane: LaneName, item_id: int) -> None:
        """Leave a pending item out that cannot be served, until others have written."""
        self._passed_over = True
        self.drop(lane, item_id)

    def drained(self, lane: LaneName) -> bool:
        """Tell whether no id of the lane's present block is left, as far as is remembered."""
        return not len(self._lanes.get(lane, ()))

    # -- claims and what comes due -------------------------------------------

    def claims(self, report: Callable[[DamagedItemError], None]) -> Iterator[Item]:
        """Yield every active item, read from disk. report: as for `Reader.items`."""
        for folder, _ in self._reader.of(ACTIVE):
            yield from self._reader.items(folder, ACTIVE, report=report, ended=self.ended)

    def at_work(self, limit: str) -> int:
        """Return how many items of a limit are active; counted by name when first asked."""
        if limit not in self._at_work:
            self._at_work[limit] = len(self._reader.entries(layout.active_folder(limit)))
        return self._at_work[limit]

    def _count(self, item: Item, more: int) -> None:
        if item.state is ACTIVE and item.limit in self._at_work:
            self._at_work[item.limit] += more

    def active_item(self, item_id: int) -> Item | None:
        """Return an active item if it is remembered; None says nothing about the disk.

        What is remembered is right where its meta still is: only who claimed it, or changed it last
        where it is, remembers it (see `Files.move`).
        """
        return self._active.get(item_id)

    def due(self) -> float | None:
        """Return a Unix time before which no delayed item comes due, or None if there is none."""
        if not self._due_known:
            first = next(self._reader.of(State.DELAYED), None)
            self._due = None if first is None else float(layout.second_of(first[0]))
            self._due_known = True
        return self._due

    def due_changed(self) -> None:
        """Look again when asked next: delayed items have left their folders."""
        self._due_known = False

    def moved(self, before: Item | None, after: Item | None) -> None:
        """Follow an item from one state to the next, as far as its folders are remembered."""
        if before is not None and before.state is PENDING:
            self.drop(before.lane, before.id)
        if before is not None:
            self._active.pop(before.id, None)
            self._count(before, -1)
        if after is None:
            return
        self._count(after, 1)
        if after.state is PENDING:
            lane = after.lane
            if self._names is not None and lane not in self._names:
                self._names = sorted([*self._names, lane])
            if lane in self._lanes:
                self._lanes[lane].push(after.id)
                self._heads.pop(lane, None)
        elif after.state is ACTIVE:
            self._active[after.id] = after
        elif after.state is State.DELAYED and self._due_known and after.not_before is not None:
            second = float(int(after.not_before))
            self._due = second if self._due is None else min(self._due, second)
