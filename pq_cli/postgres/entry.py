"""Entry: how staged payloads become items, many at a time, and whose key it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pq_cli.core import events
from pq_cli.core.item import LIVE, Item
from pq_cli.core.jsonio import to_json
from pq_cli.errors import PqError
from pq_cli.postgres import payloads
from pq_cli.postgres import statements as sql
from pq_cli.postgres.rows import texts
from pq_cli.queue.followers import ends_before
from pq_cli.queue.request import Admitted, check_key, check_room, new_item, standing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pq_cli.core.item import State
    from pq_cli.core.policy import QueueConfig
    from pq_cli.postgres.link import Link
    from pq_cli.postgres.payloads import Staged
    from pq_cli.postgres.waiting.followers import PostgresFollowers
    from pq_cli.queue.request import Request
    from pq_cli.queue.store import Store


class Entry:
    """One batch's way in, within a transaction. notes: the events to be written down, as JSON."""

    def __init__(
        self,
        store: Store,
        followers: PostgresFollowers,
        link: Link,
        queue: int,
        config: QueueConfig,
        now: float,
    ) -> None:
        self.notes: list[str] = []
        self._store = store
        self._followers = followers
        self._link = link
        self._queue = queue
        self._config = config
        self._now = now
        # From here on no other id is given, until the end of the transaction.
        self._first_id = self._last_id = (link.row(sql.LAST_ID, queue) or (0,))[0]
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
        self.notes.append(to_json(events.event_of(event, item, self._now)).decode())

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
            self._followers.moved(None, item)
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
