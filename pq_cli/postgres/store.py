"""PostgresStore: a `Store` that is a database. See `queue.store` for what each method promises.

A transaction is one of the server's, and it excludes nobody as a whole. Who works on an item locks
its row, so that many claim side by side, each passing over what others are about to take. Four
locks for all of a queue are there besides, always taken in this order, so that nobody waits in a
circle:

- the *returns*: held by those who bring back many items at once, whose claims are over or which are
  due: two who lock the same rows by different ways would wait for each other;
- the *order*: shared by those who claim, and held alone by people's verbs, which look an item up by
  its bare id, and by whoever pauses: else a claim would pass over an item that is just being looked
  at, and its lane would be out of order;
- the *keys*: held by those who may give an item a key or the life that goes with it, and so by
  those who end one for which others wait, before they lock its row;
- the counter's row: held by those who enqueue, so that ids become visible in their order.
"""

from __future__ import annotations

import math
import os
import time
from contextlib import contextmanager
from functools import partial
from threading import RLock
from typing import TYPE_CHECKING

from pq_cli.core.insight.workers import duty_values
from pq_cli.core.item import MAX_HISTORY, Item, State
from pq_cli.core.jsonio import parse_python, to_json
from pq_cli.core.policy import Pause, QueueState
from pq_cli.errors import DamagedItemError, NoSuchItemError, PqError, TryAgainError
from pq_cli.host import this_process
from pq_cli.postgres import payloads, presence
from pq_cli.postgres import statements as sql
from pq_cli.postgres.entry import Entry, PostgresArrivals
from pq_cli.postgres.finding import KEYS, ORDER
from pq_cli.postgres.followers import PostgresFollowers
from pq_cli.postgres.link import Link
from pq_cli.postgres.own.claims import Claims
from pq_cli.postgres.rows import called, texts, worker_of
from pq_cli.postgres.trouble import owners_only

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any, BinaryIO

    from pq_cli.core.insight.workers import Duty
    from pq_cli.core.item import Holder
    from pq_cli.core.policy import QueueConfig
    from pq_cli.postgres.address import Address
    from pq_cli.postgres.payloads import Staged
    from pq_cli.postgres.presence import Presence
    from pq_cli.postgres.wire.session import Row
    from pq_cli.queue.request import Admitted, Request

_LOOK = 2.0
"""Seconds between looks while waiting: a notification may be lost."""
_LOOK_LEAST = 0.01
"""As long, though it is time: what is due may be in somebody else's hands."""
HOLDS = 1.0
"""Seconds for which new items go by what the server last said of the time, and a clock that runs
on here; also for as long it is taken for granted that the server answers, if nothing says it does
not. Then a transaction can be one trip."""


class PostgresStore(Claims):
    """The items of one queue.

    queue: its number in the database. clock: returns Unix seconds; None: the server's. patience:
    seconds to wait for others. report: called with the DamagedItemError of each item that is passed
    over. limits: those of a policy that the queue was given; None: those of its own, at any time.
    """

    def __init__(
        self,
        address: Address,
        link: Link,
        queue: int,
        config: QueueConfig,
        clock: Callable[[], float] | None,
        patience: float,
        report: Callable[[DamagedItemError], None],
        limits: dict[str, int] | None,
    ) -> None:
        self.name = address.url
        self.where = address.shown
        self._address = address
        self._link = link
        self.number = queue
        self._config = config
        self._given_limits = None if limits is None else to_json(limits).decode()
        self._clock = clock
        self._patience = patience
        self._report = report
        self._lock = RLock()
        self._looking: list[Link] = []
        self._attendance: Presence | None = None
        self._duty: str | None = None
        self._next_census = 0.0
        self._known: tuple[float, float, float | None] | None = None
        self._came: tuple[int, bytes | None] = 0, None
        self._own: dict[int, tuple[Item, str]] = {}
        self._unheard: list[tuple[float | None, str]] = []
        self._unheard_until = 0.0
        self.followers = PostgresFollowers(self.ask, queue, partial(self.exclude, ORDER, KEYS))
        self.untold = self.followers.untold
        self._begin_anew()

    def _begin_anew(self) -> None:
        """Forget what was read in a transaction."""
        self._time: tuple[float, float] | None = None
        self._state: QueueState | None = None
        self._next_due: float | None = None
        self._next_lease: float | None = None
        self._notes: list[str] = []
        self._new_claims: list[tuple[float | None, str]] = []
        self._stirred = False
        self._entry: Entry | None = None
        self.followers.begin_anew()

    # -- time and exclusion ------------------------------------------------------

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with self._lock:
            self._begin_anew()
            self._link.begin()
            try:
                yield
                self._tell()
            except BaseException:
                self._link.rollback()
                raise
            else:
                try:
                    kept = self._link.commit()
                except TryAgainError:
                    self._not_heard()
                    raise
                self._kept(kept)
            finally:
                self._begin_anew()

    def _tell(self) -> None:
        """Write down what happened, and wake those who wait for it; new items last of all."""
        if self._stirred:
            self._link.later(sql.NOTIFY, presence.channel(self.number))
        if self._notes:
            self._link.later(sql.NOTE, self.number, self._notes)
        if self._entry is not None:
            self._entry.write_last()

    def _kept(self, answers: list[list[Row]]) -> None:
        """Take in what the server answered to `_tell`."""
        noted: list[Row] = []
        if self._entry is not None:
            noted += self._entry.written(answers)
        if self._notes:
            noted += answers.pop()
        self._trim(noted)

    def now(self) -> float:
        with self._lock:
            if not self._link.inside:
                return self._clock() if self._clock else self._server_time()
            if self._time is None:
                self._open()
            assert self._time is not None
            then, moment = self._time
            # It may have waited for others meanwhile.
            return then if self._clock else then + (time.monotonic() - moment)

    def _server_time(self) -> float:
        return float((self._link.row(f"select {sql.CLOCK}") or (0.0,))[0])

    def _open(self) -> None:
        """Read what nearly every verb asks, at once."""
        given = None if self._clock is None else self._clock()
        row = self._link.row(sql.OPENING, given, self.number)
        if row is None:
            raise self.removed()
        now, aged_at, paused, self._next_due, self._next_lease = row[:5]
        self._time = now, time.monotonic()
        self._state = QueueState(aged_at=aged_at, paused=_pause_of(paused))
        self._known = now, time.monotonic(), self.next_event()

    def removed(self) -> NoSuchItemError:
        """Return the error that is raised where the queue's own row is gone."""
        return NoSuchItemError(f"{self.where}: this queue has been removed")

    def state(self) -> QueueState:
        with self._lock:
            if self._state is not None:
                return self._state
            row = self._link.row(
                "select aged_at, paused from pq.queue where number = %s", self.number
            )
            if row is None:
                raise self.removed()
            return QueueState(aged_at=row[0], paused=_pause_of(row[1]))

    def set_state(self, state: QueueState) -> None:
        before = self.state()
        self.exclude(ORDER)  # who has seen that there is no pause claims first
        if state.aged_at != before.aged_at:
            self._link.rows(
                "update pq.queue set aged_at = %s where number = %s", state.aged_at, self.number
            )
        if state.paused != before.paused:
            paused = None if state.paused is None else to_json(state.paused.__dict__).decode()
            self._link.rows(
                "update pq.queue set paused = %s where number = %s", paused, self.number
            )
        self._state, self._stirred = state, True

    def set_policy(self, text: str) -> None:
        from pq_cli.queue.policytext import parse_policy  # start-up: people set it

        limits = to_json(parse_policy(text, self.where).limits).decode()
        with owners_only(self.where, "sets the policy"):
            self.ask(
                "update pq.queue set policy = %s, limits = %s::jsonb where number = %s",
                text, limits, self.number,
            )  # fmt: skip
        self._stirred = True  # what was full may be no longer

    def close(self) -> None:
        with self._lock:
            try:
                self.settle()
            except (PqError, OSError):
                pass  # nobody was told: at worst it is done again
            self._link.close()
            while self._looking:
                self._looking.pop().close()

    # -- waiting ----------------------------------------------------------------

    def lost(self, items: Sequence[Item]) -> list[Item]:
        here = self._present()
        if here.is_at(self.number):  # who only looks needs no session to be seen by
            here.hold(self.number)  # soon back, if the server has ended the session
        return super().lost(items)

    def idle(self, seconds: float) -> None:
        self._present().wait(self.number, min(seconds, self._until_look()))

    def ear(self) -> tuple[int, float] | None:
        here = self._present()
        try:
            heard = here.has_heard(self.number)
            return (here.fileno(), 0.0 if heard else self._until_look()) if here.hears else None
        except (PqError, OSError):
            return None  # whoever looks next will say so

    def _until_look(self) -> float:
        """Return the seconds after which to look, though nothing was heard."""
        if self._known is None:
            return _LOOK
        server_now, moment, next_event = self._known
        if next_event is None:
            return _LOOK
        left = next_event - server_now - (time.monotonic() - moment)
        return min(_LOOK, max(_LOOK_LEAST, left + 0.001))

    # -- keeping -----------------------------------------------------------------

    def put(self, before: Item, after: Item, *, later: bool = False) -> Item:
        self._link.unsettled += later
        if later or self._config.durability == "fast":
            self._relax(before, after)
        self.followers.moved(before, after)
        fixed, moving = texts(after, before)
        self._claimed(after, moving)
        if before.claims != after.claims:
            self._new_claims.append((after.lease_until, moving.replace("%", "%%")))
        values: list[object] = [
            str(after.state), after.priority, after.not_before, after.lease_until, after.kept_until,
            worker_of(after), moving,
        ]  # fmt: skip
        statement = sql.PUT
        if fixed is not None:
            statement = sql.PUT_ALL
            values += (fixed, after.limit or "", called(after))
        self._link.later(statement, *values, self.number, after.id)
        self._stirred = self._stirred or after.state in (State.PENDING, State.DELAYED)
        self._free(before, after.state)
        return after

    def _relax(self, before: Item, after: Item) -> None:
        """Let the commit not wait for the disk, but for that of a claim.

        A claim that a crash of the server takes back could be given to somebody else under the same
        number, while the first one lives.
        """
        claimed = before.claims != after.claims
        self._link.later(sql.SYNCED, "on" if claimed else "off")

    def stage(self, payload: bytes | BinaryIO, request: Request) -> Staged:
        with self._lock:
            return payloads.stage(self._link, self.number, payload, request)

    def stage_file(self, path: str, request: Request, *, move: bool) -> Staged:
        with self._lock:
            return payloads.stage_file(self._link, self.number, path, request, move)

    def admit(self, batch: Sequence[Any], *, at_once: bool = False) -> Admitted:
        keys = any(staged.request.key is not None for staged in batch)
        awaits = any(staged.request.after for staged in batch)
        entry = self.entry(keys, awaits)
        admitted = entry.admit(batch)
        if at_once or awaits:
            entry.write()
        return admitted

    def entry(self, keys: bool, awaits: bool = False) -> Entry:
        """Return the way in, in a transaction. keys, awaits: some has one, or waits for others."""
        if awaits:
            self.exclude(ORDER, KEYS)  # before the counter, as all do
        elif keys:
            self.exclude(KEYS)
        self._stirred = True
        if self._config.durability == "fast":
            self._link.later(sql.SYNCED, "off")
        _, heard, event = self._known or (0.0, -math.inf, None)
        if time.monotonic() > heard + HOLDS or not self._link.stands():
            self._known = self._server_time(), time.monotonic(), event
        now, _ = self._time_now()
        self._time = now, time.monotonic()
        self._entry = Entry(self, self._link, self._config, now)
        return self._entry

    def arrivals(self) -> PostgresArrivals:
        return PostgresArrivals(self)

    def finish(self, batch: Sequence[Any], admitted: int) -> OSError | None:
        with self._lock:
            return payloads.finish(self._link, self.number, batch, admitted)

    def keep_log(self, item: Item, content: bytes) -> None:
        self._link.rows(sql.KEEP_LOG, self.number, item.id, item.claims, content)
        self._link.rows(sql.TRIM_LOGS, self.number, item.id, self.number, item.id, MAX_HISTORY)

    def note(self, event: dict[str, Any]) -> None:
        self._notes.append(to_json(event).decode())

    def holder(self, *, bound: bool) -> Holder:
        seen = bound or self._attending() is not None
        lock = self._present().work(self.number, self._duty).name if seen else None
        return this_process(bound=bound, lock=lock or None)

    def _is_known(self) -> bool:
        here = self._attending() or presence.known(self._address)
        return here is not None and here.is_at(self.number)

    def _attending(self) -> Presence | None:
        here = self._attendance
        return None if here is None or here.closed or here.pid != os.getpid() else here

    def _present(self) -> Presence:
        """Return what shows that this process is here."""
        return self._attending() or presence.of_this_process(self._address, self._patience)

    def _reappear(self) -> None:
        for here in (self._attending(), presence.known(self._address)):
            if here is not None:
                here.stand()

    def attend(self) -> Presence:
        attendance = presence.Presence(self._address, self._patience)
        self._attendance = attendance.work(self.number, self._duty)
        return attendance

    def describe(self, duty: Duty) -> None:
        self._duty = to_json(duty_values(duty)).decode()
        here = self._attending() or presence.known(self._address)
        if here is not None:
            here.describe(self.number, self._duty)


def _pause_of(text: str | None) -> Pause | None:
    """Return the pause that was written so; what makes no sense is one, too."""
    if text is None:
        return None
    try:
        told = parse_python(text)
        reason = told["reason"]
        return Pause(since=float(told["since"]), reason=None if reason is None else str(reason))
    except (ValueError, TypeError, LookupError, RecursionError):
        return Pause(since=0.0, reason="(what stands in the database makes no sense)")
