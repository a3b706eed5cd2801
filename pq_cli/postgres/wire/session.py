"""Session: one connection to a server, on which statements are sent together."""

from __future__ import annotations

import re
import select
import time
from functools import lru_cache
from typing import TYPE_CHECKING

from pq_cli.postgres.wire import libpq
from pq_cli.postgres.wire.values import DUMPERS, LOADERS, dumped

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from psycopg.pq.abc import PGconn, PGresult

    Row = tuple[Any, ...]
    Statement = tuple[str, tuple[object, ...]]
    _Key = tuple[bytes, tuple[int, ...]]

_PLACE = re.compile(r"%s|%\((\w+)\)s")
_KEPT = re.compile(r"\s*(select|insert|update|delete|with|begin|commit)\b", re.IGNORECASE)
"""Statements worth preparing."""


_CANCEL = 2.0
"""Seconds to tell a server that it is to stop: it may be gone."""


class Refused(Exception):
    """The server refuses a statement, or cannot be reached any more.

    state: the SQLSTATE; None where the connection itself is gone.
    """

    def __init__(self, state: str | None, said: str) -> None:
        super().__init__(said)
        self.state = state


class Session:
    """A connection that stands. Used by one thread at a time, and by the process that made it.

    Prepares what is sent a second time, unless `prepares` is set to False.
    """

    def __init__(self, wire: PGconn) -> None:
        wire.nonblocking = 1
        self.prepares = True
        self._wire = wire
        self._poll = select.poll()
        self._poll.register(wire.socket, select.POLLIN)
        # By a statement and the types of its values: the name of it prepared, None if it was sent.
        self._names: dict[_Key, bytes | None] = {}
        self._count = 0
        self._columns: dict[_Key, list[tuple[int, Callable[[bytes], Any]]]] = {}

    @property
    def closed(self) -> bool:
        """Whether the connection is known to be gone."""
        return self._wire.status == libpq.ConnStatus.BAD

    @property
    def server_process(self) -> int:
        """The pid that the server, or a pooler, has named at the start."""
        return self._wire.backend_pid

    def fileno(self) -> int:
        """Return the descriptor of its socket."""
        return self._wire.socket

    def close(self) -> None:
        """End it; what was not committed is undone."""
        self._wire.finish()

    def heard(self) -> bool:
        """Take in what the server has said unasked; tell whether that was a notification.

        Raises Refused when it was that all is over.
        """
        try:
            while self._poll.poll(0):
                self._wire.consume_input()
        except libpq.Error as error:
            raise Refused(None, str(error)) from None
        heard = False
        while self._wire.notifies() is not None:
            heard = True
        return heard

    def run(self, statements: Sequence[Statement]) -> list[list[Row]]:
        """Send statements in one go, and return the rows of each.

        Values stand for `%s` in order, or are one dictionary for `%(name)s`. Raises Refused at the
        first that is refused; those after it were not run. Without a BEGIN among them, or before,
        they are one transaction.
        """
        wire = self._wire
        calls = [_call(text, values) for text, values in statements]
        try:
            wire.enter_pipeline_mode()
            sent: list[tuple[_Key, bool]] = []
            for call in calls:
                self._send(sent, *call)
            wire.pipeline_sync()
            results = self._results()
            wire.exit_pipeline_mode()
        except libpq.Error as error:
            self.close()
            raise Refused(None, str(error)) from None
        except BaseException:
            self._give_up()
            raise
        return self._rows(sent, results)

    def _give_up(self) -> None:
        """End in the middle of something: the server is not to go on with it."""
        try:
            if self._wire.transaction_status == libpq.TransactionStatus.ACTIVE:
                _cancel(self._wire)
        except libpq.Error:
            pass
        self.close()

    def _send(
        self,
        sent: list[tuple[_Key, bool]],
        key: _Key,
        kept: bool,
        values: Sequence[bytes | None],
        forms: Sequence[int],
    ) -> None:
        """Send a statement; sent: what each answer to come is of, and whether it is prepared."""
        wire = self._wire
        name = self._names.get(key)
        if name is None and kept and self.prepares:
            if key in self._names:
                self._count += 1
                self._names[key] = name = b"pq%d" % self._count
                wire.send_prepare(name, *key)
                sent.append((key, True))
            else:
                self._names[key] = None
        if name is None:
            wire.send_query_params(key[0], values, key[1], forms, 1)
        else:
            wire.send_query_prepared(name, values, forms, 1)
        sent.append((key, False))

    def _results(self) -> list[PGresult]:
        """Return the results of all that was sent, in order."""
        wire = self._wire
        found: list[PGresult] = []
        self._flush()
        while True:
            while wire.is_busy():
                self._poll.poll()
                wire.consume_input()
            result = wire.get_result()
            if result is None:
                if wire.status == libpq.ConnStatus.BAD:
                    return found
            elif result.status == libpq.ExecStatus.PIPELINE_SYNC:
                return found
            else:
                found.append(result)

    def _flush(self) -> None:
        if self._wire.flush():
            both = select.poll()  # it may have to be rid of an answer before it reads on
            both.register(self._wire.socket, select.POLLIN | select.POLLOUT)
            while self._wire.flush():
                if both.poll()[0][1] & ~select.POLLOUT:
                    self._wire.consume_input()

    def _rows(self, sent: list[tuple[_Key, bool]], results: list[PGresult]) -> list[list[Row]]:
        rows: list[list[Row]] = []
        refused: Refused | None = None
        for (key, prepared), result in zip(sent, results, strict=False):
            status = result.status
            if status == libpq.ExecStatus.TUPLES_OK:
                rows.append(self._rows_of(key, result))
            elif status != libpq.ExecStatus.COMMAND_OK:
                if prepared:
                    self._names[key] = None  # it was not
                if refused is None:
                    refused = _refusal(result)
            elif not prepared:
                rows.append([])
        if refused is None and len(results) < len(sent):
            refused = Refused(None, "the connection was lost")
        if refused is not None:
            raise refused
        return rows

    def _rows_of(self, key: _Key, result: PGresult) -> list[Row]:
        columns = self._columns.get(key)
        if columns is None:
            columns = [(n, LOADERS[result.ftype(n)]) for n in range(result.nfields)]
            if self._names.get(key):
                self._columns[key] = columns  # a statement that is prepared does not change
        value = result.get_value
        return [
            tuple([None if (got := value(row, n)) is None else load(got) for n, load in columns])
            for row in range(result.ntuples)
        ]


def ready(fd: int, state: int, deadline: float) -> bool:
    """Wait until libpq can go on, which is in this state; tell whether it can by the deadline."""
    poll = select.poll()  # at each step it may be another socket
    poll.register(fd, select.POLLOUT if state == libpq.PollingStatus.WRITING else select.POLLIN)
    return bool(poll.poll(max(0.0, deadline - time.monotonic()) * 1000))


def _cancel(wire: PGconn) -> None:
    """Tell the server to stop what it is at."""
    if libpq.version < 170000:
        wire.get_cancel().cancel()  # as long as it takes
        return
    cancel, deadline = wire.cancel_conn(), time.monotonic() + _CANCEL
    cancel.start()
    while (state := cancel.poll()) in (libpq.PollingStatus.READING, libpq.PollingStatus.WRITING):
        if not ready(cancel.socket, state, deadline):
            return


def _refusal(result: PGresult) -> Refused:
    state = result.error_field(libpq.DiagnosticField.SQLSTATE)
    said = result.error_field(libpq.DiagnosticField.MESSAGE_PRIMARY) or result.error_message
    return Refused(None if state is None else state.decode(), said.decode("utf-8", "replace"))


def _call(
    text: str, values: Sequence[Any]
) -> tuple[_Key, bool, Sequence[bytes | None], Sequence[int]]:
    query, names, kept = _parsed(text)
    if names:
        named = values[0]
        values = [named[name] for name in names]
    if not values:
        return (query, ()), kept, (), ()
    ways = DUMPERS
    types, forms, given = zip(*[ways.get(type(v), dumped)(v) for v in values], strict=True)
    return (query, types), kept, given, forms


@lru_cache(maxsize=500)
def _parsed(text: str) -> tuple[bytes, tuple[str, ...], bool]:
    """Return a statement as the server wants it, the names of its values, whether it has a plan."""
    names: list[str] = []
    count = 0

    def place(found: re.Match[str]) -> str:
        nonlocal count
        if found[1] is None:
            count += 1
            return f"${count}"
        if found[1] not in names:
            names.append(found[1])
        return f"${names.index(found[1]) + 1}"

    query = _PLACE.sub(place, text).encode()
    return query, tuple(names), _KEPT.match(text) is not None
