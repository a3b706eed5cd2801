"""Spool: the verbs, on a directory."""

from __future__ import annotations

import os
import time

from pq_cli.core import transitions
from pq_cli.core.arguments import (
    valid_callable,
    valid_duration,
    valid_flag,
    valid_payload,
    valid_reference,
)
from pq_cli.core.item import Item, State
from pq_cli.core.journal import transition
from pq_cli.core.policy import QueueConfig, valid_config
from pq_cli.core.queue import Queue
from pq_cli.core.request import Request, checked, valid_records
from pq_cli.core.tick import unheard
from pq_cli.errors import DamagedItemError, PqError
from pq_cli.spool import layout, opening
from pq_cli.spool.glance import Glance
from pq_cli.spool.holder import this_process
from pq_cli.spool.intake import admit
from pq_cli.spool.payload import (
    Staged,
    stage_bytes,
    stage_file,
    stage_stream,
)
from pq_cli.spool.serving import next_servable
from pq_cli.spool.settle import next_event, settle
from pq_cli.spool.spare import is_full
from pq_cli.spool.store import Store
from pq_cli.spool.upkeep import Upkeep

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, BinaryIO

    from pq_cli.core.tick import Tick
    from pq_cli.spool.arrivals import Arrivals
    from pq_cli.spool.attendance import Attendance
    from pq_cli.spool.departures import Departures
    from pq_cli.spool.dropbox import Dropbox

DEFAULT_LOCK_TIMEOUT = 30.0


def _random_fraction() -> float:
    """Return a number in [0, 1) without the start-up cost of `random`."""
    return int.from_bytes(os.urandom(4)) / 2**32


class Spool(Upkeep, Queue):
    """A priority queue in a directory: many processes, one truth, nothing lost.

    path: the spool's directory. create: make it when missing (else NoSpoolError). config:
    overrides queue.toml. clock: returns Unix seconds. jitter: returns what backoff is shortened by,
    as a share of a tenth, in [0, 1). lock_timeout: seconds to wait for other
    processes before LockTimeoutError. report: called with the DamagedItemError of each item that is
    passed over because it cannot be read; default: ignored.

    Raises NoSpoolError, CannotCreateError, PermissionDeniedError or ConfigError on opening. Every
    verb may raise OSError from the file system and LockTimeoutError. An item is named by its
    id (int or text), by a claim (`"1742.2"`), or by the Item itself.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        create: bool = True,
        config: QueueConfig | None = None,
        clock: Callable[[], float] = time.time,
        jitter: Callable[[], float] = _random_fraction,
        lock_timeout: float = DEFAULT_LOCK_TIMEOUT,
        report: Callable[[DamagedItemError], None] | None = None,
    ) -> None:
        valid_flag("create", create)
        valid_callable("clock", clock, "a function that returns Unix seconds")
        valid_callable("jitter", jitter, "a function that returns a number in [0, 1)")
        valid_duration("lock_timeout", lock_timeout)
        if report is not None:
            valid_callable("report", report, "a function of a DamagedItemError")
        if config is not None:
            config = valid_config(config)
        self.path = opening.absolute(path)
        self._clock = clock
        self._jitter = jitter
        state = opening.make(self.path, lock_timeout) if create else opening.open_state(self.path)
        self.config = opening.read_config(self.path) if config is None else config
        self._report = report if report is not None else _ignore
        self._store = Store(self.path, self.config, state, lock_timeout, self._report)
        self._dropped = Glance(self._store.reader, layout.NEW)
        self._dropbox: Dropbox | None = None
        self._attendance: Attendance | None = None

    def close(self) -> None:
        """Close the descriptors; the next verb opens them again."""
        self._store.close()

    def __del__(self) -> None:
        # A program that opens many spools and closes none must not run out of descriptors.
        store = getattr(self, "_store", None)
        if store is not None and os is not None:  # None: the interpreter is going down
            store.close()

    # -- in ------------------------------------------------------------------

    def enqueue(
        self,
        payload: bytes | BinaryIO,
        *,
        priority: int | None = None,
        key: str | None = None,
        if_exists: str = "skip",
        delay: float | None = None,
        at: float | None = None,
        max_attempts: int | None = None,
        name: str | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> Item:
        """Add an item and return it; the fields are those of `Request`.

        A stream is copied in bounded memory. When this returns, in "full" the item survives a
        power loss. Raises UsageError, KeyTakenError (`if_exists="fail"`) or QueueFullError.
        """
        request = Request(
            priority=priority, key=key, if_exists=if_exists, delay=delay, at=at,
            max_attempts=max_attempts, name=name, metadata=metadata,
        )  # fmt: skip
        items, error = self.commit([self.stage(payload, request)])
        if error is not None:
            raise error
        return items[0]

    def enqueue_many(
        self, records: Sequence[tuple[bytes, Request]], found: list[Item] | None = None
    ) -> tuple[list[Item], PqError | OSError | None]:
        """Enqueue (payload, request) pairs, in order, with one sync for all of them.

        Returns (items, the error that stopped it or None), and fills `found`, like `commit`. Give
        what fits in memory.
        """
        from pq_cli.spool.bulk import Bulk, are_many, is_bulk  # start-up: most enqueue one

        records = valid_records(records)
        if is_bulk(self._store, records):
            bulk = Bulk(self._store, records, self._clock())
            bulk.admit()
            return bulk.items, bulk.error
        sync = self._store.disk.sync and not are_many(records)
        batch: list[Staged] = []
        broken: PqError | OSError | None = None
        try:
            for payload, request in records:
                batch.append(stage_bytes(self._store.disk, payload, checked(request), sync=sync))
        except (PqError, OSError) as error:
            broken = error
        except BaseException:
            self.unstage(batch)
            raise
        items, stop = self.commit(batch, found)
        return items, stop or broken

    def stage(self, payload: bytes | BinaryIO, request: Request) -> Staged:
        """Write a payload to `tmp/`, without an id yet; `commit` makes items of many at once."""
        request, content = checked(request), valid_payload(payload)
        disk = self._store.disk
        if isinstance(content, bytes):
            return stage_bytes(disk, content, request, sync=disk.sync)
        return stage_stream(disk, content, request)

    def stage_file(
        self,
        path: str,
        request: Request,
        *,
        move: bool = False,
        tick: Tick = unheard,
    ) -> Staged:
        """Stage a FILE by the cheapest whole copy; with `move`, commit removes it afterwards.

        `tick` is told of bytes as they are copied.
        """
        return stage_file(self._store.disk, path, checked(request), move=move, tick=tick)

    def commit(
        self, batch: Sequence[Staged], found: list[Item] | None = None
    ) -> tuple[list[Item], PqError | OSError | None]:
        """Make items of staged payloads, in order; return (items, the error that stopped it).

        The items returned are durable; from the one that failed on, nothing of the batch is left.
        Those that were there already, under keys that are taken, are also added to `found`.
        """
        try:
            with self._store:
                items, error = admit(self._store, batch, self._clock(), found)
            for staged in batch[: len(items)]:
                error = self._end_move(staged) or error
        finally:
            self.unstage(batch)
        return items, error

    def _end_move(self, staged: Staged) -> OSError | None:
        """Remove the user's file if it is an item now; return what prevents it.

        A payload that still lies in `tmp/` is no item: its key was taken.
        """
        if staged.outside is not None and not os.path.lexists(f"{self.path}/{staged.tmp}"):
            try:
                self._store.disk.remove_outside(staged.outside)
            except OSError as stop:
                return stop  # not raised: its id must be told
        return None

    def unstage(self, batch: Sequence[Staged]) -> None:
        """Throw away staged payloads that are no items; failing, they lie in `tmp/` for `check`."""
        for staged in batch:
            try:
                self._store.disk.discard(staged.tmp)
            except OSError:
                return

    def arrivals(self) -> Arrivals:
        """Return a context in which items that have a past enter, each exactly once."""
        from pq_cli.spool.arrivals import Arrivals

        return Arrivals(self._store)

    def commit_claimed(self, staged: Staged, *, lease: float | None = None) -> Item:
        """Make an item of a staged payload that this process has claimed before others see it.

        The item comes back without a claim if it is due later, or was there already under the same
        key: whoever works on it then, it is not the caller. Raises like `enqueue`; after a
        LockTimeoutError the payload is still staged.
        """
        key = staged.request.key
        with self._store:
            try:
                taken = self._store.keys.owner(key) if key is not None else None
                now = self._clock()
                items, error = admit(self._store, [staged], now)
                if error is not None:
                    raise error
                item = items[0]
                if item.state is not State.PENDING or (taken is not None and taken.id == item.id):
                    return item
                return self._claim(item, now, lease, bound=True, own=True)
            finally:
                self.unstage([staged])

    def departures(self) -> Departures:
        """Return what marks items as leaving for another spool, and lets them go."""
        from pq_cli.spool.departures import Departures

        return Departures(self._store, self._clock)

    # -- claims ----------------------------------------------------------------

    def _take(self, lease: float | None, bound: bool) -> Item | None:
        store = self._store
        try:
            if self._dropped():
                self._pick_up()
        except OSError as error:
            if not is_full(error):  # a full disk must not keep what is there from being claimed
                raise
        with store:
            now = self._clock()
            settle(store, now)
            if store.state.paused is not None:
                return None
            item = next_servable(store, store.order_time(now))
            return None if item is None else self._claim(item, now, lease, bound)

    def _pick_up(self) -> None:
        """Make items of what was dropped into `new/`."""
        if self._dropbox is None:
            from pq_cli.spool.dropbox import Dropbox

            self._dropbox = Dropbox(self._store)
        self._dropbox.pick_up(self._clock())

    def _claim(
        self, item: Item, now: float, lease: float | None, bound: bool, own: bool = False
    ) -> Item:
        seconds = self.config.lease if lease is None else lease
        lock = None if self._attendance is None else self._attendance.name
        holder = this_process(bound=bound, lock=lock)
        after = transitions.claimed(item, now, seconds, holder)
        return self._store.move(item, after, sync=False, own=own)

    def attend(self) -> Attendance:
        """Hold a lock that the claims made from now on name, until its `close`.

        When this process dies, others see at once that its claims are free, also from another
        host; a child that inherits the lock (`fileno`) keeps them from it while it lives.
        """
        from pq_cli.spool.attendance import Attendance, sweep

        with self._store:
            settle(self._store, self._clock())
            made: list[Attendance] = []
            self._store.spare.behind(lambda: made.append(Attendance(self._store.disk)))
            sweep(self._store.disk)
            self._attendance = made[0]
            return made[0]

    def next_event(self) -> float | None:
        """Return the Unix second at which a lease ends or an item may come due, or None.

        Before it, only an enqueue, a release or a person can make work appear.
        """
        with self._store:
            return next_event(self._store)

    def done(self, item: Item | int | str, *, status: int | None = None) -> Item:
        """End a claimed item well. Raises StaleClaimError or NoSuchItemError."""
        with self._store:
            before = self._claimed(item)
            after = transitions.completed(before, self._clock(), status)
            if self.config.keep_done:
                return self._store.move(before, after)
            self._store.erase(before)
            self._store.log.note(transition(before, after))
            return after

    def fail(
        self,
        item: Item | int | str,
        error: str | None = None,
        *,
        dead: bool = False,
        status: int | None = None,
    ) -> Item:
        """End an attempt badly: retry later, or dead letter. Raises StaleClaimError.

        status: the exit status of the command that failed, for the history.
        """
        how = transitions.Ending(error=error, status=status)
        with self._store:
            before = self._claimed(item)
            now = self._clock()
            after = transitions.failed(before, now, how, dead, self.config, self._jitter())
            return self._store.move(before, after)

    def defer(
        self, item: Item | int | str, error: str | None = None, *, status: int | None = None
    ) -> Item:
        """Put an item off: retried after a growing wait, uncounted. Raises StaleClaimError."""
        how = transitions.Ending(error=error, status=status)
        with self._store:
            before = self._claimed(item)
            now = self._clock()
            after = transitions.deferred(before, now, how, self.config, self._jitter())
            return self._store.move(before, after)

    def release(self, item: Item | int | str, error: str | None = None) -> Item:
        """Give a claimed item back, uncounted; `error` says why. Raises StaleClaimError."""
        with self._store:
            before = self._claimed(item)
            return self._store.move(before, transitions.released(before, self._clock(), error))

    def renew(self, item: Item | int | str, lease: float | None = None) -> Item:
        """Prolong a claim to `lease` seconds from now. Raises StaleClaimError."""
        seconds = self.config.lease if lease is None else lease
        with self._store:
            before = self._claimed(item)
            after = transitions.renewed(before, self._clock(), seconds)
            return self._store.move(before, after, sync=False)

    def keep_log(self, item: Item, status: int, content: bytes) -> None:
        """Keep what the attempt under this claim wrote, until the item is removed.

        status: the exit status of the command. Raises StaleClaimError.
        """
        with self._store:
            before = self._claimed(item)
            times = transitions.attempt_times(before, self._clock())
            head = {"claim": before.claim, "exit": status, **times}
            self._store.attempt_logs.write(before.id, before.claims, head, content)

    # -- inside --------------------------------------------------------------------

    def _claimed(self, ref: Item | int | str) -> Item:
        item_id, claim = valid_reference(ref)
        item = self._store.index.active_item(item_id)
        if item is None or (claim is not None and item.claims != claim):
            item = self._store.reader.find(item_id, claim)
        transitions.check_claim(item, claim)
        return item


def _ignore(_: DamagedItemError) -> None:
    """Report nothing."""
