"""The pool: takes items from a queue and runs a handler on each, at most N at once.

Claims are made on the event loop, one at a time, and only when a slot is free, or just becomes so:
the item that is the most urgent at that moment takes the slot, and none waits behind a batch
gathered before.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from pq_cli.core.item import Item, State
from pq_cli.errors import NoSuchItemError, PqError, StaleClaimError, TryAgainError
from pq_cli.queue.looking import POLL
from pq_cli.queue.outcome import (
    END_AGAIN,
    LOOK_AGAIN,
    Outcome,
    Verdict,
    Waiting,
    outcome_of,
    settling,
)
from pq_cli.queue.verbs import Queue
from pq_cli.worker.claims import Attempt, Claim
from pq_cli.worker.events import COUNTED, Event, Notice, Stop, Summary, Telling, Watch
from pq_cli.worker.gate import GateKeeper
from pq_cli.worker.handlers import Hands
from pq_cli.worker.limits import GateClosedError, HaltError, Limits, Pace


class Pool:
    """The state of one `drain`."""

    def __init__(
        self,
        queue: Queue,
        hands: Hands,
        concurrency: int,
        batch: int | None,
        lease: float | None,
        limits: Limits,
        watch: Watch | None,
    ) -> None:
        self._queue = queue
        self._hands = hands
        self._concurrency = concurrency
        self._batch = batch
        self._lease = queue.config.lease if lease is None else lease
        self._pace = Pace(limits, time.monotonic())
        self._telling = Telling(queue, watch, self._close)
        self._tell = self._telling.tell
        self._attempts: set[Attempt] = set()
        self._counts: dict[str, int] = {}
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._closing = False
        self._obeyed = 0
        self._lock_timeout = limits.lock_timeout or 0.0
        self._claiming: Waiting | None = None
        self._ahead: list[Claim] = []
        self._error: BaseException | None = None

    async def run(
        self, *, follow: bool, gate: Callable[[], Awaitable[bool]] | None, stop: Stop
    ) -> Summary:
        """Work until there is no more to do or to be claimed."""
        self._stop = stop
        self._task = asyncio.current_task()
        self._follow = follow
        self._gate = GateKeeper(gate, self._gate_said)
        stop.listen(self._asked_to_stop)
        self._notice = Notice(self._queue, self._concurrency)
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
            self._start_ahead()
            keeper.cancel()
            await self._gate.close()
            await self._call_off()
            await self._telling.close()
            self._notice.close()
        if self._error is not None:
            raise self._error
        return Summary(**self._counts)

    # -- claiming ----------------------------------------------------------

    def _fill(self) -> bool:
        """Claim for every free slot, as far as pace and gate allow; False: nothing is pending."""
        self._start_ahead()
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
        """Claim what is next, as much as a batch takes, and start the attempt; False: nothing."""
        claims = self._claim_next()
        if claims:
            self._start(claims)
        return bool(claims) or self._closing

    def _start(self, claims: Sequence[Claim]) -> None:
        attempt = Attempt(claims)
        self._attempts.add(attempt)
        for claim in claims:
            self._tell(Event(kind="start", item=claim.item))
        attempt.task = asyncio.create_task(self._work(attempt))

    def _claim_next(self) -> list[Claim]:
        claims: list[Claim] = []
        most = 1 if self._batch is None or self._pace.slowdown.slow else self._batch
        waiting = self._claiming or Waiting(self._lock_timeout)
        while len(claims) < most and not self._pace.over(time.monotonic()):
            try:
                item = self._queue.claim(lease=self._lease)
            except TryAgainError as error:
                if not claims:
                    self._claiming = waiting
                    if waiting.over():
                        self._close(error)
                    self._tell_wait(waiting, None, error)
                break
            except (PqError, OSError) as error:
                self._close(error)
                break
            self._claiming = None
            if item is None:
                break
            claims.append(self._claimed(item))
        return claims

    def _claimed(self, item: Item) -> Claim:
        return Claim(item, self._lease, self._pace.claimed(time.monotonic()))

    def _may_claim(self) -> bool:
        """Tell whether what is next may be claimed for a slot that is just becoming free."""
        assert self._task is not None
        now = time.monotonic()
        stopping = self._closing or self._stop.requests > 0 or self._task.cancelling() > 0
        alone = self._batch is None and self._claiming is None
        open_ = self._gate.is_open(now) and not (self._pace.over(now) or self._pace.wait(now))
        return alone and open_ and not stopping

    def _start_ahead(self) -> None:
        """Start what was claimed as others ended; give it back where nothing more is to start."""
        while self._ahead:
            claim = self._ahead.pop(0)
            if not self._closing:
                self._start([claim])
                continue
            with suppress(PqError, OSError):  # it is free when this process ends
                self._queue.release(claim.item)

    # -- one attempt -------------------------------------------------------

    async def _work(self, attempt: Attempt) -> None:
        try:
            outcomes = await self._handle(attempt)
            attempt.ending = True
            for claim, outcome in zip(attempt.claims, outcomes, strict=True):
                if not claim.lost:
                    claim.lost = not await self._settle(claim.item, outcome)
                self._conclude(attempt, claim, outcome)
            self._learn(attempt, outcomes)
        except Exception as error:
            self._close(error)
        finally:
            self._attempts.discard(attempt)
            self._wake.set()

    async def _handle(self, attempt: Attempt) -> Sequence[Outcome]:
        items = [claim.item for claim in attempt.claims]
        try:
            return await self._hands(items[0] if self._batch is None else items, len(items))
        except asyncio.CancelledError:
            outcome = Outcome(verdict=Verdict.RELEASE)
            if not attempt.called_off:
                outcome = Outcome(verdict=Verdict.RETRY, error="the handler was cancelled")
        except Exception as error:
            outcome = outcome_of(error)
        except BaseException as error:  # the process is to end
            outcome = outcome_of(error).replace(fatal=error)
        return [outcome] * len(items)

    async def _settle(self, item: Item, outcome: Outcome) -> bool:
        """End the claim as the outcome says; tell whether it was still ours to end.

        What disk or lock refuse is tried again while the lease lasts, also past a first request to
        stop: the work was done, and to forget that would do it twice.
        """
        try:
            for error, waiting in settling(self._queue, item, outcome, self._lease, self._done):
                if self._stop.requests > 1:
                    raise error
                self._tell_wait(waiting, item, error)
                await asyncio.sleep(END_AGAIN)
        except (StaleClaimError, NoSuchItemError):
            return False
        return True

    def _done(self, item: Item, status: int | None) -> None:
        """End an item well, and claim what is next for its slot, if that may be."""
        later = self._telling.shares
        if not self._may_claim():
            self._queue.done(item, status=status, later=later)
            return
        found = self._queue.done_and_claim(item, status=status, later=later, lease=self._lease)
        if found is not None:
            self._ahead.append(self._claimed(found))

    def _conclude(self, attempt: Attempt, claim: Claim, outcome: Outcome) -> None:
        name = "lost" if claim.lost else COUNTED[outcome.verdict]
        self._counts[name] = self._counts.get(name, 0) + 1
        kind = "lost" if claim.lost else "end"
        seconds = time.monotonic() - attempt.started
        self._tell(Event(kind=kind, item=claim.item, outcome=outcome, seconds=seconds))
        if outcome.fatal is not None:
            self._close(outcome.fatal)

    def _learn(self, attempt: Attempt, outcomes: Sequence[Outcome]) -> None:
        """Let what came of an attempt decide whether, and how fast, more are made."""
        lost = any(claim.lost for claim in attempt.claims)
        verdict = Verdict.RELEASE if lost else outcomes[0].verdict
        slowdown = self._pace.slowdown
        was_slow = slowdown.slow
        over = self._pace.ended(verdict, attempt.claims[0].round, time.monotonic())
        if slowdown.slow != was_slow:
            self._notice.pace(slowdown.slow, slowdown.in_a_row)
            self._tell(Event(kind="pace", slow=slowdown.slow, in_a_row=slowdown.in_a_row))
        if verdict not in (Verdict.DONE, Verdict.RELEASE):
            self._gate.doubt()
        if over is not None:
            self._close(HaltError(over))

    # -- leases ------------------------------------------------------------

    async def _keep_leases(self) -> None:
        tick = min(LOOK_AGAIN, self._lease / 6)
        while True:
            await asyncio.sleep(tick)
            self._notice_lost()
            now = time.time()
            for attempt in list(self._attempts):
                for claim in attempt.claims:
                    if now >= claim.renew_at and not claim.lost and not attempt.ending:
                        self._renew(attempt, claim, now)
                        await asyncio.sleep(0)  # each may have waited for the lock: heed signals

    def _notice_lost(self) -> None:
        """Call off the attempts whose claim somebody has taken, or ended."""
        held = {
            claim.item.id: (attempt, claim)
            for attempt in self._attempts
            for claim in attempt.claims
            if not (claim.lost or attempt.ending)
        }
        try:
            lost = self._queue.lost([claim.item for _, claim in held.values()])
        except (PqError, OSError):
            return  # seen at the next tick
        for item in lost:
            attempt, claim = held[item.id]
            attempt.lose(claim)

    def _renew(self, attempt: Attempt, claim: Claim, now: float) -> None:
        try:
            self._queue.renew(claim.item, self._lease)
            claim.renew_at = now + self._lease / 3
        except (StaleClaimError, NoSuchItemError):
            attempt.lose(claim)
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
            ear, seconds = self._queue.ear() or (None, POLL)
            seconds = min(seconds, self._pace.wait(time.monotonic()) or seconds)
            if self._claiming is not None:
                seconds = min(seconds, POLL)
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
        self._notice.gate(is_open)
        self._tell(Event(kind="gate", open=is_open))
        self._wake.set()

    def _tell_wait(self, waiting: Waiting, item: Item | None, error: Exception) -> None:
        if waiting.news():
            self._tell(Event(kind="wait", item=item, error=error))


def _closed(error: BaseException | None) -> GateClosedError:
    """Return what ends a pool at a closed gate. error: why the gate could not be asked, if so."""
    why = "" if error is None else f" ({str(error) or type(error).__name__})"
    closed = GateClosedError(f"the gate is closed{why}: nothing more was claimed")
    closed.__cause__ = error
    return closed
