"""Link: one connection to the server, made when it is needed and again when it was lost."""

from __future__ import annotations

import os
import random
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pq_cli.errors import ConnectionLostError, TryAgainError
from pq_cli.postgres.trouble import is_lost, translated, why_not_connected
from pq_cli.postgres.wire.connecting import WrongConninfoError, connect
from pq_cli.postgres.wire.session import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pq_cli.postgres.address import Address
    from pq_cli.postgres.wire.session import Row, Session, Statement

_SETTINGS = {
    "plan_cache_mode": "force_generic_plan",  # there is one way that is right, whatever the values
    "enable_bitmapscan": "off",  # nearly all look for one row: it costs more than the look itself
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
_SET = (
    "select pg_backend_pid(), array(select set_config(name, value, false)"
    " from unnest(%s::text[], %s::text[]) as setting(name, value))"
)
_BEGIN: Statement = ("BEGIN", ())
_COMMIT: Statement = ("COMMIT", ())
_ROLLBACK: Statement = ("ROLLBACK", ())
_FIRST_WAIT, _LONGEST_WAIT = 0.05, 2.0


class Link:
    """One connection, used by one thread at a time.

    patience: seconds to go on trying to connect, and to wait for a row that others have locked.
    greeting: called with this link whenever a connection has been made. unsettled: how much was
    committed on this connection that does not wait for the disk; with another one it may be another
    server, or one that has crashed, and nobody knows.
    """

    def __init__(
        self, address: Address, patience: float, greeting: Callable[[Link], None] | None = None
    ) -> None:
        self.address = address
        self.pooled = False
        self.unsettled = 0
        self._patience = patience
        self._greeting = greeting
        self._session: Session | None = None
        self._pid = 0
        self._wanted = self._begun = False
        self._pending: list[Statement] = []

    # -- connecting --------------------------------------------------------------

    @property
    def session(self) -> Session:
        """The connection, made if there is none. Raises TryAgainError and others."""
        if self._session is not None and self._pid != os.getpid():
            self._session = None  # of the parent: what we sent there would be his
            self._wanted = self._begun = False
            self._pending = []
        if self._session is None or self._session.closed:
            self._connect()
        assert self._session is not None
        return self._session

    def _connect(self) -> None:
        self._pid = os.getpid()
        deadline, wait = time.monotonic() + self._patience, _FIRST_WAIT
        while True:
            try:
                self._session = self._open(deadline - time.monotonic())
                return
            except TryAgainError:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise
                time.sleep(min(left, wait * (0.5 + random.random())))
                wait = min(2 * wait, _LONGEST_WAIT)

    def _open(self, left: float) -> Session:
        address = self.address
        defaults = {
            **_WIRE,
            "fallback_application_name": "pq",
            "connect_timeout": str(max(2, min(10, int(left)))),
        }
        try:
            session = connect(address.conninfo, defaults)
        except (Refused, WrongConninfoError, UnicodeError) as error:
            raise why_not_connected(error, address) from None
        try:
            self._greet(session)
        except Refused as error:
            session.close()
            raise translated(error, address) from None
        except BaseException:
            session.close()
            raise
        return session

    def _greet(self, session: Session) -> None:
        self.unsettled = 0
        wait = str(max(1, round(self._patience * 1000)))
        settings = [*_SETTINGS, "lock_timeout"], [*_SETTINGS.values(), wait]
        ((server_process, _),) = session.run([(_SET, settings)])[0]
        # A pooler makes up a number of its own: then neither session locks nor prepared statements
        # are ours.
        self.pooled = server_process != session.server_process
        session.prepares = not self.pooled
        if self._greeting is not None:
            before = self._wanted, self._begun, self._pending
            self._session, self._wanted, self._begun, self._pending = session, False, False, []
            try:
                self._greeting(self)
            finally:
                self._wanted, self._begun, self._pending = before
                self._session = None

    def close(self) -> None:
        """Let go of the connection."""
        session, self._session = self._session, None
        self._wanted = self._begun = False
        self._pending = []
        if session is not None and self._pid == os.getpid():
            session.close()

    # -- statements ----------------------------------------------------------------

    def rows(self, sql: str, *values: object) -> list[Row]:
        """Run a statement and return its rows: in the transaction, or as one of its own.

        values: one for each `%s`, or a single dictionary for `%(name)s`.
        """
        batch, self._pending = [*self._pending, (sql, values)], []
        for again in (True, False):
            first = not self._begun
            try:
                # Within a transaction never a new connection: what went before is not in it.
                session = self.session if first else self._same()
                self._begun = self._wanted
                return session.run([_BEGIN, *batch] if first and self._wanted else batch)[-1]
            except Refused as error:
                if not is_lost(error):
                    raise translated(error, self.address) from None
                self.forget()
                # Nothing of ours was kept yet: as if we had connected only now.
                if not (first and again):
                    self._begun = self._wanted  # what comes after is not to begin another
                    raise translated(error, self.address) from None
        raise AssertionError  # the second time either returns or raises

    def row(self, sql: str, *values: object) -> Row | None:
        """Run a statement and return its first row, or None."""
        rows = self.rows(sql, *values)
        return rows[0] if rows else None

    def later(self, sql: str, *values: object) -> None:
        """Run a statement of the transaction together with whatever comes next, and before it."""
        self._pending.append((sql, values))

    def _same(self) -> Session:
        """Return the connection on which the transaction was begun, as it is."""
        if self._session is None or self._session.closed or self._pid != os.getpid():
            raise Refused(None, "the connection was lost")
        return self._session

    def forget(self) -> None:
        """Drop the connection, which was lost; the next use makes another."""
        session, self._session = self._session, None
        self._begun = False
        if session is not None:
            session.close()

    def stands(self) -> bool:
        """Tell whether there is a connection, and nothing is known against it."""
        try:
            self._same().heard()
        except Refused:
            return False
        return True

    # -- transactions ----------------------------------------------------------------

    @property
    def inside(self) -> bool:
        """Whether a transaction is wanted or under way."""
        return self._wanted

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Let what is done in the context be one transaction: kept at its end, or undone."""
        self.begin()
        try:
            yield
            self.commit()
        except BaseException:
            self.rollback()
            raise

    def begin(self) -> None:
        """Let what follows be one transaction; the first statement begins it."""
        self._wanted, self._begun, self._pending = True, False, []

    def commit(self) -> list[list[Row]]:
        """Keep what was done since `begin`; return the rows of what was to come `later`."""
        begun, batch = self._begun, self._pending
        self._wanted, self._begun, self._pending = False, False, []
        if not begun and not batch:
            return []
        try:
            if not begun:  # what is sent together is a transaction of its own
                return self.session.run(batch)
            return self._same().run([*batch, _COMMIT])[:-1]
        except Refused as error:
            if is_lost(error):
                self.forget()
                raise ConnectionLostError(
                    f"{self.address.shown}: the connection was lost at the end of a change:"
                    " whether it was made is not known; `pq log` tells what was done"
                ) from None
            self._undo()
            raise translated(error, self.address) from None

    def begin_anew(self) -> None:
        """Let go of what the transaction has locked so far; nothing was changed in it."""
        assert not self._pending
        self.rollback()
        self.begin()

    def rollback(self) -> None:
        """Undo what was done since `begin`."""
        begun, self._wanted, self._begun, self._pending = self._begun, False, False, []
        if begun:
            self._undo()

    def _undo(self) -> None:
        try:
            self._same().run([_ROLLBACK])
        except Refused:
            self.forget()  # the server undoes it when the connection is gone
