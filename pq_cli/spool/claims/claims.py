"""Claims: who holds them, which are over, what is due again, and what is claimed next.

A worker holds a lock as long as it lives, named in each of its claims. Who finds it free knows that
nobody works on those claims any more: at once, and also from another host that shares the file
system, or another pid namespace, where a pid says nothing.
"""

from __future__ import annotations

import os
import time
from functools import cached_property, partial

from pq_cli import host
from pq_cli.core import transitions
from pq_cli.core.events import transition
from pq_cli.core.item import Holder, Item, State
from pq_cli.core.jsonio import to_json
from pq_cli.core.order import choose
from pq_cli.core.timefmt import format_time
from pq_cli.errors import ConfigError, DamagedItemError
from pq_cli.host import is_mine, is_over, this_process
from pq_cli.spool.disk import layout
from pq_cli.spool.disk.durable import Disk
from pq_cli.spool.disk.lock import SpoolLock, is_locked
from pq_cli.spool.disk.payload import open_verified
from pq_cli.spool.disk.state import NEVER, read_config
from pq_cli.spool.files import Files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from typing import Any

    from pq_cli.core.insight.workers import Duty, Worker
    from pq_cli.core.order import LaneName


_PROBED = 5.0
"""Seconds for those who look, and have a new lock for an instant in which it is not ours yet."""
_DUTY = 255
"""Bytes of the line that is overwritten in place."""

_of_this_process: dict[str, Attendance] = {}
"""The locks of claims that end with this process, by the spool's root; they outlast a queue."""


def _leave_to_parent() -> None:
    """In a forked child: let go of the parent's locks, which must be free when that one dies."""
    for attendance in _of_this_process.values():
        os.close(attendance.fileno())
    _of_this_process.clear()


os.register_at_fork(after_in_child=_leave_to_parent)


class Attendance:
    """One worker's lock in `workers/`, held until `close`. Made under the spool's lock.

    It holds a line of JSON: host, pid, since when, and what it runs; and, of a pool, a second one
    that is overwritten in place (see `describe`). claims: ids of the claims that name it and have
    not ended. pid: who made it; a forked child has no part in it.
    """

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self.name = f"{os.getpid()}-{os.urandom(8).hex()}"
        disk.make_dir(layout.WORKERS, durable=False)  # no lock outlasts a boot
        self._path = f"{layout.WORKERS}/{self.name}"
        self._lock = SpoolLock(f"{disk.root}/{self._path}", _PROBED, disk.owner)
        self._lock.__enter__()
        self.pid = os.getpid()
        self.claims: set[int] = set()
        self._said: dict[str, Any] = {}
        self.open = True
        about = {"host": os.uname().nodename, "pid": self.pid, "since": format_time(time.time())}
        self._about = to_json({**about, "command": host.told_command()}) + b"\n"
        disk.overwrite(self._lock.fileno(), self._about)

    def fileno(self) -> int:
        """Return the lock's descriptor; a process that inherits it holds the lock as well."""
        return self._lock.fileno()

    def describe(self, values: dict[str, Any]) -> None:
        """Say what the worker is at: a line of one length, so that a small write replaces it."""
        if values != self._said:
            line = to_json(values).ljust(_DUTY) + b"\n"
            self._disk.overwrite(self._lock.fileno(), self._about + line)
            self._said = values

    def close(self) -> None:
        """End it: all claims have been settled."""
        self.open = False
        self._disk.discard(self._path)
        self._lock.close()  # that frees it, also where the interpreter is going down


def attendance_of_this_process(disk: Disk) -> Attendance:
    """Return the lock that claims name which end with this process; made at the first."""
    mine = _of_this_process.get(disk.root)
    if mine is None or not os.path.lexists(f"{disk.root}/{layout.WORKERS}/{mine.name}"):
        mine = _of_this_process[disk.root] = Attendance(disk)
    return mine


def claim_made(root: str, item: Item) -> None:
    """Take note of a claim that is made or renewed, perhaps one of this process."""
    mine = _of_this_process.get(root)
    if mine is not None and item.holder is not None and item.holder.lock == mine.name:
        mine.claims.add(item.id)


def claim_ended(root: str, item_id: int) -> None:
    """Take note that a claim, perhaps one of this process, is over."""
    mine = _of_this_process.get(root)
    if mine is not None:
        mine.claims.discard(item_id)


def dead_workers(root: str, mine: Attendance | None) -> list[str]:
    """Return the names of the locks that nobody holds any more. mine: need not be asked."""
    try:
        names = os.listdir(f"{root}/{layout.WORKERS}")
    except FileNotFoundError:
        return []
    others = (name for name in names if mine is None or name != mine.name)
    return [name for name in others if is_locked(f"{root}/{layout.WORKERS}/{name}") is False]


def is_gone(holder: Holder, root: str) -> bool:
    """Tell whether the worker that holds a claim is certainly gone.

    Certain is what its lock says, if it has one in the spool at `root`: also from another host or
    pid namespace. Else what this host knows.
    """
    path = None if holder.lock is None else layout.worker_lock(holder.lock)
    held = None if path is None else is_locked(f"{root}/{path}")
    return host.is_dead(holder) if held is None else not held


class SpoolClaims:
    """Knows who is at work, what is over, due and next; `SpoolStore` is one.

    given: limits in the stead of those in queue.toml, or None.
    """

    files: Files
    given: Mapping[str, int] | None
    _attendance: Attendance | None = None
    _duty: dict[str, Any] | None = None

    def __del__(self) -> None:
        # A program that opens many spools and closes none must not run out of descriptors.
        if os is not None:  # None: the interpreter is going down
            self.close()

    def close(self) -> None:
        """End this process's lock in the spool, too, unless a claim lives by it."""
        self.files.close()
        mine = _of_this_process.get(self.files.root)
        if mine is not None and not mine.claims:
            del _of_this_process[self.files.root]
            mine.close()

    def holder(self, *, bound: bool) -> Holder:
        return this_process(bound=bound, lock=self._lock_of_claims() if bound else None)

    def _lock_of_claims(self) -> str:
        attendance = self._attended()
        if attendance is None:
            attendance = self.files.spare.behind(attendance_of_this_process, self.files.disk)
            if self._duty is not None:
                attendance.describe(self._duty)
        return attendance.name

    def _attended(self) -> Attendance | None:
        """Return what `attend` has given, if it still counts here."""
        known = self._attendance
        return known if known is not None and known.open and known.pid == host.pid else None

    def attend(self) -> Attendance:
        self._attendance = self.files.spare.behind(Attendance, self.files.disk)
        return self._attendance

    def describe(self, duty: Duty) -> None:
        from pq_cli.core.insight.workers import duty_values  # start-up: only a pool has one

        self._duty = duty_values(duty)
        attendance = self._attended() or _of_this_process.get(self.files.root)
        if attendance is not None:
            attendance.describe(self._duty)

    def workers(self) -> Iterator[Worker]:
        from pq_cli.spool.claims.presence import present  # start-up: for whoever looks

        return present(self.files.root)

    # -- under the lock: what is over, due and next ---------------------------------

    @cached_property
    def _limits(self) -> SpoolLimits:
        return SpoolLimits(self.files, self.given)

    def has_slot(self, limit: str) -> bool:
        """Tell whether one more item of a limit may be at work."""
        return not self._limits.full(limit)

    def expiring(self, now: float) -> Sequence[tuple[Item, str]]:
        """Return the claims that are over, and why, where their ends are to be synced."""
        files = self.files
        files.after.dead = self._dead_workers()
        if not files.disk.sync or self._all_hold(now, files.after.dead):
            return ()
        claims = files.index.claims(lambda error: None)  # told of by who ends them
        return [(item, why) for item in claims if (why := self._why_over(item, now)) is not None]

    def _dead_workers(self) -> list[str]:
        root = self.files.root
        return dead_workers(root, self._attended() or _of_this_process.get(root))

    def _all_hold(self, now: float, dead: list[str]) -> bool:
        """Tell whether no lease can have ended, and no worker has died."""
        floor = self.files.counter.floor
        return not dead and floor is not None and now < floor

    def _why_over(self, item: Item, now: float) -> str | None:
        """Return why a claim is over, or None."""
        if item.holder is None:
            return None  # nobody ever had it
        if item.lease_until is None or item.lease_until <= now:
            return transitions.LEASE_OVER
        gone = not is_mine(item.holder) and is_gone(item.holder, self.files.root)
        return transitions.WORKER_DIED if gone else None

    def _overdue(self, now: float) -> Iterator[tuple[Item, str]]:
        """Yield the claims that are over, and why; each is to be ended before the next is asked.

        Claims are read only where a lease may have ended or a worker has died: so ten thousand that
        are fine cost nothing.
        """
        files = self.files
        dead = files.after.dead
        if dead is None:
            dead = self._dead_workers()
        if self._all_hold(now, dead):
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
            elif (why := self._why_over(item, now)) is not None:
                yield item, why
            else:
                floor = min(floor, item.lease_until or 0.0)
        self._clear_ended()
        files.counter.set_floor(floor)
        for name in dead:
            files.disk.discard(f"{layout.WORKERS}/{name}")  # their claims have been taken back

    def promote(self, now: float, *, at_once: bool = False) -> Collection[str]:
        """Turn what is due into pending items: renames only, so many at once are no burden.

        at_once: but for those whose folder is not there durably, as each must be before anything
        is renamed into it; these folders are returned. Then what cannot be read is told of next
        time.
        """
        files, lacking = self.files, set[str]()
        unread: list[DamagedItemError] = []
        due = files.index.due()
        if due is None or due > now:
            return lacking
        make = partial(files.spare.behind, files.make_folder)
        for folder, _ in list(files.reader.of(State.DELAYED)):
            if layout.second_of(folder) > now:
                break
            ended = files.index.ended
            for item in files.reader.items(
                folder, State.DELAYED, report=unread.append, ended=ended
            ):
                if (item.not_before or 0.0) > now:
                    continue
                after = transitions.due(item)
                home = layout.folder_of(after)
                if at_once and home not in lacking and not make(home, True):
                    lacking.update(layout.made_with(home))
                if home not in lacking:
                    files.move(item, after, sync=False, as_is=True)
            files.tidy(folder)
        self._clear_ended()
        files.index.due_changed()
        for error in unread if not lacking else ():
            files.report(error)
        return lacking

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
            self._clear_ended()
            item = None if found is None else index.head(found[0])
            if item is None or self._servable(item):
                return item

    def _clear_ended(self) -> None:
        """Remove items that have ended, and that were come across."""
        for path in self.files.index.ended:
            item_id = (layout.parse_name(path.rpartition("/")[2]) or (0, None))[0]
            self.files.clear_away(item_id, path)
        self.files.index.ended.clear()

    def _servable(self, item: Item) -> bool:
        """Tell whether a head can be served; if not it is reported, or another has its key."""
        files = self.files
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
        if item.key is not None and files.keys.named(item.key) != [item.id]:
            from pq_cli.spool.replacing import may_be_claimed  # start-up: nearly never

            return may_be_claimed(files, item)
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
