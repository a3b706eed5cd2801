"""Presence: a session that shows others that this process lives, and hears when work comes.

It holds an advisory lock under a number that the claims name. When the process dies, or its host is
gone from the network, the server ends the session and with it the lock.
"""

from __future__ import annotations

import os
import select
import time
from threading import RLock
from typing import TYPE_CHECKING

from pq_cli.core.jsonio import to_json
from pq_cli.errors import PqError
from pq_cli.host import told_command
from pq_cli.postgres.link import Link
from pq_cli.postgres.statements import DESCRIBE_WORKER, LOCK, SIGN
from pq_cli.postgres.wire.session import Refused

if TYPE_CHECKING:
    from pq_cli.postgres.address import Address

_DEAF_LOOK = 0.5
"""Seconds between looks where no news come."""
_here: dict[tuple[int, str], Presence] = {}


class Presence:
    """One worker at some queues of a database, until `close`. Behind a pooler it has no number.

    Shared by all threads of a process, also where each has a queue of its own.
    """

    def __init__(self, address: Address, patience: float) -> None:
        self.pid = os.getpid()
        self.closed = False
        self.heard = False
        self._queues: dict[int, str | None] = {}
        self._listening: set[int] = set()
        self._number: int | None = None
        self._lock = RLock()
        self._link = Link(address, patience, self._appear)

    @property
    def name(self) -> str:
        """The number, as claims have it; empty behind a pooler."""
        return "" if self._number is None else str(self._number)

    def _appear(self, link: Link) -> None:
        """Take the lock, under the same number as before: what we have claimed is still ours."""
        if link.pooled:
            self._number = None
            return
        if self._number is None:
            self._number = (link.row("select nextval('pq.worker_number')") or (0,))[0]
        link.rows("select pg_advisory_lock(%s)", LOCK + self._number)
        for queue, duty in self._queues.items():
            self._sign(link, queue, duty)
        for queue in self._listening:
            link.rows(f"listen {channel(queue)}")

    def hold(self, queue: int) -> Presence:
        """See to it that the session stands, and hears of what comes at this queue."""
        with self._lock:
            self.stand()
            if queue not in self._listening:
                if not self._link.pooled:
                    self._link.rows(f"listen {channel(queue)}")
                    self.heard = True  # what came before we listened, nobody has told us
                self._listening.add(queue)
            return self

    def work(self, queue: int, duty: str | None) -> Presence:
        """See to it that who is at this queue knows us; duty: what we are at, as JSON."""
        with self._lock:
            self.hold(queue)
            if queue not in self._queues:
                self._sign(self._link, queue, duty)
                self._queues[queue] = duty
            return self

    def is_at(self, queue: int) -> bool:
        """Tell whether who is at this queue knows us."""
        return queue in self._queues

    def describe(self, queue: int, duty: str) -> None:
        """Let others see what we are at, if they can see us."""
        with self._lock:
            if self._queues.get(queue, duty) != duty:
                self._queues[queue] = duty
                if self._number is not None:
                    self._link.rows(DESCRIBE_WORKER, duty, queue, self._number)

    def _sign(self, link: Link, queue: int, duty: str | None) -> None:
        if self._number is not None:
            command = to_json(told_command()).decode("utf-8", "replace")
            host = os.uname().nodename
            link.rows(SIGN, queue, self._number, host, os.getpid(), command, duty)

    def stand(self) -> None:
        """See to it that the session stands, and read what the server has said unasked."""
        with self._lock:
            while True:
                try:
                    self.heard = self._link.session.heard() or self.heard
                except Refused:
                    self._link.forget()
                    self.heard = True  # and what was said meanwhile, nobody knows
                else:
                    return

    def has_heard(self, queue: int) -> bool:
        """Tell whether something has come at one of our queues since this was asked last."""
        with self._lock:
            self.hold(queue)
            heard, self.heard = self.heard, False
            return heard

    def wait(self, queue: int, seconds: float) -> None:
        """Wait until something has come at a queue, or for so long."""
        if self.has_heard(queue):
            return
        if self.hears:
            select.select([self], [], [], seconds)
        else:
            time.sleep(min(seconds, _DEAF_LOOK))

    @property
    def hears(self) -> bool:
        """Whether news come here: not behind a pooler."""
        return not self._link.pooled

    def fileno(self) -> int:
        """Return the session's descriptor; a process that inherits it keeps it from ending."""
        with self._lock:
            return self._link.session.fileno()

    def close(self) -> None:
        """End it: all claims have been settled."""
        with self._lock:
            self.closed = True
            try:
                if self._number is not None:
                    self._link.rows("delete from pq.worker where number = %s", self._number)
            except (PqError, OSError):
                pass  # those who look after the dead will do it
            self._link.close()


def channel(queue: int) -> str:
    """Return the channel on which it is told that something has come at a queue."""
    return f"pq_{queue}"


def of_this_process(address: Address, patience: float) -> Presence:
    """Return the presence of this process at a database, which ends with it and not before."""
    # One for all threads, also for those that come at once: a session that nobody keeps would end,
    # and with it the claims that name it.
    return known(address) or _here.setdefault(
        (os.getpid(), address.conninfo), Presence(address, patience)
    )


def known(address: Address) -> Presence | None:
    """Return the presence of this process at a database, if it has shown itself there."""
    return _here.get((os.getpid(), address.conninfo))
