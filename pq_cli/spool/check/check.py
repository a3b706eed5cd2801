"""Check: a spool against the table of legal states in pq-spool(5).

It walks the spool without a lock. Whoever only looks takes none and writes nothing: what
looks wrong is looked at again after a while, and told if it is still so, so that an item on the
move is never taken for damage. To mend, it is looked at again under the lock, and mended there.
"""

from __future__ import annotations

import os
import time
from functools import partial
from itertools import chain

from pq_cli.core.item import State, printable
from pq_cli.errors import ConfigError
from pq_cli.host import this_boot
from pq_cli.spool.check.findings import Finding
from pq_cli.spool.check.mend import Mender
from pq_cli.spool.check.pairs import Pairs
from pq_cli.spool.check.paths import Paths
from pq_cli.spool.disk import layout
from pq_cli.spool.disk.durable import Disk
from pq_cli.spool.disk.keys import Keys
from pq_cli.spool.disk.lock import SpoolLock
from pq_cli.spool.disk.reader import Reader
from pq_cli.spool.disk.state import Counter, DamagedStateError, last_given, read_config, read_state
from pq_cli.spool.quarantine import Aside, asides
from pq_cli.spool.spool import Spool, absolute, open_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pq_cli.spool.check.paths import Look

PATIENCE = 0.5
"""Seconds for which something must look wrong: far longer than any item is on the move."""
_SHARES = (0.0, 0.1, 0.3, 0.6)
"""How the patience is shared out between looks; the first comes at once."""
_OURS = (layout.STATE, layout.COUNTER, layout.LOCK, layout.LOG, layout.SPARE, layout.SPARES)
_TOGETHER = 10_000
"""Doubtful looks that share one patience."""
STALE_AFTER = 600.0
"""Seconds without a write after which a file in `tmp/` whose process is not seen here is stale."""


class Check:
    """One pass over the spool at `root`.

    lock_timeout: for repair. stale_after, patience: see STALE_AFTER, PATIENCE. Raises NoSpoolError,
    CannotCreateError, PermissionDeniedError or ConfigError (a newer format).
    """

    def __init__(
        self,
        root: str,
        lock_timeout: float,
        stale_after: float = STALE_AFTER,
        patience: float = PATIENCE,
    ) -> None:
        self.root = absolute(root)
        try:
            open_state(self.root)
        except DamagedStateError:
            pass
        self._reader = Reader(self.root)
        self._disk = Disk(self.root, sync=True)
        self._keys = Keys(self._reader, self._disk)
        self._counter = Counter(self._disk)
        self._lock = SpoolLock(f"{self.root}/{layout.LOCK}", lock_timeout, self._disk.owner)
        self._lock_timeout = lock_timeout
        self._pairs = Pairs(self._reader, self._keys)
        self._mender = Mender(self._disk, self._reader, self._keys, self._counter)
        self._paths = Paths(self._reader, self._keys, stale_after)
        self._patience = patience
        self._seen: dict[int, int] = {}
        self._twice: set[int] = set()
        self._highest = 0

    def count(self) -> int:
        """Return how many items there are to look at, by the names of their metas."""
        return self._reader.count(State)

    def asides(self) -> list[Aside]:
        """Return what lies in quarantine, the oldest first."""
        return asides(self._reader)

    def run(self, *, repair: bool) -> Iterator[Finding]:
        """Yield what is wrong, mended if `repair`.

        Without `repair` nothing is written and no lock is taken. With it, raises LockTimeoutError.
        """
        return (finding for finding in self.steps(repair=repair) if finding is not None)

    def steps(self, *, repair: bool) -> Iterator[Finding | None]:
        """Yield what `run` yields, and None for every item that is looked at."""
        try:
            yield from self._mended() if repair else self._lasting()
        finally:
            self._counter.close()
            self._lock.close()

    def _mended(self) -> Iterator[Finding | None]:
        """Yield what is wrong under the lock too, mended there where it can be."""
        with self._lock:
            stopped = self._handover()  # under the lock, so its owner is gone
        yield from self._finished(stopped)
        for look in self._doubtful():
            if look is None:
                yield None
                continue
            with self._lock:
                found = [self._mender.mend(f) for f in look() if f.kind != "untold"]
            yield from found
        list(self._finished([]))  # what follows others was linked by the repair

    def _finished(self, found: list[Finding]) -> Iterator[Finding]:
        """Finish what others have begun, as the next claim would; yield what that was."""
        looks = self._paths.untold()
        found += [f for look in looks if look is not None for f in look() if f.kind == "untold"]
        if not found:
            return
        with Spool(self.root, create=False, lock_timeout=self._lock_timeout) as spool:
            spool.finish_begun()
        yield from (finding.replace(mended=True) for finding in found)

    def _lasting(self) -> Iterator[Finding | None]:
        """Yield what is wrong at each of several looks, without a lock."""
        batch: list[Look] = []
        for look in chain([self._handover], self._doubtful()):
            if look is None:
                yield None
                continue
            batch.append(look)
            if len(batch) == _TOGETHER:
                yield from self._looked_at_again(batch)
                batch = []
        yield from self._looked_at_again(batch)

    def _looked_at_again(self, looks: list[Look]) -> Iterator[Finding]:
        batch = [(look, look()) for look in looks]
        for share in _SHARES:
            batch = [(look, found) for look, found in batch if found]
            if batch:
                time.sleep(self._patience * share)
            batch = [(look, _again(found, look())) for look, found in batch]
        for _, found in batch:
            yield from found

    def _doubtful(self) -> Iterator[Look | None]:
        """Yield the looks that find something, and None for every item."""
        for look in self._everything():
            if look is None or look():
                yield look

    def _handover(self) -> list[Finding]:
        """Look for a handover that stopped: one under way has other items at every look."""
        names = sorted(n for n in self._reader.names(layout.HANDOVER) if n.endswith(layout.META))
        if not names:
            return []
        first = layout.parse_id(names[0].removesuffix(layout.META))
        detail = f"{len(names)} items"
        return [Finding(kind="handover", path=layout.HANDOVER, id=first, detail=detail)]

    # -- the walk -------------------------------------------------------------

    def _everything(self) -> Iterator[Look | None]:
        """Yield a look at everything there is, and None before that at each item."""
        yield partial(self._paths.rights, "")
        for name in _OURS:
            yield partial(self._paths.rights, name)
        yield self._config
        for name in layout.FOLDERS:
            yield partial(self._top_folder, name)
        yield from self._paths.walk(layout.TMP, (), partial(self._paths.each, self._tmp))
        for state, levels in layout.LEVELS.items():
            yield from self._paths.walk(str(state), levels, self._items)
        yield partial(self._paths.top, layout.LIMITS)
        yield from self._paths.walk(layout.LIMITS, (layout.parse_limit,), self._items)
        for item_id in sorted(self._twice):
            yield partial(self._two_places, item_id)
        yield from self._paths.beside(self._known)
        yield self._ids

    def _items(self, folder: str, names: list[str]) -> Iterator[Look | None]:
        stems = set()
        for name in names:
            if layout.parse_ended(name) is not None:
                yield from self._paths.each(self._ended, folder, [name])
                continue
            stem = name.removesuffix(layout.META)
            parsed = layout.parse_name(stem)
            if parsed is None or (parsed[1] is None) == folder.startswith("active"):
                yield partial(self._paths.foreign, f"{folder}/{name}")
                continue
            stems.add(stem)
            if stem != name:
                self._remember(parsed[0])
        for stem in sorted(stems):
            for end in ("", layout.META):
                yield partial(self._paths.rights, f"{folder}/{stem}{end}")
            yield None
            yield partial(self._pairs.look, folder, stem)

    def _remember(self, item_id: int) -> None:
        """Note an id; one bit each, so that a million of them fit into a few hundred kilobytes."""
        self._highest = max(self._highest, item_id)
        block, bit = item_id >> 10, 1 << (item_id & 1023)
        bits = self._seen.get(block, 0)
        if bits & bit:
            self._twice.add(item_id)
        self._seen[block] = bits | bit

    def _known(self, item_id: int) -> bool:
        return bool(self._seen.get(item_id >> 10, 0) & 1 << (item_id & 1023))

    # -- looks: each returns what is wrong now ---------------------------------

    def _config(self) -> list[Finding]:
        try:
            read_config(self.root)
        except ConfigError as error:
            return [Finding(kind="config", path=layout.CONFIG, detail=str(error))]
        return []

    def _top_folder(self, name: str) -> list[Finding]:
        if not os.path.lexists(f"{self.root}/{name}"):
            return [Finding(kind="folder", path=name, detail="is missing")]
        return self._paths.top(name)

    def _ended(self, path: str) -> list[Finding]:
        item_id = layout.parse_ended(os.path.basename(path)) or 0
        kind, detail = "ended", "its item has ended"
        if any(self._reader.places(item_id)):
            kind, detail = "behind", "its item is there again, after a power loss"
        return [Finding(kind=kind, path=path, id=item_id, detail=detail)]

    def _tmp(self, path: str) -> list[Finding]:
        parts = os.path.basename(path).split("-")
        pid = int(parts[1]) if len(parts) == 3 and parts[1].isdecimal() else 0
        still = self._paths.unwritten_for(path)
        if still is None or (pid and os.path.exists(f"/proc/{pid}")):
            return []
        return [Finding(kind="tmp", path=path, detail=f"not written for {still:.0f} s")]

    def _two_places(self, item_id: int) -> list[Finding]:
        places = list(self._reader.places(item_id))
        if len(places) < 2:
            return []
        where = " and ".join(folder for folder, *_ in places)
        path = "/".join(places[0][:2])
        return [Finding(kind="twice", path=path, id=item_id, detail=f"lies in {where}")]

    def _ids(self) -> list[Finding]:
        try:
            state = read_state(self.root)
        except DamagedStateError as error:
            return [Finding(kind="counter", path=layout.STATE, detail=printable(str(error)))]
        if state is None:
            return [Finding(kind="counter", path=layout.STATE, detail="is missing")]
        last, _ = last_given(self.root)
        highest = self._highest
        counted = last is not None and state.boot == this_boot()  # else nobody believes it
        if highest > state.reserved_id or (counted and (last or 0) < highest):
            detail = f"says {last} of {state.reserved_id}, but there is an item {highest}"
            return [Finding(kind="counter", path=layout.COUNTER, id=highest, detail=detail)]
        return []


def _again(before: list[Finding], now: list[Finding]) -> list[Finding]:
    """Return what is found now and was found before: the same kind, at the same place."""
    known = {(finding.kind, finding.path, finding.id) for finding in before}
    return [finding for finding in now if (finding.kind, finding.path, finding.id) in known]
