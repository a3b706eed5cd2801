"""Serving: what comes back because its time is over or has come, and what is next."""

from __future__ import annotations

import os
from functools import cached_property

from pq_cli.core import transitions
from pq_cli.core.events import transition
from pq_cli.core.item import Item, State
from pq_cli.core.order import choose
from pq_cli.errors import ConfigError, DamagedItemError
from pq_cli.host import is_mine, is_over
from pq_cli.spool.claims.workers import dead_workers, is_gone
from pq_cli.spool.disk import layout
from pq_cli.spool.disk.payload import open_verified
from pq_cli.spool.disk.state import NEVER, read_config
from pq_cli.spool.files import Files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pq_cli.core.order import LaneName


class SpoolServes:
    """Knows what is over, what is due and what is next; `SpoolStore` is one. All under the lock.

    given: limits in the stead of those in queue.toml, or None.
    """

    files: Files
    given: Mapping[str, int] | None

    @cached_property
    def _limits(self) -> SpoolLimits:
        return SpoolLimits(self.files, self.given)

    def has_slot(self, limit: str) -> bool:
        """Tell whether one more item of a limit may be at work."""
        return not self._limits.full(limit)

    def _overdue(self, now: float) -> Iterator[tuple[Item, str]]:
        """Yield the claims that are over, and why; each is to be ended before the next is asked.

        Claims are read only where a lease may have ended or a worker has died: so ten thousand that
        are fine cost nothing.
        """
        files = self.files
        dead = dead_workers(files.root)
        floor = files.counter.floor
        if not dead and floor is not None and now < floor:
            return
        unread: list[DamagedItemError] = []
        claims = list(files.index.claims(unread.append))
        for error in unread:
            files.report(error)
        floor = 0.0 if unread else NEVER  # they are told of again at the next look
        for item in claims:
            if item.holder is None:
                # The claim's process died before its claim was written: nobody ever had it.
                after = transitions.released(item, now).replace(attempts=item.attempts)
                files.move(item, after)
                files.log.note(transition(item, after))
            elif item.lease_until is None or item.lease_until <= now:
                yield item, transitions.LEASE_OVER
            elif not is_mine(item.holder) and is_gone(item.holder, files.root):
                yield item, transitions.WORKER_DIED
            else:
                floor = min(floor, item.lease_until)
        files.clear_ended()
        files.counter.set_floor(floor)
        for name in dead:
            files.disk.discard(f"{layout.WORKERS}/{name}")  # their claims have been taken back

    def promote(self, now: float) -> None:
        """Turn what is due into pending items: renames only, so many at once are no burden."""
        files = self.files
        due = files.index.due()
        if due is None or due > now:
            return
        for folder, _ in list(files.reader.of(State.DELAYED)):
            if layout.second_of(folder) > now:
                break
            ended = files.index.ended
            for item in files.reader.items(folder, State.DELAYED, report=files.report, ended=ended):
                if (item.not_before or 0.0) <= now:
                    files.move(item, transitions.due(item), sync=False, as_is=True)
            files.tidy(folder)
        files.clear_ended()
        files.index.due_changed()

    def next_event(self) -> float | None:
        """Return the Unix second at which a lease ends or an item may come due, or None.

        Every claim is read: the floor may lie before the end of the first lease.
        """
        files = self.files
        times = [item.lease_until or 0.0 for item in files.index.claims(files.report)]
        due = files.index.due()
        if due is not None:
            times.append(due)
        return min(times, default=None)

    def next(self, t: float) -> Item | None:
        """Return the pending item that is next at `t`, or None.

        Items whose payload is missing or torn are reported and passed over.
        """
        files, index = self.files, self.files.index

        def front(lane: LaneName) -> tuple[int, float] | None:
            head = index.head(lane)
            return None if head is None else (head.id, head.created_at)

        while True:
            found = choose(index.lanes(), files.config, t, front, self._limits.full)
            for folder in index.empty_folders:
                files.tidy(folder)
            index.empty_folders.clear()
            files.clear_ended()
            item = None if found is None else index.head(found[0])
            if item is None or self._servable(item):
                return item

    def _servable(self, item: Item) -> bool:
        """Tell whether a head can be served; if not it is reported, or removed as superseded."""
        files = self.files
        if item.key is not None and files.keys.superseded(item):
            files.erase(item)
            return False
        path = files.place(item)
        size = files.reader.size_of(path)
        if size is None and files.fetch_payload(item.id, path):
            size = files.reader.size_of(path)
        try:
            if size is None:
                raise DamagedItemError(f"item {item.id}: its payload is missing")
            if size != item.size or is_over(item.written_boot):
                open_verified(item).close()
        except DamagedItemError as error:
            files.report(error)
            files.index.pass_over(item.lane, item.id)
            return False
        return True


class SpoolLimits:
    """The limits of one spool. Under its lock, and asked only where an item has one.

    given: what the queue was opened with in the stead of queue.toml; None: that file, which is read
    anew when it has changed, so that a worker that stays follows it at once. One that is wrong
    changes nothing: whoever opens the spool next says what is wrong with it.
    """

    def __init__(self, files: Files, given: Mapping[str, int] | None) -> None:
        self._files = files
        self._given = given
        self._most: Mapping[str, int] = files.config.limits
        self._seen: tuple[int, ...] | None = None

    def full(self, limit: str) -> bool:
        """Tell whether as many items of a limit are at work as may be."""
        return self._files.index.at_work(limit) >= self.now().get(limit, 1)

    def now(self) -> Mapping[str, int]:
        """Return how many items of each limit may be at work; of those it lacks, one."""
        if self._given is not None:
            return self._given
        try:
            info = os.lstat(f"{self._files.root}/{layout.CONFIG}")
            look: tuple[int, ...] = (info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns)
        except OSError:
            look = (0,)
        if look != self._seen:
            self._seen = look
            try:
                self._most = read_config(self._files.root).limits
            except (ConfigError, OSError):
                pass
        return self._most
