"""What a process remembers of the spool between two verbs: lanes, claims, what comes due.

Filled only as far as needed, and thrown away as soon as another process has written (see
`state.Counter`); so it is a memory of the folders, never a second truth.
"""

from __future__ import annotations

from pq_cli.core.item import ACTIVE, PENDING, Item, State
from pq_cli.core.order import Lane
from pq_cli.errors import DamagedItemError
from pq_cli.host import is_mine
from pq_cli.spool.disk import layout
from pq_cli.spool.disk.reader import Reader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_NEVER = float("inf")


class Index:
    """The lanes and the claims of one spool, as of the last look; used under the lock only."""

    def __init__(self, reader: Reader, report: Callable[[DamagedItemError], None]) -> None:
        self._reader = reader
        self._report = report
        self._claims_seen: dict[str, Item] = {}
        self.forget()

    def forget(self) -> None:
        """Forget everything: somebody else has changed the spool."""
        self._numbers: list[int] | None = None
        self._lanes: dict[int, Lane] = {}
        self._fronts: dict[int, tuple[int, float] | None] = {}
        self._heads: dict[int, Item] = {}
        self._active: dict[int, Item] | None = None
        self._unsure: set[int] = set()
        self._bound: dict[int, Item] = {}
        self._lease_floor = 0.0
        self._due: float | None = None
        self._due_known = False
        self.empty_folders: list[str] = []
        self.folders: set[str] = set()

    # -- lanes -------------------------------------------------------------

    def lanes(self) -> list[int]:
        """Return the priorities that have a lane, most urgent first."""
        if self._numbers is None:
            self._numbers = self._reader.lanes()
        return self._numbers

    def _lane(self, lane: int) -> Lane:
        """Return a lane; its folder is listed when it is first asked for."""
        if lane not in self._lanes:
            self._lanes[lane] = self._listed(lane)
        return self._lanes[lane]

    def _listed(self, lane: int) -> Lane:
        folder = layout.lane_folder(lane)

        def load(block: int) -> list[int]:
            inner = f"{folder}/{layout.block_name(block)}"
            ids = self._reader.ids(inner)
            if not ids:
                self.empty_folders.append(inner)
            return ids

        return Lane(layout.BLOCK_SIZE, self._reader.blocks(folder), load)

    def head(self, lane: int) -> tuple[int, float] | None:
        """Return lowest id and `created_at` of what can be read of a lane, or None."""
        if lane in self._fronts:
            return self._fronts[lane]
        ids, front = self._lane(lane), None
        while front is None and (item_id := ids.head()) is not None:
            item = self._heads.get(item_id) or self._read_head(lane, item_id)
            if item is None:
                ids.discard(item_id)
            else:
                front = item_id, item.created_at
        self._fronts[lane] = front
        return front

    def _read_head(self, lane: int, item_id: int) -> Item | None:
        path = layout.pending_path(lane, item_id)
        try:
            item = self._reader.read_at(path, item_id, PENDING, lane)
        except FileNotFoundError:
            return None
        except DamagedItemError as error:
            self._report(error)
            return None
        self._heads[item_id] = item
        return item

    def head_item(self, item_id: int) -> Item:
        """Return the item of a head that `head` has returned."""
        return self._heads[item_id]

    def drop(self, lane: int, item_id: int) -> None:
        """Leave a pending item out: it is gone, or cannot be served."""
        if lane in self._lanes:
            self._lanes[lane].discard(item_id)
        self._fronts.pop(lane, None)
        self._heads.pop(item_id, None)

    def drained(self, lane: int) -> bool:
        """Tell whether no id of the lane's present block is left, as far as is remembered."""
        return not len(self._lanes.get(lane, ()))

    # -- claims and what comes due -------------------------------------------

    def active(self) -> dict[int, Item]:
        """Return the active items by id."""
        if self._active is None:
            self._active = {}
            self._bound = {}
            self._lease_floor = _NEVER
            seen, self._claims_seen = self._claims_seen, {}
            for name, (item_id, claim) in self._reader.active_names():
                item = seen.get(name)
                if item is not None:
                    self._unsure.add(item_id)
                else:
                    item = self._read_claim(name, claim)
                if item is not None:
                    self._claims_seen[name] = item
                    self._remember_active(item)
        return self._active

    def _read_claim(self, name: str, claim: int) -> Item | None:
        try:
            return self._reader.read("active", name, State.ACTIVE, None).replace(claims=claim)
        except FileNotFoundError:
            return None
        except DamagedItemError as error:
            self._report(error)
            return None

    def confirmed(self, item: Item) -> Item | None:
        """Return an active item as it is now; None when it cannot be read.

        A claim that others may have renewed since it was read first is known by its name only:
        who holds it is certain, until when is not.
        """
        if item.id not in self._unsure:
            return item
        self._unsure.discard(item.id)
        name = layout.name_of(item)
        fresh = self._read_claim(name, item.claims)
        if fresh is not None:
            self._claims_seen[name] = fresh
            self._remember_active(fresh)
        return fresh

    def _remember_active(self, item: Item) -> None:
        if self._active is None:
            return
        self._active[item.id] = item
        self._lease_floor = min(self._lease_floor, item.lease_until or 0.0)
        if item.holder is None or (item.holder.started is not None and not is_mine(item.holder)):
            self._bound[item.id] = item

    def perhaps_dead(self, now: float) -> list[Item]:
        """Return the claims worth a look: all when a lease is over, else those bound to a process.

        So a thousand claims that are fine cost nothing each time somebody asks for work.
        """
        active = self.active()
        if now < self._lease_floor:
            return list(self._bound.values())
        self._lease_floor = min((i.lease_until or 0.0 for i in active.values()), default=_NEVER)
        return list(active.values())

    def active_item(self, item_id: int) -> Item | None:
        """Return an active item if it is remembered; None says nothing about the disk."""
        if self._active is None or item_id in self._unsure:
            return None
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
            self.drop(before.priority, before.id)
        if before is not None and self._active is not None:
            self._active.pop(before.id, None)
            self._bound.pop(before.id, None)
            self._unsure.discard(before.id)
        if after is None:
            return
        if after.state is PENDING:
            if self._numbers is not None and after.priority not in self._numbers:
                self._numbers = sorted([*self._numbers, after.priority])
            if after.priority in self._lanes:
                self._lanes[after.priority].push(after.id)
                self._fronts.pop(after.priority, None)
        elif after.state is ACTIVE:
            self._remember_active(after)
        elif after.state is State.DELAYED and self._due_known and after.not_before is not None:
            second = float(int(after.not_before))
            self._due = second if self._due is None else min(self._due, second)
