"""Entry: how staged payloads become items, new ones and those that have a past elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pq_cli.core import events
from pq_cli.core.item import LIVE, Item
from pq_cli.core.jsonio import to_json
from pq_cli.core.origin import Origin, arriving, digest
from pq_cli.errors import (
    ConflictError,
    DamagedItemError,
    KeyTakenError,
    NoSuchItemError,
    QueueFullError,
    TryAgainError,
    UsageError,
)
from pq_cli.postgres import payloads
from pq_cli.postgres import statements as sql
from pq_cli.postgres.rows import called, texts
from pq_cli.queue.followers import ends_before
from pq_cli.queue.request import Admitted, Request, check_key, check_room, new_item

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, BinaryIO, Protocol, Self

    from pq_cli.core.item import State
    from pq_cli.core.policy import QueueConfig
    from pq_cli.errors import PqError
    from pq_cli.postgres.followers import PostgresFollowers
    from pq_cli.postgres.link import Link
    from pq_cli.postgres.payloads import Staged
    from pq_cli.postgres.wire.session import Row
    from pq_cli.queue.store import Store

    _New = tuple[Item, Staged, str, list[Any], int]
    """An item, its payload, its event, and where it is to be with its id."""

    class _Store(Store, Protocol):
        """What is needed of the store."""

        number: int
        followers: PostgresFollowers

        def ask(self, query: str, *values: object) -> list[tuple[Any, ...]]: ...
        def removed(self) -> NoSuchItemError: ...
        def put_changed(self, before: Item, after: Item) -> Item: ...
        def stage(self, payload: bytes | BinaryIO, request: Request) -> Staged: ...
        def entry(self, keys: bool) -> Entry: ...


_MOST = 500
_MOST_BYTES = 32 * 1024 * 1024
"""What is in memory of a batch: payloads that one row holds."""
_STOPS = (ConflictError, QueueFullError, NoSuchItemError, DamagedItemError, UsageError)
"""What stops a batch at one of its items; of what the server refuses the others are lost, too."""


class Entry:
    """One batch's way in, within a transaction, at `now` (Unix seconds).

    The last statement gives the ids and writes all down: whoever else enqueues waits from then on,
    for the disk alone. So what is written of a new item has the id 0, but for its column.
    """

    def __init__(self, store: _Store, link: Link, config: QueueConfig, now: float) -> None:
        self._store = store
        self._link = link
        self._queue = store.number
        self._config = config
        self._now = now
        self._live: int | None = None
        self._new: list[_New] = []
        self._new_keys: set[str] = set()
        self._noted: list[Row] = []

    def admit(self, batch: Sequence[Staged]) -> Admitted:
        """Make items of a batch, in order, up to what stops it: that is in the result."""
        admitted = Admitted.nothing()
        for staged in batch:
            request = staged.request
            try:
                said = {"size": staged.size, "checksum": staged.checksum}
                ends = self._ends(request)
                item = new_item(request, 0, self._now, self._config, ends, **said)
                rule = request.if_exists
                other = self._check(item, rule)
                put = self._store.put_changed
                if other is None or admitted.stand(other, item, rule, put) is None:
                    event = events.event_of("enqueued", item, self._now)
                    self._enter(item, staged, other, event, admitted.items)
            except _STOPS as error:
                return admitted.replace(error=error)
        return admitted

    def _ends(self, request: Request) -> Mapping[int, State] | None:
        if not request.after:
            return None
        self.write()  # they may be of this batch
        return ends_before(self._store, request.ids_before)

    def enter(self, item: Item, staged: Staged, into: list[Any]) -> None:
        """Let an item in that has a past, and append it to `into`. Raises as its key or room say.

        There it has its id once it is written down.
        """
        item = item.replace(id=0)
        other = self._check(item, "fail")
        self._enter(item, staged, other, events.event_of("imported", item, item.updated_at), into)

    def _check(self, item: Item, if_exists: str) -> Item | None:
        if item.key in self._new_keys:
            self.write()  # it may be one of this batch that has the key
        return check_key(item, self._store.owner, if_exists)

    def _enter(
        self,
        item: Item,
        staged: Staged,
        other: Item | None,
        said: dict[str, Any],
        into: list[Any],
    ) -> None:
        if other is not None:
            self._store.drop(other)
        elif item.state in LIVE:
            self._take_room()
        staged.taken = True
        self._new.append((item, staged, to_json(said).decode(), into, len(into)))
        into.append(item)
        if item.key is not None:
            self._new_keys.add(item.key)

    def _take_room(self) -> None:
        """Raise QueueFullError if there is no room for one more live item.

        Counted once, up to the limit and no further. It stays exact for the rest of the
        transaction: whoever enqueues waits for the counter's row, which is ours from then on, and
        a claim's end only makes room.
        """
        most = self._config.max_items
        if not most:
            return
        if self._live is None:
            self._link.later(sql.NO_MORE_IDS, self._queue)
            values = {"queue": self._queue, "most": most}
            written = (self._link.row(sql.LIVE_COUNT, values) or (0,))[0]
            self._live = int(written) + sum(item.state in LIVE for item, *_ in self._new)
        check_room(most, self._live)
        self._live += 1

    def write(self) -> None:
        """Write down what has entered, now; then it has its ids."""
        if self._new:
            self._number(self._link.rows(sql.ENTER, self._values()))

    def write_last(self) -> None:
        """Let what has entered be written by the last statement; its answer is for `written`."""
        if self._new:
            self._link.later(sql.ENTER, self._values())

    def written(self, answers: list[list[Row]]) -> list[Row]:
        """Take what is ours of the transaction's last answers; return the events' numbers."""
        if self._new:
            self._number(answers.pop())
        return self._noted

    def _number(self, rows: list[Row]) -> None:
        if len(rows) != len(self._new):
            raise self._store.removed()
        new, self._new = self._new, []
        self._new_keys.clear()
        self._noted += rows
        for (_, item_id), (item, _, _, into, place) in zip(rows, new, strict=True):
            into[place] = item = item.replace(id=item_id)
            self._store.followers.moved(None, item)

    def _values(self) -> dict[str, object]:
        """Return what is to be written of the new items, all of them with one statement."""
        items, staged = [new[0] for new in self._new], [new[1] for new in self._new]
        blobs = [each.blob for each in staged if each.blob is not None]
        if blobs:
            payloads.take(self._link, self._queue, blobs)
        halves = [texts(item) for item in items]
        return {
            "queue": self._queue,
            "state": [str(item.state) for item in items],
            "priority": [item.priority for item in items],
            "created_at": [item.created_at for item in items],
            "not_before": [item.not_before for item in items],
            "limited_by": [item.limit or "" for item in items],
            "key": [item.key for item in items],
            "blob": [each.blob for each in staged],
            "data": [each.content for each in staged],
            "fixed": [fixed for fixed, _ in halves],
            "moving": [moving for _, moving in halves],
            "called": [called(item) for item in items],
            "said": [new[2] for new in self._new],
        }


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
                    entry.enter(item, received, outcome)
                except (KeyTakenError, QueueFullError) as error:
                    outcome.append(error)
                    continue
                origins.append(origin)
            realms = [digest(origin.realm).decode() for origin in origins]
            names = [digest(origin.name).decode() for origin in origins]
            store.ask(sql.REMEMBER, store.number, realms, names)
        self._clear()
        return outcome
