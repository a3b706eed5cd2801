"""Link: one connection to the server, made when it is needed and again when it was lost."""

from __future__ import annotations

import os
import random
import time
from typing import TYPE_CHECKING

import psycopg
from psycopg.types.numeric import Int8Dumper

from pq_cli.errors import TryAgainError
from pq_cli.postgres.trouble import is_lost, translated, why_not_connected

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pq_cli.postgres.address import Address

    Row = tuple[Any, ...]

_SETTINGS = {
    "plan_cache_mode": "force_generic_plan",  # there is one way that is right, whatever the values
    "jit": "off",  # it would compile for 130 ms what runs for one
    "idle_in_transaction_session_timeout": "60s",  # who was stopped must not hold rows for ever
    "tcp_keepalives_idle": "10",  # a host that vanished is noticed within half a minute
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "4",
    "tcp_user_timeout": "30000",
}
_WIRE = {
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "4",
    "tcp_user_timeout": "30000",
}
"""The same from this side: who waits for a server that has vanished must learn of it, too."""
_FIRST_WAIT, _LONGEST_WAIT = 0.05, 2.0


class Link:
    """One connection, used by one thread at a time.

    patience: seconds to go on trying to connect, and to wait for a row that others have locked.
    greeting: called with this link whenever a connection has been made.
    """

    def __init__(
        self, address: Address, patience: float, greeting: Callable[[Link], None] | None = None
    ) -> None:
        self.address = address
        self.pooled = False
        self._patience = patience
        self._greeting = greeting
        self._connection: psycopg.Connection[Row] | None = None
        self._pid = 0
        self._wanted = self._begun = False
        self._pending: tuple[str, tuple[object, ...]] | None = None

    # -- connecting --------------------------------------------------------------

    @property
    def connection(self) -> psycopg.Connection[Row]:
        """The connection, made if there is none. Raises TryAgainError and others."""
        if self._pid != os.getpid():
            self._connection = None  # of the parent: what we sent there would be his
            self._wanted = self._begun = False
        if self._connection is None or self._connection.closed:
            self._connect()
        assert self._connection is not None
        return self._connection

    def _connect(self) -> None:
        self._pid = os.getpid()
        deadline, wait = time.monotonic() + self._patience, _FIRST_WAIT
        while True:
            try:
                self._connection = self._open(deadline - time.monotonic())
                return
            except TryAgainError:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise
                time.sleep(min(left, wait * (0.5 + random.random())))
                wait = min(2 * wait, _LONGEST_WAIT)

    def _open(self, left: float) -> psycopg.Connection[Row]:
        address = self.address
        extra: dict[str, Any] = {"fallback_application_name": "pq"}
        try:
            said = psycopg.conninfo.conninfo_to_dict(address.conninfo)
            if "connect_timeout" not in said and "PGCONNECT_TIMEOUT" not in os.environ:
                extra["connect_timeout"] = max(2, min(10, int(left)))
            extra |= {name: value for name, value in _WIRE.items() if name not in said}
            connection = psycopg.connect(address.conninfo, autocommit=True, **extra)
        except (psycopg.Error, UnicodeError) as error:
            raise why_not_connected(error, address) from None
        try:
            self._greet(connection)
        except psycopg.Error as error:
            connection.close()
            raise translated(error, address) from None
        except BaseException:
            connection.close()
            raise
        return connection

    def _greet(self, connection: psycopg.Connection[Row]) -> None:
        # So each statement has one set of types, whatever the size of its numbers: one plan.
        connection.adapters.register_dumper(int, Int8Dumper)
        wait = str(max(1, round(self._patience * 1000)))
        row = connection.execute(
            "select pg_backend_pid(), array(select set_config(name, value, false)"
            " from unnest(%s::text[], %s::text[]) as setting(name, value))",
            ([*_SETTINGS, "lock_timeout"], [*_SETTINGS.values(), wait]),
        ).fetchone()
        # A pooler makes up a number of its own: then neither session locks nor prepared statements
        # are ours.
        self.pooled = row is None or row[0] != connection.info.backend_pid
        if self.pooled:
            connection.prepare_threshold = None
        if self._greeting is not None:
            self._connection, self._begun = connection, False
            wanted, self._wanted = self._wanted, False
            try:
                self._greeting(self)
            finally:
                self._wanted, self._connection = wanted, None

    def close(self) -> None:
        """Let go of the connection."""
        connection, self._connection = self._connection, None
        self._wanted = self._begun = False
        if connection is not None and self._pid == os.getpid():
            connection.close()

    # -- statements ----------------------------------------------------------------

    def rows(self, sql: str, *values: object, binary: bool = False) -> list[Row]:
        """Run a statement and return its rows: in the transaction, or as one of its own.

        values: one for each `%s`, or a single dictionary for `%(name)s`.
        """
        if self._pending is not None:
            self.flush()
        for again in (True, False):
            first = not self._begun
            try:
                # Within a transaction never a new connection: what went before is not in it.
                connection = self.connection if first else self._same()
                if self._wanted and first:
                    connection.execute("BEGIN")
                    self._begun = True
                named = len(values) == 1 and isinstance(values[0], dict)
                given: Any = values[0] if named else values or None
                cursor = connection.execute(sql, given, binary=binary)
                return cursor.fetchall() if cursor.description is not None else []
            except psycopg.Error as error:
                if not is_lost(error):
                    raise translated(error, self.address) from None
                self.forget()
                # Nothing of ours was kept yet: as if we had connected only now.
                if not (first and again):
                    raise translated(error, self.address) from None
        raise AssertionError  # the second time either returns or raises

    def row(self, sql: str, *values: object) -> Row | None:
        """Run a statement and return its first row, or None."""
        rows = self.rows(sql, *values)
        return rows[0] if rows else None

    def later(self, sql: str, *values: object) -> None:
        """Run a statement before whatever comes next; until then `take` may have it back."""
        self.flush()
        self._pending = sql, values

    def take(self) -> tuple[str, tuple[object, ...]] | None:
        """Return the statement that was to be run later, and run it not."""
        pending, self._pending = self._pending, None
        return pending

    def flush(self) -> None:
        """Run what was to be run later."""
        pending = self.take()
        if pending is not None:
            self.rows(pending[0], *pending[1])

    def _same(self) -> psycopg.Connection[Row]:
        """Return the connection on which the transaction was begun, as it is."""
        if self._connection is None or self._pid != os.getpid():
            raise psycopg.InterfaceError("the connection was lost")
        return self._connection

    def forget(self) -> None:
        """Drop the connection, which was lost; the next use makes another."""
        connection, self._connection = self._connection, None
        self._begun = False
        if connection is not None:
            connection.close()

    # -- transactions ----------------------------------------------------------------

    @property
    def inside(self) -> bool:
        """Whether a transaction is wanted or under way."""
        return self._wanted

    def begin(self) -> None:
        """Let what follows be one transaction; the first statement begins it."""
        self._wanted, self._begun = True, False

    def commit(self) -> None:
        """Keep what was done since `begin`."""
        self.flush()
        begun, self._wanted, self._begun = self._begun, False, False
        if begun:
            self._end("COMMIT")

    def rollback(self) -> None:
        """Undo what was done since `begin`."""
        self._pending = None
        begun, self._wanted, self._begun = self._begun, False, False
        if begun and self._connection is not None:
            try:
                self._end("ROLLBACK")
            except (TryAgainError, OSError):
                pass  # the server undoes it when the connection is gone

    def _end(self, how: str) -> None:
        try:
            self._same().execute(how)
        except psycopg.Error as error:
            if is_lost(error):
                self.forget()
                raise TryAgainError(
                    f"{self.address.shown}: the connection was lost at the end of a change:"
                    " whether it was made is not known"
                ) from None
            raise translated(error, self.address) from None
