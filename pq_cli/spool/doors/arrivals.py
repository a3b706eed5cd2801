"""Arrivals: items with a past enter the spool in batches, each of them exactly once.

The steps, and what a crash (or kill -9) leaves at each:

1. Payloads, then metas are written to `imports/batch/`, and synced with one call. Crash: none of
   the batch has entered; the next import throws the folder away.
2. Under the lock the folder is renamed to `imports/handover`. This is the commit instant: from
   here on the whole batch enters, finished by whoever takes the lock next.
3. The origins are written to the ledger, then every item goes to its place (see `handover`).

So an item is in the ledger before anybody can work at it, and in the ledger only if it enters.
"""

from __future__ import annotations

from pq_cli.core.item import Item, printable
from pq_cli.core.meta import encode
from pq_cli.core.origin import Origin, arriving
from pq_cli.core.record import Record
from pq_cli.errors import KeyTakenError, LockTimeoutError, PqError, QueueFullError, TryAgainError
from pq_cli.spool.disk import layout
from pq_cli.spool.disk.durable import Disk
from pq_cli.spool.disk.lock import SpoolLock
from pq_cli.spool.doors import handover
from pq_cli.spool.doors.ledger import describe
from pq_cli.spool.doors.porch import Porch, said_of
from pq_cli.spool.files import Files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO, Self

MOST = 500
"""Items in a batch: enough that syncing is cheap, few enough for the lock to be held shortly."""
MOST_BYTES = 64 * 1024 * 1024
"""Payload bytes after which a batch is full."""


class Received(Record):
    """A payload that lies in the batch's folder, without a meta yet."""

    path: str
    size: int
    checksum: str


class Arrivals:
    """One import; a context manager that keeps other imports into this spool out.

    Raises TryAgainError on entering while another one is under way.
    """

    def __init__(self, files: Files) -> None:
        self._files = files
        # Nothing is synced by itself: the batch is synced as a whole.
        self._loose = Disk(files.root, sync=False)
        self._lock = SpoolLock(f"{files.root}/{layout.IMPORT_LOCK}", 0.0, files.disk.owner)
        self._clear()

    def __enter__(self) -> Self:
        self._files.disk.make_dir(layout.IMPORTS)
        try:
            self._lock.__enter__()
        except LockTimeoutError:
            raise TryAgainError(
                f"another import into {printable(self._files.root)} is under way"
            ) from None
        try:
            with self._files:
                handover.finish(self._files)
            self._empty_batch()
        except BaseException:
            self._unlock()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._empty_batch()
        finally:
            self._unlock()

    def _unlock(self) -> None:
        self._lock.__exit__()
        self._lock.close()

    def _clear(self) -> None:
        self._waiting: list[tuple[Received, Item, bool]] = []
        self._count = 0
        self._bytes = 0

    def _empty_batch(self) -> None:
        """Remove what an import that did not come to its commit has left."""
        for name in self._files.reader.names(layout.BATCH):
            self._files.disk.discard(f"{layout.BATCH}/{name}")
        self._files.disk.remove_dir(layout.BATCH)
        self._clear()

    def describe(self, realm: str, reader: str) -> None:
        """Remember how a realm is read: the next run reads it likewise, whatever is left of it."""
        describe(self._files.disk, realm, reader)

    # -- into the batch --------------------------------------------------------

    def receive(self, stream: BinaryIO) -> Received:
        """Copy a payload into the batch in bounded memory; `add` or `discard` it then."""
        if not self._count:
            self._loose.make_dir(layout.BATCH)
        path = f"{layout.BATCH}/payload-{self._count}"
        size, checksum = self._loose.receive(stream, path)
        self._count += 1
        return Received(path=path, size=size, checksum=checksum)

    def discard(self, received: Received) -> None:
        """Throw a payload away: its item is not to enter."""
        self._loose.discard(received.path)

    def add(
        self, received: Received, item: Item, origin: Origin, *, keeps_id: bool = False
    ) -> None:
        """Let `item` enter with this payload; its id, size and checksum are set by `commit`.

        keeps_id: it was in this spool before, and has its id and the number of its claims again,
        unless another item has that id now.
        """
        came = arriving(item, origin).replace(claims=item.claims if keeps_id else 0)
        self._waiting.append((received, came, keeps_id))
        self._bytes += received.size

    @property
    def full(self) -> bool:
        """Tell whether it is time to commit."""
        return self._count >= MOST or self._bytes >= MOST_BYTES

    # -- out of it ---------------------------------------------------------------

    def commit(self, event: str = "imported") -> list[Item | PqError]:
        """Let the batch enter; return for each item added, in order, the item or why not.

        event: what the log says of it.
        When it returns the items are durable in "full" and cannot enter again. A key that a live
        item has gives KeyTakenError, a full queue QueueFullError.
        """
        if not self._waiting:
            self._clear()
            return []
        files = self._files
        batch = self._with_ids()
        for received, item in batch:
            name = f"{layout.BATCH}/{layout.stem(item.id)}"
            self._loose.rename(received.path, name)
            self._loose.write_new(name + layout.META, encode(item))
        if files.disk.sync:
            files.disk.sync_file_system()
        with files:
            handover.finish(files)
            outcome = self._refuse(batch)
            accepted = [entry for entry in outcome if isinstance(entry, Item)]
            if accepted:
                files.disk.rename(layout.BATCH, layout.HANDOVER)
                if files.disk.sync:
                    files.disk.sync_dir(layout.IMPORTS)
                handover.hand_over(files, accepted, event)
        self._clear()
        return outcome

    def _with_ids(self) -> list[tuple[Received, Item]]:
        with self._files:
            porch = Porch(self._files, len(self._waiting))
            batch = []
            for received, item, keeps_id in self._waiting:
                if not (keeps_id and self._is_free(item)):
                    item = item.replace(id=0)
                said = said_of(self._files, received.size, received.checksum)
                item, _ = porch.numbered(item.replace(**said))
                batch.append((received, item))
        return batch

    def _is_free(self, item: Item) -> bool:
        """Tell whether the item can have the id back that it had: it was given, to nobody else."""
        last = self._files.counter.last_id or 0
        return item.id <= last and not any(self._files.reader.places(item.id))

    def _refuse(self, batch: list[tuple[Received, Item]]) -> list[Item | PqError]:
        """Take those out of the batch for which there is no room or whose key is taken."""
        outcome: list[Item | PqError] = []
        porch = Porch(self._files)
        for _, item in batch:
            try:
                porch.check(item, "fail")
                porch.enter(item)
                outcome.append(item)
            except (KeyTakenError, QueueFullError) as error:
                outcome.append(error)
                name = f"{layout.BATCH}/{layout.stem(item.id)}"
                self._files.disk.discard(name + layout.META)
                self._files.disk.discard(name)
        return outcome
