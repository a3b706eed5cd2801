"""Bringing the items of an older queue into a spool: in their order, each exactly once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pq_cli.core.item import MAX_METADATA_BYTES, Item, State
from pq_cli.core.jsonio import to_json
from pq_cli.core.origin import Origin
from pq_cli.core.transitions import stamp
from pq_cli.errors import PqError, QueueFullError
from pq_cli.migrate.detect import choose
from pq_cli.migrate.model import Json, LegacyItem, Reported, SourceChangedError, Why
from pq_cli.migrate.order import Ordered
from pq_cli.migrate.payload import check_unchanged, open_payload
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


class Import:
    """One run of an import.

    removal: takes the sources of what has entered away (`--move`), or None. now: Unix seconds.
    """

    def __init__(
        self,
        root: Path,
        reader: str,
        arrivals: Arrivals,
        taken: Taken,
        removal: Removal | None,
        max_attempts: int,
        now: float,
    ) -> None:
        self._root = root
        self._reader = reader
        self._arrivals = arrivals
        self._taken = taken
        self._removal = removal
        self._max_attempts = max_attempts
        self._now = now
        self._batch: list[LegacyItem] = []

    def run(self, ordered: Ordered, *, include_done: bool) -> Iterator[Fate | Reported]:
        """Import in order; yield what became of each item (once it is durable) and file.

        Raises QueueFullError, OSError and others of the spool: what was yielded before is in,
        and the next run goes on from there.
        """
        self._arrivals.describe(realm_of(self._root), self._reader)
        for event in plan(ordered, self._taken, include_done=include_done):
            if isinstance(event, Reported) or event.action != "import":
                if (
                    isinstance(event, Fate)
                    and event.action == "known"
                    and self._removal is not None
                ):
                    self._removal.remove(event.legacy)
                yield event
                continue
            problem = self._stage(event.legacy)
            if problem is not None:
                yield problem
            if self._arrivals.full:
                yield from self._commit()
        yield from self._commit()

    def _stage(self, legacy: LegacyItem) -> Reported | None:
        item = as_item(legacy, self._root, self._reader, self._max_attempts, self._now)
        room = MAX_METADATA_BYTES - len(to_json([item.metadata, item.last_error]))
        if room < 0:
            what = f"its metadata has {-room} bytes more than fit into an item"
            return Reported(legacy.source[0], Why.METADATA_TOO_LARGE, what)
        try:
            with open_payload(self._root, legacy) as stream:
                received = self._arrivals.receive(stream)
            try:
                check_unchanged(self._root, legacy)
            except BaseException:
                self._arrivals.discard(received)
                raise
        except SourceChangedError as error:
            return Reported(legacy.source[0], Why.CHANGED, str(error))
        origin = Origin(realm=realm_of(self._root), name=name_of(legacy))
        self._arrivals.add(received, item, origin)
        self._batch.append(legacy)
        return None

    def _commit(self) -> Iterator[Fate | Reported]:
        batch, self._batch = self._batch, []
        full: PqError | None = None
        for legacy, result in zip(batch, self._arrivals.commit(), strict=True):
            if isinstance(result, Item):
                self._taken.add(name_of(legacy))
                if self._removal is not None:
                    self._removal.remove(legacy)
                yield Fate("import", legacy, result)
            elif isinstance(result, QueueFullError):
                full = result
            else:
                yield Reported(legacy.source[0], Why.REFUSED, str(result))
        if full is not None:
            raise full
