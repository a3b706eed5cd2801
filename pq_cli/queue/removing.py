"""Removing: what people take out of a queue goes for good only after a while, and can come back."""

from __future__ import annotations

import math

from pq_cli.core import events, transitions
from pq_cli.core.admission import check_key
from pq_cli.core.arguments import valid_flag, valid_reference, valid_text, valid_time
from pq_cli.core.item import Item, State
from pq_cli.core.policy import QueueConfig
from pq_cli.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pq_cli.queue.store import Store


class Removing:
    """The verbs by which people remove items, and bring them back."""

    config: QueueConfig
    _store: Store

    def _put(self, before: Item, after: Item) -> Item:
        raise NotImplementedError

    def cancel(
        self,
        item: Item | int | str,
        *,
        hold: bool = False,
        remove: bool = False,
        by: str | None = None,
        kept_until: float | None = None,
    ) -> Item:
        """Let nobody work on a live item: it is failed, "cancelled by BY"; or held, or removed.

        Its claim ends, and within a second its worker stops what it runs. kept_until: as for
        `remove`. Raises ConflictError, NoSuchItemError.
        """
        valid_text("by", by)
        if kept_until is not None:
            valid_time("kept_until", kept_until)
        if valid_flag("remove", remove) & valid_flag("hold", hold):
            raise UsageError("hold and remove exclude each other")
        if remove and self._store.find(*valid_reference(item)).state is not State.ACTIVE:
            return self.remove(item, kept_until=kept_until)
        with self._store.transaction():
            before = self._store.find(*valid_reference(item))
            after = self._put(before, transitions.cancelled(before, self._store.now(), by, hold))
        return self.remove(after, kept_until=kept_until) if remove else after

    def remove(
        self,
        item: Item | int | str,
        *,
        state: State | None = None,
        kept_until: float | None = None,
    ) -> Item:
        """Remove an item that nobody works on; `restore` brings it back, for `keep_removed`.

        state: remove it only if it is (still) in this state. kept_until: what `removal` gave, for
        items that are removed together. Raises ConflictError, NoSuchItemError.
        """
        store = self._store
        if kept_until is not None:
            valid_time("kept_until", kept_until)
        with store.transaction():
            before = self._store.find(*valid_reference(item))
            transitions.check_removable(before, state)
            now = store.now()
            if not self.config.keep_removed:
                store.drop(before)
                after = before
            else:
                until = self._removal(now) if kept_until is None else kept_until
                after = store.put(before, transitions.removed(before, until))
            store.note(events.event_of("removed", before, now))
            store.expire(now)
            return after

    def removal(self) -> float:
        """Return a Unix second, for one removal of many items, at which they go for good.

        No other removal has it: so `removed` knows what was removed together.
        """
        return self._removal(self._store.now())

    def _removal(self, now: float) -> float:
        second = float(int(now + self.config.keep_removed))
        latest, _ = next(self._store.removals(), (0.0, []))
        return max(second, latest + 1)

    def restore(self, item: Item | int | str) -> Item:
        """Bring a removed item back into the state it had.

        Raises NoSuchItemError when it is gone, ConflictError when it is not removed, KeyTakenError,
        DamagedItemError when its payload is not whole.
        """
        store = self._store
        with store.transaction():
            before = self._store.find(*valid_reference(item))
            now = store.now()
            after = transitions.restored(before, now)
            check_key(after, store.owner)
            store.open_payload(before).close()
            after = store.put(before, after)
            store.note(events.event_of("restored", after, now))
            return after

    def expire(self) -> Iterator[int]:
        """Let everything that was removed go for good; yield how many have gone at each step."""
        gone = 1
        while gone:
            with self._store.transaction():
                gone = self._store.expire(math.inf)
            yield gone
