"""Who waits for whom, in memory; see `queue.followers.Followers`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pq_cli.core import transitions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pq_cli.core.item import Item, State


class MemoryFollowers:
    """The index. find: returns an item by its id, or None."""

    def __init__(self, find: Callable[[int], Item | None]) -> None:
        self.untold: dict[int, State | None] = {}
        self._of: dict[int, set[int]] = {}
        self._find = find

    def of(self, item_id: int) -> list[int]:
        return sorted(self._of.get(item_id, ()))

    def told(self, item_id: int) -> None:
        del self.untold[item_id]

    def stand(self, ids: Sequence[int], *, fixed: bool = False) -> dict[int, State]:
        ended = self.untold.items()
        known = {i: how for i, how in ended if how is not None and i in ids}
        items = filter(None, map(self._find, ids))
        return known | {item.id: transitions.standing(item.state, item.was) for item in items}

    def refused(self, error: OSError) -> None:
        raise error

    def moved(self, before: Item | None, after: Item | None) -> None:
        """Follow an item that changes; None: it is new, or is dropped."""
        old, new = transitions.ties(before), transitions.ties(after)
        item_id = (before or after).id  # type: ignore[union-attr]
        for parent in old:
            self._of[parent].discard(item_id)
            if not self._of[parent] and parent not in new:
                del self._of[parent]
        for parent in new:
            self._of.setdefault(parent, set()).add(item_id)
        if before is not None and before.id in self._of:
            stands = transitions.stands_anew(before, after)
            if stands is not None:
                self.untold[before.id] = stands
