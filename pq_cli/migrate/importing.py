"""Bringing the items of an older queue into a spool: in their order, each exactly once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pq_cli.core.item import MAX_METADATA_BYTES, Item, State
from pq_cli.core.jsonio import to_json
from pq_cli.core.origin import Origin
from pq_cli.core.transitions import stamp
from pq_cli.errors import PqError, QueueFullError
from pq_cli.migrate.detect import choose
from pq_cli.migrate.files import check_unchanged, open_payload
from pq_cli.migrate.model import Json, LegacyItem, Reported, SourceChangedError, Why
from pq_cli.migrate.order import Ordered
from pq_cli.migrate.removal import Removal
from pq_cli.migrate.traces import Format
from pq_cli.queue.departures import Arrivals
from pq_cli.queue.verbs import Queue
from pq_cli.transfer.scratch import Taken


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of a legacy item.

    action: `import`, it enters; `known`, an earlier run has taken it; `leave`, it is done, and done
    items were not asked for. item: what it is in the queue now, None for one that is not there.
    """

    action: Literal["import", "known", "leave"]
    legacy: LegacyItem
    item: Item | None = None


def reader_for(root: Path, name: str | None, queue: Queue | None) -> Format:
    """Return the reader that `--from` names, or that read the folder before, or that fits.

    queue: where the items are to go; None if it is not made yet.
    """
    if name is None and queue is not None:
        name = queue.reader_of(realm_of(root))
    return choose(root, name)


def realm_of(root: Path) -> str:
    """Return the realm of a source folder: its real path."""
    return f"folder {os.path.realpath(root)}"


def name_of(legacy: LegacyItem) -> str:
    """Return what tells an item from all others of its folder, also from a later one of its name.

    The payload's path, size and mtime: a folder of files may hold another `report.xml` tomorrow.
    """
    return f"{legacy.source[0]} {legacy.stamp.size} {legacy.stamp.mtime_ns}"


def as_item(legacy: LegacyItem, root: Path, reader: str, max_attempts: int, now: float) -> Item:
    """Return the item that a legacy item becomes, without id, size and checksum.

    `updated_at` is `now`, so that `purge` spares what ended long ago for its full time.
    """
    migrated = {
        "from": reader,
        "id": legacy.legacy_id,
        "source": [os.path.join(os.path.realpath(root), path) for path in legacy.source],
    }
    metadata: Json = {"legacy": legacy.legacy, "migrated": migrated}
    if legacy.earlier:
        metadata["legacy_earlier"] = list(legacy.earlier)
    return Item(
        id=0,
        priority=legacy.priority,
        state=State(legacy.state),
        created_at=legacy.created_us / 1e6,
        updated_at=stamp(now),
        attempts=legacy.attempts,
        max_attempts=max_attempts if legacy.max_attempts is None else legacy.max_attempts,
        name=legacy.legacy_id,
        last_error=legacy.last_error,
        metadata=metadata,
    )


def plan(ordered: Ordered, taken: Taken, *, include_done: bool) -> Iterator[Fate | Reported]:
    """Yield what `Import.run` would do, one event for each item and each file left, in order."""
    for legacy in ordered.items():
        if taken.has(name_of(legacy)):
            yield Fate("known", legacy)
        elif legacy.state == "done" and not include_done:
            yield Fate("leave", legacy)
        else:
            yield Fate("import", legacy)
    yield from ordered.reported()


@dataclass
class Import:
    """One run of an import.

    removal: takes the sources of what has entered away (`--move`), or None. now: Unix seconds.
    """

    root: Path
    reader: str
    arrivals: Arrivals
    taken: Taken
    removal: Removal | None
    max_attempts: int
    now: float
    _batch: list[LegacyItem] = field(default_factory=list)

    def run(self, ordered: Ordered, *, include_done: bool) -> Iterator[Fate | Reported]:
        """Import in order; yield what became of each item (once it is durable) and file.

        Raises QueueFullError, OSError and others of the spool: what was yielded before is in,
        and the next run goes on from there.
        """
        self.arrivals.describe(realm_of(self.root), self.reader)
        for event in plan(ordered, self.taken, include_done=include_done):
            if isinstance(event, Fate) and event.action == "import":
                yield from self._stage(event.legacy)
                continue
            if isinstance(event, Fate) and event.action == "known":
                self._remove(event.legacy)
            yield event
        yield from self._commit()

    def _stage(self, legacy: LegacyItem) -> Iterator[Fate | Reported]:
        item = as_item(legacy, self.root, self.reader, self.max_attempts, self.now)
        room = MAX_METADATA_BYTES - len(to_json([item.metadata, item.last_error]))
        if room < 0:
            what = f"its metadata has {-room} bytes more than fit into an item"
            yield Reported(legacy.source[0], Why.METADATA_TOO_LARGE, what)
            return
        try:
            with open_payload(self.root, legacy) as stream:
                received = self.arrivals.receive(stream)
            try:
                check_unchanged(self.root, legacy)
            except BaseException:
                self.arrivals.discard(received)
                raise
        except SourceChangedError as error:
            yield Reported(legacy.source[0], Why.CHANGED, str(error))
            return
        origin = Origin(realm=realm_of(self.root), name=name_of(legacy))
        self.arrivals.add(received, item, origin)
        self._batch.append(legacy)
        if self.arrivals.full:
            yield from self._commit()

    def _commit(self) -> Iterator[Fate | Reported]:
        batch, self._batch = self._batch, []
        full: PqError | None = None
        for legacy, result in zip(batch, self.arrivals.commit(), strict=True):
            if isinstance(result, Item):
                self.taken.add(name_of(legacy))
                self._remove(legacy)
                yield Fate("import", legacy, result)
            elif isinstance(result, QueueFullError):
                full = result
            else:
                yield Reported(legacy.source[0], Why.REFUSED, str(result))
        if full is not None:
            raise full

    def _remove(self, legacy: LegacyItem) -> None:
        if self.removal is not None:
            self.removal.remove(legacy)
