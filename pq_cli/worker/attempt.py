"""One attempt in the foreground: run a command on a claimed item and settle the item after it."""

from __future__ import annotations

import time

from pq_cli.core.item import Item
from pq_cli.errors import (
    CommandNotFoundError,
    DamagedItemError,
    NoSuchItemError,
    NotExecutableError,
    PqError,
    StaleClaimError,
)
from pq_cli.opened import os_error_text
from pq_cli.queue.outcome import END_AGAIN, LOOK_AGAIN, patiently, settling
from pq_cli.queue.verbs import Queue
from pq_cli.worker.child import STOPPING, HeldSignals, lost_output, run_child
from pq_cli.worker.contract import (
    EXIT_TIMEOUT,
    Outcome,
    Verdict,
    arguments,
    check_ran,
    environment,
    not_runnable,
    was_stopped,
)
from pq_cli.worker.guard import Guard

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Self, TypeVar

    from pq_cli.worker.contract import Judge

    Claimed = TypeVar("Claimed", Item, Item | None)

_GIVEN_BACK = Outcome(verdict=Verdict.RELEASE)


class Foreground:
    """A context for one attempt: claim in it, then `attempt`.

    The claim is free for others when this process has died, and not before its command has: a
    guard kills the command. lease: seconds, renewed while the command runs. patience: seconds to
    wait for the spool's lock before the command is started; best in short pieces, because a signal
    is heeded between two tries of the spool only. warn: tells people.
    """

    def __init__(
        self,
        queue: Queue,
        lease: float,
        patience: float,
        environ: Mapping[str, str],
        warn: Callable[[object], None],
    ) -> None:
        self._queue = queue
        self._lease = lease
        self._patience = patience
        self._environ = environ
        self._warn = warn
        self._signals = HeldSignals()

    def __enter__(self) -> Self:
        self._attendance = patiently(self._queue.attend, self._patience, self._warn)
        self._signals.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._attendance.close()
        except OSError:
            pass  # the item is settled: what is left of the lock is swept by the next worker
        self._signals.__exit__()  # last: what was held may end the process

    def claim(self, take: Callable[[], Claimed]) -> Claimed:
        """Return what `take` claims; if that is something, signals are held from then on."""
        return patiently(lambda: self._held(take), self._patience, self._warn)

    def _held(self, take: Callable[[], Claimed]) -> Claimed:
        self._signals.hold()
        try:
            item = take()
        except BaseException:
            self._signals.let_go()
            raise
        if item is None:
            self._signals.let_go()
        return item

    def attempt(self, item: Item, command: Sequence[str], judge: Judge) -> tuple[int, int | None]:
        """Run `command` on the claimed item and end the claim as its status says.

        Returns (the command's status, the signal that ended the attempt or None). Only an attempt
        that a signal to pq has ended is called off, and its item goes back uncounted: a command
        that goes on in spite of one and then says what became of the item has the last word.
        judge: says what a status means for the item.

        Raises StaleClaimError or NoSuchItemError when the claim was lost; then the command was
        stopped. CommandNotFoundError or NotExecutableError: it could not be started, and the item
        went back uncounted. DamagedItemError: the payload is torn, its bytes are never served, and
        the item is a dead letter. OSError: it cannot be read; or the command failed where nobody
        takes its output any more, and the item went back uncounted. OSError, TryAgainError: for
        a whole lease, disk or lock have refused to end the claim.
        """
        try:
            status, sent = self._run(item, command)
            check_ran(command[0], status, f"; item {item.id} went back uncounted")
        except DamagedItemError as error:
            self._settle(item, Outcome(verdict=Verdict.DEAD, error=str(error)))
            raise
        except (CommandNotFoundError, NotExecutableError, OSError):
            self._settle(item, _GIVEN_BACK)
            raise
        outcome = judge(status)
        if sent is not None and was_stopped(outcome):
            self._settle(item, _GIVEN_BACK)
            return status, sent
        if outcome.verdict is Verdict.RETRY and (lost := lost_output()) is not None:
            self._settle(item, _GIVEN_BACK)
            raise lost
        self._settle(item, outcome)
        return status, None

    def _run(self, item: Item, command: Sequence[str]) -> tuple[int, int | None]:
        renewal = _Renewal(self._queue, item, self._lease, self._warn)
        with self._queue.file_of(item) as payload:
            env = {**self._environ, **environment(self._queue.name, item, payload.name)}
            argv = arguments(command, payload.name)
            try:
                guard = Guard(1, self._attendance.fileno())
                try:
                    status, sent = run_child(
                        argv, env, payload.fileno(), self._signals, guard, renewal.pause, renewal
                    )
                finally:
                    guard.close()
            except OSError as error:
                raise not_runnable(command[0], error) from None
        if renewal.lost is not None:
            raise renewal.lost
        return (EXIT_TIMEOUT, None) if renewal.late else (status, sent)

    def _settle(self, item: Item, outcome: Outcome) -> None:
        """End the claim. A first signal does not end that: what was done must not be forgotten."""
        signals = 0
        for error, waiting in settling(self._queue, item, outcome, self._lease):
            if waiting.news():
                self._warn(
                    f"{item.claim}: cannot be ended yet, trying again: {os_error_text(error)}"
                )
            info = self._signals.receive(END_AGAIN)
            if info is not None and info.si_signo in STOPPING:
                signals += 1
                if signals > 1:
                    raise error
                self._warn(f"{item.claim}: still to be ended; a second signal gives that up")


class _Renewal:
    """Keeps a claim when called, and returns the seconds until the next time.

    Each time it looks whether the claim still stands; the lease is renewed after a third of it.
    None: the command is to be stopped, for the claim is lost, or the item's own time is over.
    """

    def __init__(
        self, queue: Queue, item: Item, lease: float, warn: Callable[[object], None]
    ) -> None:
        self._queue, self._item, self._lease, self._warn = queue, item, lease, warn
        self._refused = False
        self._renew_at = time.monotonic() + lease / 3
        limit = float("inf") if item.timeout is None else item.timeout
        self._late_at = time.monotonic() + limit
        self.late = False
        """Whether the attempt took longer than the item may."""
        self.pause = min(LOOK_AGAIN, lease / 3, limit)
        """Seconds until it should be called first."""
        self.lost: PqError | None = None

    def __call__(self) -> float | None:
        claim = self._item.claim
        self.late = time.monotonic() >= self._late_at
        if self.late:
            return None
        if time.monotonic() < self._renew_at and not self._is_over():
            return self.pause
        try:
            self._queue.renew(self._item, self._lease)
        except (StaleClaimError, NoSuchItemError) as error:
            self._warn(f"{claim}: the claim was lost; the command is stopped, its result refused")
            self.lost = error
            return None
        except (PqError, OSError) as error:
            if not self._refused:
                self._warn(f"{claim}: the lease could not be renewed: {os_error_text(error)}")
            self._refused = True
            return min(self._lease / 3, END_AGAIN)
        self._refused = False
        self._renew_at = time.monotonic() + self._lease / 3
        return self.pause

    def _is_over(self) -> bool:
        try:
            return bool(self._queue.lost([self._item]))
        except (PqError, OSError):
            return False
