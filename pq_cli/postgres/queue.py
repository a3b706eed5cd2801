"""PostgresQueue: a queue that lies in a database."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

from pq_cli.core.arguments import LOCK_TIMEOUT, valid_flag, valid_making, valid_reference
from pq_cli.core.policy import QueueConfig, valid_config
from pq_cli.errors import (
    ConfigError,
    ConnectionLostError,
    DamagedItemError,
    NoSpoolError,
    PermissionDeniedError,
)
from pq_cli.postgres.address import Address
from pq_cli.queue.policytext import parse_policy
from pq_cli.queue.verbs import Queue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeVar

    from pq_cli.core.item import Item
    from pq_cli.postgres.link import Link
    from pq_cli.postgres.store import PostgresStore
    from pq_cli.queue.store import Attendance

    T = TypeVar("T")

_PAUSE = 0.05


class PostgresQueue(Queue):
    """A priority queue in a PostgreSQL database: many machines, one truth, nothing lost.

    url: postgresql://USER@HOST:PORT/DATABASE#QUEUE; what is before `#` is for libpq. create: make
    the queue when the database has none of this name (else NoSpoolError); its tables are made by
    `pq init` alone. config: overrides the policy that is kept with the queue. clock: returns Unix
    seconds; None: the server's time counts. jitter: returns what backoff is shortened by, as a
    share of a tenth, in [0, 1). lock_timeout: seconds to wait for a server that refuses for now,
    and for others. report: called with the DamagedItemError of each item that is passed over.

    Raises UsageError, NoSpoolError, ConfigError, PermissionDeniedError or TryAgainError on opening.
    Every verb may raise TryAgainError: the server could not be reached.
    """

    _store: PostgresStore

    def __init__(
        self,
        url: str,
        *,
        create: bool = True,
        config: QueueConfig | None = None,
        clock: Callable[[], float] | None = None,
        jitter: Callable[[], float] = random.random,
        lock_timeout: float = LOCK_TIMEOUT,
        report: Callable[[DamagedItemError], None] | None = None,
    ) -> None:
        report = valid_making(
            time.time if clock is None else clock,
            jitter,
            report,
            create=create,
            lock_timeout=lock_timeout,
        )
        if config is not None:
            config = valid_config(config)
        limits = None if config is None else config.limits
        address = Address(url)
        need_psycopg()
        from pq_cli.postgres import schema
        from pq_cli.postgres.link import Link
        from pq_cli.postgres.store import PostgresStore

        link = Link(address, lock_timeout, schema.check)
        number, policy = _found(link, create)
        config = config or parse_policy(policy, address.shown)
        store = PostgresStore(address, link, number, config, clock, lock_timeout, report, limits)
        super().__init__(store, config, jitter)
        self._patience = lock_timeout

    def _claim_now(self, lease: float | None, bound: bool) -> Item | None:
        """As that of any `Queue`; nearly all claims are one round trip."""
        return self._anew(lambda: self._take(lease, bound))

    def _take(self, lease: float | None, bound: bool) -> Item | None:
        settled, item = self._store.take(self._seconds(lease), bound)
        return item if settled else self._take_otherwise(lease, bound)

    def _take_otherwise(self, lease: float | None, bound: bool) -> Item | None:
        """Claim by finding first what is to be claimed: what is due, tried before, or limited."""
        return super()._claim_now(lease, bound)

    def attend(self) -> Attendance:
        """As that of any `Queue`."""
        return self._anew(super().attend)

    def _anew(self, take: Callable[[], T]) -> T:
        """Return what `take` gives, tried again for as long as the connection is lost on the way.

        For what may be done twice: a claim of which nobody heard, the store gives back.
        """
        until = time.monotonic() + self._patience
        while True:
            try:
                return take()
            except ConnectionLostError:
                if time.monotonic() >= until:
                    raise
            time.sleep(_PAUSE * (0.5 + random.random()))

    def done(
        self, item: Item | int | str, *, status: int | None = None, later: bool = False
    ) -> Item:
        """As that of any `Queue`; the end of a claim that was made here is one round trip."""
        if not self.config.keep_done:
            ended = self._store.end_own(*valid_reference(item), status, valid_flag("later", later))
            if ended is not None:
                return ended
        return super().done(item, status=status, later=later)

    def _done_and_claim(
        self,
        item: Item | int | str,
        status: int | None,
        later: bool,
        lease: float | None,
        bound: bool,
    ) -> Item | None:
        """As that of any `Queue`; nearly always one round trip, and one wait for the disk."""
        if not self.config.keep_done:
            ref, seconds = valid_reference(item), self._seconds(lease)
            ended, settled, found = self._store.end_and_take(*ref, status, later, seconds, bound)
            if settled:
                return found
            if ended:
                return self._if_it_can(lambda: self._take_otherwise(lease, bound))
        return super()._done_and_claim(item, status, later, lease, bound)

    def findings(self) -> Iterator[tuple[str, int | None, str] | None]:
        """Yield what is wrong in the tables, as `pq check` tells it; None after each page."""
        return self._store.findings()

    def __del__(self) -> None:
        store = getattr(self, "_store", None)
        if store is not None:
            store.close()


def need_psycopg() -> None:
    """Raise ConfigError where psycopg is missing: it comes only for who asks for it."""
    try:
        from pq_cli.postgres.wire import libpq  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f"a queue in PostgreSQL needs psycopg ({error}): `pip install 'pq-cli[postgres]'`"
        ) from None


def _found(link: Link, create: bool) -> tuple[int, str]:
    """Return the number and the policy of a queue, made if it may be."""
    query = "select number, policy from pq.queue where name = %s"
    row = link.row(query, link.address.queue)
    if row is None and create:
        from pq_cli.postgres.schema import make_queue

        try:
            with link.transaction():
                make_queue(link)
        except PermissionDeniedError:
            raise PermissionDeniedError(
                f"{link.address.shown}: there is no queue of this name for you here;"
                " who owns the tables makes it with `pq init --grant`"
            ) from None
        row = link.row(query, link.address.queue)
    if row is None:
        raise NoSpoolError(f"{link.address.shown}: there is no queue of this name")
    return row[0], row[1]
