"""View: looking at a spool. Nothing here takes the lock or writes, so looking is always safe."""

from __future__ import annotations

import time

from pq_cli.core.arguments import valid_reference, valid_states
from pq_cli.core.item import Item, State
from pq_cli.core.policy import Pause, QueueConfig, order_time
from pq_cli.core.tick import unheard
from pq_cli.errors import DamagedItemError
from pq_cli.spool import layout
from pq_cli.spool.log import read_log
from pq_cli.spool.payload import open_verified, read_verified
from pq_cli.spool.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, TypeVar

    from pq_cli.core.tick import Tick
    from pq_cli.spool.survey import Survey

    T = TypeVar("T")


class View:
    """The verbs of `Spool` that only look; the base of it."""

    path: str
    config: QueueConfig
    _clock: Callable[[], float]
    _report: Callable[[DamagedItemError], None]
    _store: Store

    def get(self, item: Item | int | str) -> Item:
        """Return the item as it stands now. Raises NoSuchItemError, DamagedItemError."""
        return self._find(item)

    def payload(self, item: Item | int | str) -> bytes:
        """Return the payload, whole and verified. Raises NoSuchItemError, DamagedItemError."""
        return self._of_payload(item, read_verified)

    def open_payload(self, item: Item | int | str) -> int:
        """Return a descriptor at the start of the payload, its size (and checksum) verified."""
        return self._of_payload(item, open_verified)

    def _of_payload(self, item: Item | int | str, get: Callable[[Item], T]) -> T:
        """Return what `get` makes of an item whose payload is where its path says."""
        if isinstance(item, Item) and item.claim is not None:
            try:
                return get(item)  # its name holds the attempt: there, it is this claim's
            except FileNotFoundError:
                pass
        for _ in range(5):
            try:
                return get(self._find(item))
            except FileNotFoundError:
                time.sleep(0.01)  # it is just moving from one state to the next
        found = self._find(item)
        stray = self._store.reader.stray_payload(found.id, layout.payload_path(found))
        if stray is None:
            raise DamagedItemError(f"item {found.id}: its payload is missing")
        return get(found.replace(path=f"{self.path}/{stray}"))

    def items(self, states: Iterable[State] | None = None) -> Iterator[Item]:
        """Yield the items in the order they would be served now, then the others.

        Active first, then pending in serving order (what is due counts as pending), delayed
        by due time, held, failed and done by id. A stream that neither locks nor writes.
        """
        from pq_cli.spool.listing import Listing  # start-up: as below, those who look pay for it

        states = valid_states(states)
        now = self._clock()
        t = order_time(self.config, now, self._store.present_state().aged_at)
        return Listing(self._store.reader, self.config, now, t, self._report).items(states)

    def order_time(self) -> float:
        """Return the Unix time at which order is computed now: the clock, or the last `age`."""
        return order_time(self.config, self._clock(), self._store.present_state().aged_at)

    @property
    def paused(self) -> Pause | None:
        """Since when and why nothing is claimed, or None: as `state.json` says now."""
        return self._store.present_state().paused

    def log(self) -> Iterator[dict[str, Any]]:
        """Yield what happened lately, oldest first: records with `at`, `event` and more.

        Derived and bounded: an event may be missing, no item depends on it.
        """
        return read_log(self.path)

    def survey(self, tick: Tick = unheard) -> Survey:
        """Return what waits in which lane now, by names: a million items cost some seconds.

        `tick` is told of items as their names are read.
        """
        from pq_cli.spool.survey import Survey

        return Survey(self._store.reader, self._clock(), tick)

    def removed(self) -> Iterator[tuple[float, list[int]]]:
        """Yield (Unix seconds, ids) of what was removed together, newest first."""
        from pq_cli.spool.trash import buried

        return buried(self._store.reader)

    def attempt_logs(self, item: Item) -> list[str]:
        """Return the paths of the logs that attempts at the item left, oldest first.

        The first line of each is JSON: claim, exit, started_at, ended_at; the rest is output.
        """
        logs = self._store.attempt_logs
        return [logs.path(item.id, claim) for claim in logs.claims(item.id)]

    def count(self, states: Iterable[State]) -> int:
        """Return how many items are in `states` (delayed ones that are due are still delayed)."""
        return self._store.reader.count(valid_states(states) or ())

    def __len__(self) -> int:
        """Return the number of live items: active, pending, delayed and held."""
        return self._store.reader.count_live()

    def _find(self, ref: Item | int | str) -> Item:
        item_id, claim = valid_reference(ref)
        return self._store.reader.find(item_id, claim)
