"""Entering: how items go in, and what every change of one ends with.

A verb that changes an item has one form: in a transaction, find it, let `core.transitions` say
what becomes of it, put that.
"""

from __future__ import annotations

from pq_cli.core import events
from pq_cli.core.arguments import valid_payload, valid_reference
from pq_cli.core.item import Item
from pq_cli.core.policy import QueueConfig
from pq_cli.errors import PqError
from pq_cli.queue.looking import Looking
from pq_cli.queue.request import Admitted, Request, checked, valid_records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, BinaryIO, Self

    from pq_cli.core.selection import Selection
    from pq_cli.queue.store import Staged, Store


class Entering(Looking):
    """The verbs of those who put work in; see `Queue`."""

    def __init__(self, store: Store, config: QueueConfig, jitter: Callable[[], float]) -> None:
        self._store = store
        self.config = config
        self._jitter = jitter

    def close(self) -> None:
        """Let go of descriptors and connections; the next verb opens them again."""
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- in ------------------------------------------------------------------

    def enqueue(
        self,
        payload: bytes | BinaryIO,
        *,
        priority: int | None = None,
        key: str | None = None,
        if_exists: str = "skip",
        delay: float | None = None,
        at: float | None = None,
        max_attempts: int | None = None,
        timeout: float | None = None,
        limit: str | None = None,
        name: str | None = None,
        metadata: dict[str, Any] | None = None,
        after: Sequence[Item | int | str] = (),
        if_failed: str | None = None,
    ) -> Item:
        """Add an item and return it; the fields are those of `Request`.

        A stream is copied in bounded memory. When this returns, in "full" the item survives a
        power loss. Raises UsageError, KeyTakenError (`if_exists="fail"`), QueueFullError or
        NoSuchItemError (`after`).
        """
        request = Request(
            priority=priority, key=key, if_exists=if_exists, delay=delay, at=at,
            max_attempts=max_attempts, timeout=timeout, limit=limit, name=name, metadata=metadata,
            after=after, if_failed=if_failed,
        )  # fmt: skip
        admitted = self.commit([self.stage(payload, request)])
        if admitted.error is not None:
            raise admitted.error
        return admitted.items[0]

    def enqueue_many(self, records: Sequence[tuple[bytes, Request]]) -> Admitted:
        """Enqueue (payload, request) pairs, in order, with a handful of syncs for all of them.

        What stopped it is in the result, as of `commit`. Give what fits in memory.
        """
        batch: list[Staged] = []
        broken: PqError | OSError | None = None
        records = valid_records(records)
        try:
            for payload, request in records:
                batch.append(self.stage(payload, request))
        except (PqError, OSError) as error:
            broken = error
        except BaseException:
            self._store.finish(batch, 0)
            raise
        admitted = self.commit(batch)
        return admitted if admitted.error else admitted.replace(error=broken)

    def stage(self, payload: bytes | BinaryIO, request: Request) -> Staged:
        """Take in a payload, without an id yet; `commit` makes items of many at once."""
        return self._store.stage(valid_payload(payload), checked(request))

    def stage_file(self, path: str, request: Request, *, move: bool = False) -> Staged:
        """Stage a FILE by the cheapest whole copy; with `move`, commit removes it afterwards."""
        return self._store.stage_file(path, checked(request), move=move)

    def commit(self, batch: Sequence[Staged]) -> Admitted:
        """Make items of staged payloads, in order, up to what stops it: that is in the result."""
        store, count = self._store, 0
        try:
            store.prepare(batch)
            with store.transaction():
                admitted = store.admit(batch)
                self._tell()
            count = len(admitted.items)  # only now do they survive
        finally:
            stop = store.finish(batch, count)
        return admitted if stop is None else admitted.replace(error=stop)

    def unstage(self, staged: Staged) -> None:
        """Throw away a staged payload that is to be no item after all."""
        self._store.finish([staged], 0)

    # -- what every change ends with ---------------------------------------------

    def _put(self, before: Item, after: Item, *, own: bool = False, later: bool = False) -> Item:
        """Keep what became of an item, and tell of it; own: see `events.transition`."""
        after = self._put_only(before, after, own=own, later=later)
        self._tell()
        return after

    def _put_only(
        self, before: Item, after: Item, *, own: bool = False, later: bool = False
    ) -> Item:
        after = self._store.put(before, after, later=later)
        self._note(before, after, own=own)
        return after

    def _tell(self) -> None:
        """Tell those that wait for an item how it ended, or that it may be done after all."""
        if self._store.untold:
            from pq_cli.queue.followers import tell  # start-up: few items wait for others

            tell(self._store, self._put_only)

    def _note(self, before: Item, after: Item, *, own: bool = False) -> None:
        event = events.transition(before, after, own=own)
        if event is not None:
            self._store.note(event)

    def _chosen(self, item: Item | int | str, only: Selection | None) -> Item:
        """Return an item as it stands now, in a transaction, if it is one of those meant."""
        before = self._store.find(valid_reference(item)[0])
        if only is not None:
            from pq_cli.core.selection import check  # start-up: people choose, not plain commands

            check(before, only, self._store.now())
        return before
