"""What PostgreSQL says when it refuses, as the errors of pq."""

from __future__ import annotations

import errno
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pq_cli.core.item import printable
from pq_cli.errors import (
    ConfigError,
    ConnectionLostError,
    KeyTakenError,
    LockTimeoutError,
    PermissionDeniedError,
    PqError,
    SpoolIOError,
    TryAgainError,
    UsageError,
)
from pq_cli.postgres.wire.connecting import WrongConninfoError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pq_cli.postgres.address import Address
    from pq_cli.postgres.wire.session import Refused

_PASSING = ("08", "53", "57", "40")
"""Classes of SQLSTATE that pass: connection, resources, intervention, rollback for others' sake."""
_LOST = ("08", "57P")
_NO_SCHEMA = ("3F000", "42P01", "42703", "42883")
_NOT_LET_IN = ("28000", "28P01", "42501")
_NO_DATABASE = "3D000"
_DENIED = re.compile(
    r"authentication failed|pg_hba\.conf (entry|rejects)|permission denied for database"
    r"|no password supplied|empty password|not permitted to log in|role \".*\" does not exist"
    r"|certificate verify failed|valid client certificate|does not match host name"
    r"|does not support SSL|authentication method requirement|requirepeer"
)
_WRONG_SETTING = re.compile(
    r"database \".*\" does not exist|(certificate|private key|CRL) (file|directory) \""
    r"|definition of service|service (file|specifications)"
)
_WRONG_URL = re.compile(
    r"invalid (\"?\w+\"? |integer )?value:? |invalid port number|could not (match \d|parse port)"
    r"|weak sslmode|require_auth method \"|socket path \".*\" is too long"
)
_SET_UP = "`man pq-postgres` tells of set-up, roles and passwords"
_LET_IN = "`pq init URL --grant ROLE`, by who owns the tables, lets a role in"
_ASK = "`pg_isready -d URL` asks whether a server answers there"


def no_schema(address: Address) -> ConfigError:
    """Return the error of a database in which pq has not been set up, or another version."""
    return ConfigError(
        f"{address.shown}: there are no tables of pq here: run `pq init` with this URL"
    )


def why_not_connected(error: Exception, address: Address) -> PqError:
    """Return what keeps us from connecting; a TryAgainError if that may pass."""
    said = " ".join(str(error).split())
    if isinstance(error, WrongConninfoError) or _WRONG_URL.search(said):
        # What libpq says may repeat a piece of the URL, and that may be of the password.
        return UsageError(
            f"{address.shown}: not a URL that libpq understands;"
            " give postgresql://USER@HOST:PORT/DATABASE#QUEUE"
        )
    told = printable(said, 300)
    if address.unclear:
        told = "cannot connect; within a password write @ as %40, / as %2F, # as %23"
    text = f"{address.shown}: {told}"
    # The words are those of libpq, or of a server that speaks English; the state is any server's.
    state = getattr(error, "state", None)
    if state in _NOT_LET_IN or _DENIED.search(said):
        return PermissionDeniedError(f"{text}; {_SET_UP}")
    if state == _NO_DATABASE or _WRONG_SETTING.search(said):
        return ConfigError(f"{text}; {_SET_UP}")
    return LockTimeoutError(f"{text}; {_ASK}")  # who waits patiently goes on waiting


@contextmanager
def owners_only(where: str, may: str) -> Iterator[None]:
    """Say of what is refused here that it is the owner's: to be let in would not help."""
    try:
        yield
    except PermissionDeniedError as error:
        said = str(error).removesuffix(f"; {_LET_IN}").removeprefix(f"{where}: ")
        raise PermissionDeniedError(
            f"{where}: {said}: who owns the tables, or may make them, {may}; {_SET_UP}"
        ) from None


def is_lost(error: Refused) -> bool:
    """Tell whether the connection itself is gone, not just a statement that was refused."""
    return error.state is None or error.state.startswith(_LOST)


def translated(error: Refused, address: Address) -> PqError | OSError:
    """Return the error of pq that says what a statement met."""
    state = error.state or ""
    said = printable(" ".join(str(error).split()), 300)
    text = f"{address.shown}: {said}"
    if state in _NO_SCHEMA:
        return no_schema(address)
    if state == "42501":
        return PermissionDeniedError(f"{text}; {_LET_IN}")
    if state == "25006":
        return TryAgainError(f"{address.shown}: the server is read-only, a standby?")
    if state == "55P03":
        return LockTimeoutError(f"{address.shown}: others kept it locked for longer than allowed")
    if state == "23505":
        return KeyTakenError(f"{address.shown}: the key is taken by an item that has just come")
    if state in ("53100", "58030"):
        return OSError(errno.ENOSPC if state == "53100" else errno.EIO, said, address.shown)
    if is_lost(error):
        return ConnectionLostError(text)
    if state.startswith(_PASSING):
        return TryAgainError(text)
    return SpoolIOError(text)
