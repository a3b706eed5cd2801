"""Attends: the part of a `Store` that says who is at work here, for a store that is a directory."""

from __future__ import annotations

from pq_cli import host
from pq_cli.core.item import ACTIVE
from pq_cli.host import this_process
from pq_cli.spool.claims.workers import (
    Attendance,
    attendance_of_this_process,
    present_attendance,
)
from pq_cli.spool.disk import layout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from pq_cli.core.insight.workers import Duty, Worker
    from pq_cli.core.item import Holder
    from pq_cli.spool.files import Files


class SpoolAttends:
    """Knows the locks of workers; `SpoolStore` is one. clock: returns Unix seconds."""

    def __init__(self, files: Files, clock: Callable[[], float]) -> None:
        self.files = files
        self.now = clock
        self._attendance: Attendance | None = None
        self._duty: dict[str, Any] | None = None

    def holder(self, *, bound: bool) -> Holder:
        return this_process(bound=bound, lock=self._lock_of_claims() if bound else None)

    def _lock_of_claims(self) -> str:
        attendance = self._attended()
        if attendance is None:
            made: list[Attendance] = []
            disk = self.files.disk
            self.files.spare.behind(lambda: made.append(attendance_of_this_process(disk)))
            attendance = made[0]
            if self._duty is not None:
                attendance.describe(self._duty)
        return attendance.name

    def _attended(self) -> Attendance | None:
        """Return what `attend` has given, if it still counts here."""
        known = self._attendance
        return known if known is not None and known.open and known.pid == host.pid else None

    def attend(self) -> Attendance:
        made: list[Attendance] = []
        self.files.spare.behind(lambda: made.append(Attendance(self.files.disk)))
        _sweep_ended(self.files)
        self._attendance = made[0]
        return made[0]

    def describe(self, duty: Duty) -> None:
        from pq_cli.core.insight.workers import duty_values  # start-up: only a pool has one

        self._duty = duty_values(duty)
        attendance = self._attended() or present_attendance(self.files.root)
        if attendance is not None:
            attendance.describe(self._duty)

    def workers(self) -> Iterator[Worker]:
        from pq_cli.spool.claims.presence import present  # start-up: for whoever looks

        return present(self.files.root)


def _sweep_ended(files: Files) -> None:
    """Let the payloads go that a dead process has not settled, and their keys."""
    gone = {}
    for folder, _ in files.reader.of(ACTIVE):
        for name in files.reader.names(folder):
            item_id = layout.parse_ended(name)
            if item_id is not None and not any(files.reader.places(item_id)):
                gone[folder, name] = item_id
    if not gone:
        return
    if files.disk.sync:
        for folder in sorted({folder for folder, _ in gone}):
            files.disk.sync_dir(folder)  # whoever ended them may not have come to it
    files.keys.free_all(set(gone.values()))
    for folder, name in gone:
        files.disk.discard(f"{folder}/{name}")
