"""Entry: how staged payloads become items, many at a time, and whose key it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pq_cli.core import events
from pq_cli.core.admission import check_key, check_room
from pq_cli.core.jsonio import to_json
from pq_cli.errors import PqError
from pq_cli.postgres import payloads
from pq_cli.postgres import statements as sql
from pq_cli.postgres.rows import texts
from pq_cli.queue.request import Admitted, new_item

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pq_cli.core.item import Item
    from pq_cli.core.policy import QueueConfig
    from pq_cli.postgres.link import Link
    from pq_cli.postgres.payloads import Staged


class Entry:
    """One batch's way in, within a transaction. notes: the events to be written down, as JSON."""

    def __init__(
        self,
        link: Link,
        queue: int,
        config: QueueConfig,
        now: float,
        owner: Callable[[str], Item | None],
        drop: Callable[[Item], None],
    ) -> None:
        self.notes: list[str] = []
        self._link = link
        self._queue = queue
        self._config = config
        self._now = now
        self._owner = owner
        self._drop = drop
        self._last_id = self._live = 0
        self._new: list[tuple[Item, Staged]] = []
        self._new_keys: set[str] = set()

    def admit(self, batch: Sequence[Staged]) -> Admitted:
        """Make items of a batch, in order, up to what stops it: that is in the result."""
        first = (self._link.row(sql.LAST_ID, self._queue) or (0,))[0]
        self._last_id = first
        if self._config.max_items:
            self._live = (self._link.row(sql.LIVE_COUNT, self._queue) or (0,))[0]
        items: list[Item] = []
        found: list[Item] = []
        stop: PqError | None = None
        for staged in batch:
            try:
                items.append(self._one(staged, found))
            except PqError as error:
                stop = error
                break
        self._write()
        if self._last_id != first:
            self._link.rows(sql.SET_LAST_ID, self._last_id, self._queue)
        return Admitted(items=items, found=found, error=stop)

    def _one(self, staged: Staged, found: list[Item]) -> Item:
        request = staged.request
        item = new_item(request, self._last_id + 1, self._now, self._config)
        if item.key in self._new_keys:
            self._write()  # it may be one of this batch that has the key
        other = check_key(item, self._owner, request.if_exists)
        if other is not None and request.if_exists == "skip":
            found.append(other.for_bystanders())
            return found[-1]
        if other is None:
            check_room(self._config.max_items, self._live)
            self._live += 1
        else:
            self._drop(other)
        self._last_id += 1
        item = item.replace(size=staged.size)
        staged.taken = True
        self._new.append((item, staged))
        if item.key is not None:
            self._new_keys.add(item.key)
        self.notes.append(to_json(events.event_of("enqueued", item, self._now)).decode())
        return item

    def _write(self) -> None:
        """Write the new items down, all of them with one statement."""
        if not self._new:
            return
        blobs = [staged.blob for _, staged in self._new if staged.blob is not None]
        if blobs:
            payloads.take(self._link, blobs)
        halves = [texts(item) for item, _ in self._new]
        self._link.rows(
            sql.INSERT,
            {
                "queue": self._queue,
                "created_at": self._new[0][0].created_at,
                "id": [item.id for item, _ in self._new],
                "state": [str(item.state) for item, _ in self._new],
                "priority": [item.priority for item, _ in self._new],
                "not_before": [item.not_before for item, _ in self._new],
                "key": [item.key for item, _ in self._new],
                "blob": [staged.blob for _, staged in self._new],
                "data": [staged.content for _, staged in self._new],
                "fixed": [fixed for fixed, _ in halves],
                "moving": [moving for _, moving in halves],
            },
        )
        self._new.clear()
        self._new_keys.clear()
