"""Who is at work on a queue in memory; `queue.store` says what its methods promise."""

from __future__ import annotations

from secrets import token_hex
from typing import TYPE_CHECKING

from pq_cli.core.insight.workers import Duty, Worker
from pq_cli.core.item import Holder
from pq_cli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class MemoryAttendance:
    """Shows that somebody attends in this process, under a name among those that `here` holds."""

    def __init__(self, here: dict[str, float], now: float) -> None:
        self._here = here
        self.name = token_hex(8)
        here[self.name] = now

    def fileno(self) -> int:
        """Raise UsageError: there is none."""
        raise UsageError("a queue in memory has no lock that a child could inherit")

    def close(self) -> None:
        """Be seen no more."""
        self._here.pop(self.name, None)


class MemoryAttends:
    """The part of a `Store` that knows who is at work; all are of this process."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.now = clock
        self._here: dict[str, float] = {}
        self._attendance = self._own = ""
        self._duty = Duty()

    def holder(self, *, bound: bool) -> Holder:
        lock = self._attendance
        if bound and lock not in self._here:
            self._own = lock = self._own or MemoryAttendance(self._here, self.now()).name
        return Holder(
            host="", pid=0, boot=None, started=None, since=0.0, lock=lock if bound else None
        )

    def attend(self) -> MemoryAttendance:
        attendance = MemoryAttendance(self._here, self.now())
        self._attendance = attendance.name
        return attendance

    def describe(self, duty: Duty) -> None:
        self._duty = duty

    def workers(self) -> Iterator[Worker]:
        for name, since in list(self._here.items()):
            yield Worker(lock=name, host="", pid=0, since=since, duty=self._duty)
