"""One attempt in the foreground: run a command on a claimed item and settle the item after it."""

from __future__ import annotations

from pq_cli.core.item import Item
from pq_cli.errors import (
    CommandNotFoundError,
    DamagedItemError,
    NoSuchItemError,
    NotExecutableError,
    PqError,
    StaleClaimError,
)
from pq_cli.queue.outcome import settle
from pq_cli.spool.spool import Spool
from pq_cli.worker.child import HeldSignals, run_child
from pq_cli.worker.contract import (
    EXIT_NOT_EXECUTABLE,
    EXIT_NOT_FOUND,
    Outcome,
    arguments,
    environment,
    judge,
    not_runnable,
)
from pq_cli.worker.guard import Guard

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Self, TypeVar

    from pq_cli.queue.store import Attendance

    Claimed = TypeVar("Claimed", Item, Item | None)


class Foreground:
    """A context for one attempt: claim in it, then `attempt`.

    The claim is free for others when this process has died, and not before its command has: a
    guard kills the command. lease: seconds, renewed while the command runs. warn: tells people.
    """

    def __init__(
        self,
        spool: Spool,
        lease: float,
        environ: Mapping[str, str],
        warn: Callable[[object], None],
    ) -> None:
        self._spool = spool
        self._lease = lease
        self._environ = environ
        self._warn = warn
        self._signals = HeldSignals()
        self._attendance: Attendance | None = None

    def __enter__(self) -> Self:
        self._attendance = self._spool.attend()
        self._signals.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        if self._attendance is not None:
            self._attendance.close()
        self._signals.__exit__()  # last: what was held may end the process

    def claim(self, take: Callable[[], Claimed]) -> Claimed:
        """Return what `take` claims; if that is something, signals are held from then on."""
        self._signals.hold()
        try:
            item = take()
        except BaseException:
            self._signals.let_go()
            raise
        if item is None:
            self._signals.let_go()
        return item

    def attempt(
        self, item: Item, command: Sequence[str], judge: Callable[[int], Outcome] = judge
    ) -> tuple[int, int | None]:
        """Run `command` on the claimed item and end the claim as its status says.

        Returns (the command's status, the signal that stopped pq or None). A command that cannot
        be started gives the item back uncounted and raises CommandNotFoundError or
        NotExecutableError. judge: says what a status means for the item.
        """
        status, sent = self._run(item, command)
        if status in (EXIT_NOT_EXECUTABLE, EXIT_NOT_FOUND):
            self._spool.release(item)
            kind = CommandNotFoundError if status == EXIT_NOT_FOUND else NotExecutableError
            raise kind(f"{command[0]}: exit {status}; item {item.id} went back uncounted")
        if sent is not None and status:
            self._spool.release(item)
        else:
            settle(self._spool, item, judge(status))
        return status, sent

    def _run(self, item: Item, command: Sequence[str]) -> tuple[int, int | None]:
        payload = self._spool.open_payload(item)
        env = {**self._environ, **environment(self._spool.path, item)}
        argv, renewal = (
            arguments(command, item),
            _Renewal(self._spool, item, self._lease, self._warn),
        )
        try:
            guard = self._guard()
            try:
                return run_child(
                    argv, env, payload.fileno(), self._signals, guard, self._lease / 3, renewal
                )
            finally:
                guard.close()
        except OSError as error:
            self._spool.release(item)
            raise not_runnable(command[0], error) from None
        finally:
            payload.close()

    def _guard(self) -> Guard:
        if self._attendance is None:
            raise ValueError("an attempt is made inside `with Foreground(...)`")
        return Guard(1, self._attendance.name, self._attendance.fileno())


class _Renewal:
    """Renews a claim when called; says so, once, when it is lost."""

    def __init__(
        self, spool: Spool, item: Item, lease: float, warn: Callable[[object], None]
    ) -> None:
        self._spool, self._item, self._lease, self._warn = spool, item, lease, warn
        self._lost = False

    def __call__(self) -> None:
        claim = self._item.claim
        try:
            self._spool.renew(self._item, self._lease)
        except (StaleClaimError, NoSuchItemError):
            if not self._lost:
                self._warn(f"{claim}: the claim was lost; the command's result will be refused")
            self._lost = True
        except (PqError, OSError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            self._warn(f"{claim}: the lease could not be renewed: {why}")


def refuse_damaged(spool: Spool, item: Item, error: DamagedItemError) -> None:
    """Send a claimed item whose payload is torn to the dead letters: its bytes are never served."""
    spool.fail(item, str(error), dead=True)
