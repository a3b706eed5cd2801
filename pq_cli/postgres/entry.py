"""Entry: how staged payloads become items, new ones and those that have a past elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pq_cli.core import events
from pq_cli.core.item import LIVE, Item
from pq_cli.core.origin import Origin, arriving, digest
from pq_cli.errors import KeyTakenError, PqError, QueueFullError, TryAgainError
from pq_cli.postgres import payloads
from pq_cli.postgres import statements as sql
from pq_cli.postgres.rows import texts
from pq_cli.queue.followers import ends_before
from pq_cli.queue.request import (
    Admitted,
    Request,
    check_key,
    check_room,
    new_item,
    standing,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, BinaryIO, Protocol, Self

    from pq_cli.core.item import State
    from pq_cli.core.policy import QueueConfig
    from pq_cli.postgres.followers import PostgresFollowers
    from pq_cli.postgres.link import Link
    from pq_cli.postgres.payloads import Staged
    from pq_cli.queue.store import Store

    class _Store(Store, Protocol):
        """What is needed of the store."""

        number: int
        followers: PostgresFollowers

        def ask(self, query: str, *values: object) -> list[tuple[Any, ...]]: ...
        def stage(self, payload: bytes | BinaryIO, request: Request) -> Staged: ...
        def entry(self, keys: bool) -> Entry: ...


_MOST = 500
_MOST_BYTES = 32 * 1024 * 1024
"""What is in memory of a batch: payloads that one row holds."""


class Entry:
    """One batch's way in, within a transaction, at `now`; last_id: the latest that was given."""

    def __init__(
        self, store: _Store, link: Link, config: QueueConfig, last_id: int, now: float
    ) -> None:
        self._store = store
        self._link = link
        self._queue = store.number
        self._config = config
        self._now = now
        self._first_id = self._last_id = last_id
        self._live: int | None = None
        self._new: list[tuple[Item, Staged]] = []
        self._new_keys: set[str] = set()

    def admit(self, batch: Sequence[Staged]) -> Admitted:
        """Make items of a batch, in order, up to what stops it: that is in the result."""
        admitted = Admitted.nothing()
        stop: PqError | None = None
        for staged in batch:
            request = staged.request
            try:
                item = new_item(request, 0, self._now, self._config, self._ends(request))
                item = item.replace(size=staged.size, checksum=staged.checksum)
                other = self._check(item, request.if_exists)
                stands = other and standing(other, item, request.if_exists)
                if other is not None and stands is not None:
                    if stands is not other:
                        self._store.put(other, stands)
                        self._note("changed", stands)
                    admitted.stand(stands, staged.size, staged.checksum)
                    continue
                item = self._enter(item, staged, other)
            except PqError as error:
                stop = error
                break
            admitted.items.append(item)
            self._note("enqueued", item)
        self.end()
        return admitted.replace(error=stop)

    def _ends(self, request: Request) -> Mapping[int, State] | None:
        if not request.after:
            return None
        self._write()  # they may be of this batch
        return ends_before(self._store, request.ids_before)

    def _note(self, event: str, item: Item) -> None:
        self._store.note(events.event_of(event, item, self._now))

    def enter(self, item: Item, staged: Staged, if_exists: str) -> Item:
        """Let an item in that has a past, and return it with its id. Raises as its key or room say.

        `end` writes it down.
        """
        return self._enter(item, staged, self._check(item, if_exists))

    def _check(self, item: Item, if_exists: str) -> Item | None:
        if item.key in self._new_keys:
            self._write()  # it may be one of this batch that has the key
        return check_key(item, self._store.owner, if_exists)

    def _enter(self, item: Item, staged: Staged, other: Item | None) -> Item:
        if other is not None:
            self._store.drop(other)
        elif item.state in LIVE:
            self._take_room()
        self._last_id += 1
        item = item.replace(id=self._last_id)
        staged.taken = True
        self._new.append((item, staged))
        if item.key is not None:
            self._new_keys.add(item.key)
        return item

    def _take_room(self) -> None:
        """Raise QueueFullError if there is no room for one more live item.

        Counted once, up to the limit and no further. It stays exact for the rest of the
        transaction: whoever enqueues waits for the counter's row, which is ours since before, and
        a claim's end only makes room.
        """
        most = self._config.max_items
        if not most:
            return
        if self._live is None:
            values = {"queue": self._queue, "most": most}
            written = (self._link.row(sql.LIVE_COUNT, values) or (0,))[0]
            self._live = int(written) + sum(item.state in LIVE for item, _ in self._new)
        check_room(most, self._live)
        self._live += 1

    def end(self) -> None:
        """Write down what has entered."""
        self._write()
        if self._last_id != self._first_id:
            self._link.later(sql.SET_LAST_ID, self._last_id, self._queue)

    def _write(self) -> None:
        """Write the new items down, all of them with one statement."""
        if not self._new:
            return
        blobs = [staged.blob for _, staged in self._new if staged.blob is not None]
        if blobs:
            payloads.take(self._link, self._queue, blobs)
        for item, _ in self._new:
            self._store.followers.moved(None, item)
        halves = [texts(item) for item, _ in self._new]
        self._link.later(
            sql.INSERT,
            {
                "queue": self._queue,
                "created_at": [item.created_at for item, _ in self._new],
                "id": [item.id for item, _ in self._new],
                "state": [str(item.state) for item, _ in self._new],
                "priority": [item.priority for item, _ in self._new],
                "not_before": [item.not_before for item, _ in self._new],
                "limited_by": [item.limit or "" for item, _ in self._new],
                "key": [item.key for item, _ in self._new],
                "blob": [staged.blob for _, staged in self._new],
                "data": [staged.content for _, staged in self._new],
                "fixed": [fixed for fixed, _ in halves],
                "moving": [moving for _, moving in halves],
            },
        )
        self._new.clear()
        self._new_keys.clear()


class PostgresArrivals:
    """See `queue.departures.Arrivals`: items with a past, in batches, each of them exactly once.

    A batch is one transaction: the items, and the names under which they are known where they come
    from. So an item is remembered before anybody can work at it, and only if it enters.
    """

    def __init__(self, store: _Store) -> None:
        self._store = store
        self._waiting: list[tuple[Staged, Item, Origin]] = []
        self._staged: list[Staged] = []

    def __enter__(self) -> Self:
        if not self._store.ask(sql.LOCK_IMPORT, self._store.number)[0][0]:
            raise TryAgainError(f"another import into {self._store.where} is under way")
        return self

    def __exit__(self, *_: object) -> None:
        self._clear()
        try:
            self._store.ask(sql.UNLOCK_IMPORT, self._store.number)
        except (PqError, OSError):
            pass  # the lock has gone with the connection

    def _clear(self) -> None:
        staged, self._staged, self._waiting = self._staged, [], []
        self._store.finish([each for each in staged if not each.taken], 0)

    def describe(self, realm: str, reader: str) -> None:
        """Remember how a realm is read."""
        self._store.ask(sql.DESCRIBE, self._store.number, digest(realm).decode(), reader)

    def receive(self, stream: BinaryIO) -> Staged:
        """Take a payload in; `add` or `discard` it then."""
        self._staged.append(self._store.stage(stream, Request()))
        return self._staged[-1]

    def discard(self, received: Staged) -> None:
        """Throw a payload away."""
        self._staged.remove(received)
        self._store.finish([received], 0)

    def add(self, received: Staged, item: Item, origin: Origin) -> None:
        """Let an item enter with this payload."""
        came = arriving(item, origin).replace(
            size=received.size, checksum=received.checksum, written_boot=None
        )
        self._waiting.append((received, came, origin))

    @property
    def full(self) -> bool:
        """Tell whether it is time to commit."""
        in_memory = sum(len(staged.content or b"") for staged in self._staged)
        return len(self._staged) >= _MOST or in_memory >= _MOST_BYTES

    def commit(self) -> list[Item | PqError]:
        """Let the batch enter; return for each item the item or why not."""
        if not self._waiting:
            self._clear()
            return []
        outcome: list[Item | PqError] = []
        store = self._store
        with store.transaction():
            keys = any(item.key is not None for _, item, _ in self._waiting)
            entry = store.entry(keys)
            origins: list[Origin] = []
            for received, item, origin in self._waiting:
                try:
                    item = entry.enter(item, received, "fail")
                except (KeyTakenError, QueueFullError) as error:
                    outcome.append(error)
                    continue
                store.note(events.event_of("imported", item, item.updated_at))
                outcome.append(item)
                origins.append(origin)
            entry.end()
            realms = [digest(origin.realm).decode() for origin in origins]
            names = [digest(origin.name).decode() for origin in origins]
            store.ask(sql.REMEMBER, store.number, realms, names)
        self._clear()
        return outcome
