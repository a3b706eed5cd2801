"""Bringing back what a repair has set aside: an item again, as an import of one."""

from __future__ import annotations

import os
import stat

from pq_cli.core.item import Item, State, printable
from pq_cli.core.meta import decode, state_in
from pq_cli.core.origin import Origin, digest
from pq_cli.core.transitions import stamp
from pq_cli.errors import ConflictError, DamagedItemError, NoSuchItemError, PqError
from pq_cli.opened import FOUND
from pq_cli.queue.request import Request, new_item
from pq_cli.spool.disk import layout
from pq_cli.spool.doors import ledger
from pq_cli.spool.doors.arrivals import Arrivals
from pq_cli.spool.files import Files
from pq_cli.spool.quarantine import Aside, asides, count_asides, forget

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

REALM = "quarantine"
_LOOK = "`pq check` lists what is there"


class Quarantine:
    """What lies in the quarantine of one spool, and the way back out of it."""

    def __init__(self, files: Files, clock: Callable[[], float]) -> None:
        self._files = files
        self._clock = clock

    def __len__(self) -> int:
        """Return how many things lie there, by their names alone."""
        return count_asides(self._files.reader)

    def asides(self) -> list[Aside]:
        """Return what lies there, the oldest first. Looks only."""
        return asides(self._files.reader)

    def restore(self, name: str) -> Item:
        """Make an item of what lies there under this name, and return it.

        It has its id (unless another has it now), priority, key and everything else that its meta
        says, and the bytes that its payload has now; where no meta can be read, what `enqueue`
        gives. Claimed before, it is pending. Exactly once, whenever a crash comes.

        Raises NoSuchItemError when nothing lies there, ConflictError when it is no payload,
        KeyTakenError, QueueFullError or TryAgainError; then it stays.
        """
        aside = next((each for each in self.asides() if each.name == name), None)
        if aside is None:
            raise NoSuchItemError(f"nothing is called {printable(name)!r} in quarantine/: {_LOOK}")
        with Arrivals(self._files) as arrivals:
            # Only in here: what a crash cut short is finished on entering, and then in the ledger.
            if digest(aside.name) in set(ledger.taken(self._files.root, REALM)):
                forget(self._files.disk, aside.name)
                raise NoSuchItemError(f"{printable(aside.name)} was brought back before; {_LOOK}")
            with self._payload(aside) as payload:
                received = arrivals.receive(payload)
            item = self._item(aside).replace(updated_at=stamp(self._clock()))
            origin = Origin(realm=REALM, name=aside.name)
            arrivals.add(received, item, origin, keeps_id=aside.id is not None)
            (outcome,) = arrivals.commit("restored")
        if isinstance(outcome, PqError):
            raise outcome
        forget(self._files.disk, aside.name)
        return outcome

    def _payload(self, aside: Aside) -> BinaryIO:
        where = printable(f"{layout.QUARANTINE}/{aside.name}")
        if "" not in aside.has:
            raise ConflictError(f"{where}: its payload is gone, its meta is left; {_LOOK}")
        if aside.came_from.partition("/")[0] in layout.OURS - set(layout.FOLDERS):
            raise ConflictError(f"{where} was {aside.came_from}, no payload; {_LOOK}")
        try:
            fd = os.open(f"{self._files.root}/{layout.QUARANTINE}/{aside.name}", FOUND)
        except OSError as error:
            if not os.path.islink(f"{self._files.root}/{layout.QUARANTINE}/{aside.name}"):
                raise
            raise ConflictError(f"{where} is a link: move it away by hand; {_LOOK}") from error
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise ConflictError(f"{where} is no file: move it away by hand; {_LOOK}")
        return os.fdopen(fd, "rb")

    def _item(self, aside: Aside) -> Item:
        """Return the item that the meta tells of, else one like those that are new."""
        if layout.META in aside.has:
            path = f"{layout.QUARANTINE}/{aside.name}{layout.META}"
            try:
                text = self._files.reader.meta_text(path, aside.id or 0)
                state = state_in(text)
                if state in (State.ACTIVE, State.REMOVED):  # nobody works at it now
                    state = State.PENDING
                return decode(text, item_id=aside.id or 0, state=state, priority=None, where=path)
            except DamagedItemError as error:
                lost = DamagedItemError(f"{error}: its priority, key and name are lost")
                self._files.report(lost)
        called = None if aside.id is not None else aside.name.partition("-")[2]
        return new_item(Request(name=called), aside.id or 0, self._clock(), self._files.config)
