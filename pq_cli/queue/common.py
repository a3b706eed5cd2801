"""Common: what a store does by its other methods, or not at all, if it has no better way."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, cast

from pq_cli.core.events import event_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from typing import IO, Any, BinaryIO

    from pq_cli.core.item import Item
    from pq_cli.queue.store import Changes, Foreseen, Store

_CHUNK = 1024 * 1024


class Common:
    """The part of a `Store` that is the same in most; `queue.store` says what it promises."""

    def foreseen(
        self, look: Callable[[], Changes], lacking: Collection[str] = ()
    ) -> nullcontext[Foreseen]:
        return nullcontext({})

    def awaited(self, item_id: int) -> bool:
        return False

    def expiring(self, now: float) -> Sequence[tuple[Item, str]]:
        return ()

    def put_many(self: Store, changes: Sequence[tuple[Item, Item]]) -> None:
        for before, after in changes:
            self.put(before, after)

    def put_changed(self: Store, before: Item, after: Item) -> Item:
        """Keep what the enqueuing of another item has changed of one, and tell of it."""
        self.note(event_of("changed", after, after.updated_at))
        return self.put(before, after)

    def prepare(self, batch: Sequence[Any]) -> None:
        pass

    def read_payload(self: Store, item: Item) -> bytes:
        with self.open_payload(item) as stream:
            return stream.read()

    def file_of(self: Store, item: Item) -> BinaryIO:
        from tempfile import NamedTemporaryFile

        with self.open_payload(item) as payload:
            return filled(NamedTemporaryFile(prefix=f"pq-{item.id}-"), payload)

    def quarantined(self) -> int:
        return 0

    def dropped(self) -> int:
        return 0


def filled(file: IO[bytes], payload: BinaryIO) -> BinaryIO:
    """Return a new temporary file with a payload in it, at its start; closed where that fails."""
    try:
        while part := payload.read(_CHUNK):
            file.write(part)
        file.flush()
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return cast("BinaryIO", file)
