"""Backends: a queue is opened by what it is called; only here is it known what kinds there are."""

from __future__ import annotations

import os

from pq_cli.core.arguments import LOCK_TIMEOUT, wrong
from pq_cli.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pq_cli.errors import DamagedItemError
    from pq_cli.queue.verbs import Queue
    from pq_cli.spool.spool import Spool

POSTGRES = ("postgresql", "postgres")
"""The schemes of a queue in a database."""


def open_queue(
    name: str | os.PathLike[str],
    *,
    create: bool = True,
    lock_timeout: float = LOCK_TIMEOUT,
    report: Callable[[DamagedItemError], None] | None = None,
) -> Queue:
    """Open the queue that `-s` and `PQ_SPOOL` would name so: a directory, or postgresql://...

    create: make it when missing (else NoSpoolError). lock_timeout: seconds to wait for other
    processes before LockTimeoutError, and for a server. report: called with the DamagedItemError of
    each item that is passed over. Raises UsageError for a URL of another kind. Else raises what
    `Spool` and `PostgresQueue` raise.
    """
    scheme = _scheme_of(name)
    if scheme in POSTGRES:
        from pq_cli.postgres.queue import PostgresQueue

        return PostgresQueue(
            os.fspath(name), create=create, lock_timeout=lock_timeout, report=report
        )
    if scheme:
        raise UsageError(
            f"{scheme}://...: a queue is a directory or postgresql://...; give its path"
            f" (./{scheme}:/... if that is its name)"
        )
    return _spool(name, create, lock_timeout, report)


def open_soon(name: str, seconds: float) -> Queue:
    """Open a queue that is there, for somebody who does not wait: a server has so many seconds.

    Counted until the process ends, without the time in which modules are loaded; then TimeoutError
    comes wherever the program is.
    """
    if _scheme_of(name) in POSTGRES:
        import signal

        from pq_cli.postgres.queue import need_psycopg

        def give_up(*_: object) -> None:
            raise TimeoutError(f"no answer in {seconds} s")

        need_psycopg()
        signal.signal(signal.SIGALRM, give_up)
        signal.setitimer(signal.ITIMER_REAL, seconds)
    return open_queue(name, create=False)


def set_up(
    name: str | os.PathLike[str], grants: Sequence[str], lock_timeout: float = LOCK_TIMEOUT
) -> str | None:
    """Make the tables and the queue that a URL names; return it as shown. None: it is no URL.

    grants: the roles that are to work at it. Raises what `postgres.schema.set_up` raises.
    """
    if _scheme_of(name) not in POSTGRES:
        return None
    from pq_cli.postgres.queue import need_psycopg

    need_psycopg()
    from pq_cli.postgres import schema

    return schema.set_up(os.fspath(name), grants, lock_timeout=lock_timeout)


def table_findings(
    name: str, lock_timeout: float = LOCK_TIMEOUT
) -> Iterator[tuple[str, int | None, str] | None] | None:
    """Yield (kind, id, detail) of what is wrong in a database, None after each page; or None.

    None: the queue is no such thing. Raises what `PostgresQueue` raises.
    """
    if _scheme_of(name) not in POSTGRES:
        return None
    from pq_cli.postgres.queue import PostgresQueue

    return PostgresQueue(name, create=False, lock_timeout=lock_timeout).findings()


def open_folder(
    name: str | os.PathLike[str],
    command: str,
    *,
    create: bool = False,
    lock_timeout: float = LOCK_TIMEOUT,
    report: Callable[[DamagedItemError], None] | None = None,
) -> Spool:
    """Open a queue for a command that is about what its folder holds. Raises like `folder`."""
    return _spool(folder(name, command), create, lock_timeout, report)


def folder(name: str | os.PathLike[str], command: str) -> str:
    """Return the absolute path of the folder that a queue is.

    Raises UsageError for a queue that is none: `command` has nothing to do there.
    """
    path = folder_of(name)
    if path is None:
        raise UsageError(
            f"pq {command} is about a spool in a directory: {_scheme_of(name)}://... is none"
        )
    return path


def folder_of(name: str | os.PathLike[str]) -> str | None:
    """Return the absolute path of the folder that a queue is; None if it is none (a URL)."""
    if _scheme_of(name):
        return None
    from pq_cli.spool.spool import absolute

    return absolute(name)


def _spool(
    path: str | os.PathLike[str],
    create: bool,
    lock_timeout: float,
    report: Callable[[DamagedItemError], None] | None,
) -> Spool:
    from pq_cli.spool.spool import Spool

    return Spool(path, create=create, lock_timeout=lock_timeout, report=report)


def _scheme_of(name: str | os.PathLike[str]) -> str:
    """Return the scheme of a URL, and nothing for a path. Raises UsageError for what is neither.

    Of a URL only the scheme is ever repeated: there may be a password in it.
    """
    if not isinstance(name, str | os.PathLike):
        raise wrong("name", name, "the path of a directory")
    path = os.fspath(name)
    if not isinstance(path, str):
        raise wrong("name", name, "the path of a directory, as text")
    scheme, colon, behind = path.partition(":")
    if colon and scheme in POSTGRES and not behind.startswith("//"):
        raise UsageError(
            f"{scheme}:...: a URL begins with {scheme}://; the directory of that name is"
            f" ./{scheme}:..."
        )
    scheme, colon, _ = path.partition("://")
    return scheme if colon and scheme.replace("+", "").isalnum() else ""
