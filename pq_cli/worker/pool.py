"""The pool: takes items from a queue and runs a handler on each, at most N at once.

Claims are made on the event loop, one at a time, and only when a slot is free: so the item that
is the most urgent at that moment takes the slot, and none waits behind a batch gathered before.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from pq_cli.core.item import Item, State
from pq_cli.errors import NoSuchItemError, PqError, StaleClaimError, TryAgainError
from pq_cli.queue.outcome import Outcome, Verdict, outcome_of
from pq_cli.queue.verbs import Queue
from pq_cli.worker.events import COUNTED, Event, Stop, Summary, Watch
from pq_cli.worker.gate import GateKeeper
from pq_cli.worker.handlers import Hands
from pq_cli.worker.limits import GateClosedError, HaltError, Limits, Pace
from pq_cli.worker.waiting import SETTLE_AGAIN, Waiting, settling

_POLL = 0.2
"""Seconds between looks at an idle queue that nobody tells what comes."""
_LONGEST_TICK = 0.5
"""Seconds between looks at the claims: what was cancelled is called off this soon."""


class _Attempt:
    """One claimed item under work."""

    def __init__(self, item: Item, renew_at: float, round_: int) -> None:
        self.item = item
        self.round = round_
        self.started = time.monotonic()
        self.renew_at = renew_at
        self.task: asyncio.Task[None] | None = None
        self.ending = False
        self.called_off = False
        self.lost = False

    def call_off(self) -> None:
        """Cancel the handler, unless it has ended and the item is just being settled."""
        if not self.ending and self.task is not None:
            self.called_off = True
            self.task.cancel()


class Pool:
    """The state of one `drain`."""

    def __init__(
        self,
        queue: Queue,
        hands: Hands,
        concurrency: int,
        lease: float | None,
        limits: Limits,
        watch: Watch | None,
    ) -> None:
        self._queue = queue
        self._hands = hands
        self._concurrency = concurrency
        self._lease = queue.config.lease if lease is None else lease
        self._pace = Pace(limits, time.monotonic())
        self._watch = watch
        self._attempts: set[_Attempt] = set()
        self._counts: dict[str, int] = {}
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._closing = False
        self._obeyed = 0
        self._lock_timeout = limits.lock_timeout or 0.0
        self._claiming: Waiting | None = None
        self._error: BaseException | None = None

    async def run(
        self, *, follow: bool, gate: Callable[[], Awaitable[bool]] | None, stop: Stop
    ) -> Summary:
        """Work until there is no more to do or to be claimed."""
        self._stop = stop
        self._follow = follow
        self._gate = GateKeeper(gate, self._gate_said)
        stop.listen(self._asked_to_stop)
        keeper = asyncio.create_task(self._keep_leases())
        try:
            while True:
                self._wake.clear()
                self._obey(stop)
                nothing_left = not self._fill()
                if not self._attempts and (self._closing or (nothing_left and not follow)):
                    break
                await self._pause()
        finally:
            self._closing = True
            keeper.cancel()
            await self._gate.close()
            await self._call_off()
        if self._error is not None:
            raise self._error
        return Summary(**self._counts)

    # -- claiming ----------------------------------------------------------

    def _fill(self) -> bool:
        """Claim for every free slot, as far as pace and gate allow; False: nothing is pending."""
        while len(self._attempts) < self._concurrency and not self._closing:
            now = time.monotonic()
            if self._pace.over(now):
                self._closing = True
            elif self._pace.wait(now):
                return self._follow or not self._pace.slowdown.slow or self._is_pending()
            elif not self._gate.is_open(now):
                return self._wait_at_gate(now)
            elif not self._start_next():
                return self._claiming is not None
        return True

    def _is_pending(self) -> bool:
        return next(iter(self._queue.items([State.PENDING])), None) is not None

    def _wait_at_gate(self, now: float) -> bool:
        """Have the gate asked if there is work for it to let in; False: there is none."""
        if self._gate.is_closed(now):
            if not self._follow:
                self._close(_closed(self._gate.error))
            return True
        if not self._gate.asking:
            if not self._is_pending():
                return False
            self._gate.ask()
        return True

    def _start_next(self) -> bool:
        """Claim the next item and start its attempt; False: there is none, or none yet."""
        waiting = self._claiming or Waiting(self._lock_timeout)
        try:
            item = self._queue.claim(lease=self._lease)
        except TryAgainError as error:
            self._claiming = waiting
            if waiting.over():
                self._close(error)
            self._tell_wait(waiting, None, error)
            return False
        except (PqError, OSError) as error:
            self._close(error)
            return True
        self._claiming = None
        if item is None:
            return False
        round_ = self._pace.claimed(time.monotonic())
        attempt = _Attempt(item, time.time() + self._lease / 3, round_)
        self._attempts.add(attempt)
        self._tell(Event(kind="start", item=item))
        attempt.task = asyncio.create_task(self._work(attempt))
        return True

    # -- one attempt -------------------------------------------------------

    async def _work(self, attempt: _Attempt) -> None:
        try:
            outcome = await self._handle(attempt)
            attempt.ending = True
            if not attempt.lost:
                attempt.lost = not await self._settle(attempt.item, outcome)
            self._conclude(attempt, outcome)
        except Exception as error:
            self._close(error)
        finally:
            self._attempts.discard(attempt)
            self._wake.set()

    async def _handle(self, attempt: _Attempt) -> Outcome:
        try:
            return await self._hands(attempt.item)
        except asyncio.CancelledError:
            if attempt.called_off:
                return Outcome(verdict=Verdict.RELEASE)
            return Outcome(verdict=Verdict.RETRY, error="the handler was cancelled")
        except Exception as error:
            return outcome_of(error)
        except BaseException as error:  # the process is to end
            return outcome_of(error).replace(fatal=error)

    async def _settle(self, item: Item, outcome: Outcome) -> bool:
        """End the claim as the outcome says; tell whether it was still ours to end.

        What disk or lock refuse is tried again while the lease lasts, also past a first request to
        stop: the work was done, and to forget that would do it twice.
        """
        try:
            for error, waiting in settling(self._queue, item, outcome, self._lease):
                if self._stop.requests > 1:
                    raise error
                self._tell_wait(waiting, item, error)
                await asyncio.sleep(SETTLE_AGAIN)
        except (StaleClaimError, NoSuchItemError):
            return False
        return True

    def _conclude(self, attempt: _Attempt, outcome: Outcome) -> None:
        name = "lost" if attempt.lost else COUNTED[outcome.verdict]
        self._counts[name] = self._counts.get(name, 0) + 1
        kind = "lost" if attempt.lost else "end"
        seconds = time.monotonic() - attempt.started
        self._tell(Event(kind=kind, item=attempt.item, outcome=outcome, seconds=seconds))
        if outcome.fatal is not None:
            self._close(outcome.fatal)
        self._learn(Verdict.RELEASE if attempt.lost else outcome.verdict, attempt.round)

    def _learn(self, verdict: Verdict, round_: int) -> None:
        """Let what came of an attempt decide whether, and how fast, more are made."""
        slowdown = self._pace.slowdown
        was_slow = slowdown.slow
        over = self._pace.ended(verdict, round_, time.monotonic())
        if slowdown.slow != was_slow:
            self._tell(Event(kind="pace", slow=slowdown.slow, in_a_row=slowdown.in_a_row))
        if verdict not in (Verdict.DONE, Verdict.RELEASE):
            self._gate.doubt()
        if over is not None:
            self._close(HaltError(over))

    # -- leases ------------------------------------------------------------

    async def _keep_leases(self) -> None:
        tick = min(_LONGEST_TICK, self._lease / 6)
        while True:
            await asyncio.sleep(tick)
            self._notice_lost()
            now = time.time()
            for attempt in list(self._attempts):
                if now >= attempt.renew_at and not attempt.lost and not attempt.ending:
                    self._renew(attempt, now)
                    await asyncio.sleep(0)  # each may have waited for the lock: heed signals

    def _notice_lost(self) -> None:
        """Call off the attempts whose claim somebody has taken, or ended."""
        at_work = {a.item.id: a for a in self._attempts if not (a.lost or a.ending)}
        try:
            lost = self._queue.lost([attempt.item for attempt in at_work.values()])
        except (PqError, OSError):
            return  # seen at the next tick
        for item in lost:
            at_work[item.id].lost = True
            at_work[item.id].call_off()

    def _renew(self, attempt: _Attempt, now: float) -> None:
        try:
            self._queue.renew(attempt.item, self._lease)
            attempt.renew_at = now + self._lease / 3
        except (StaleClaimError, NoSuchItemError):
            attempt.lost = True
            attempt.call_off()
        except (PqError, OSError):
            pass  # tried again at the next tick; should the lease end first, the claim is lost

    # -- stopping ----------------------------------------------------------

    def _asked_to_stop(self) -> None:
        """Look at once; called in any thread, and perhaps when all is over."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake.set)

    def _obey(self, stop: Stop) -> None:
        if stop.requests:
            self._closing = True
        while self._obeyed < stop.requests:
            self._obeyed += 1
            if self._obeyed > 1:
                for attempt in self._attempts:
                    attempt.call_off()

    def _close(self, error: BaseException) -> None:
        """Claim no more; `drain` raises the first error when everything has ended."""
        self._closing = True
        self._error = self._error or error

    async def _call_off(self) -> None:
        """Cancel what still runs (drain itself was cancelled), and wait until it has ended."""
        for attempt in self._attempts:
            attempt.call_off()
        tasks = [attempt.task for attempt in self._attempts if attempt.task is not None]
        if tasks:
            await asyncio.wait(tasks)

    # -- waiting and telling -----------------------------------------------

    async def _pause(self) -> None:
        """Wait until something ends or somebody asks; while a slot is free, for work too."""
        seconds, ear = None, None
        if not self._closing and len(self._attempts) < self._concurrency:
            ear, seconds = self._queue.ear() or (None, _POLL)
            seconds = min(seconds, self._pace.wait(time.monotonic()) or seconds)
            if self._claiming is not None:
                seconds = min(seconds, _POLL)
        if ear is not None:
            self._loop.add_reader(ear, self._wake.set)
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            pass
        finally:
            if ear is not None:
                self._loop.remove_reader(ear)

    def _gate_said(self, is_open: bool) -> None:
        self._tell(Event(kind="gate", open=is_open))
        self._wake.set()

    def _tell_wait(self, waiting: Waiting, item: Item | None, error: Exception) -> None:
        if waiting.news():
            self._tell(Event(kind="wait", item=item, error=error))

    def _tell(self, event: Event) -> None:
        if self._watch is not None:
            self._watch(event)


def _closed(error: BaseException | None) -> GateClosedError:
    """Return what ends a pool at a closed gate. error: why the gate could not be asked, if so."""
    why = "" if error is None else f" ({str(error) or type(error).__name__})"
    closed = GateClosedError(f"the gate is closed{why}: nothing more was claimed")
    closed.__cause__ = error
    return closed
