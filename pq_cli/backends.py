"""Backends: a queue is opened by what it is called; only here is it known what kinds there are."""

from __future__ import annotations

import os

from pq_cli.core.arguments import wrong
from pq_cli.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pq_cli.errors import DamagedItemError
    from pq_cli.spool.spool import Spool

LOCK_TIMEOUT = 30.0
"""Seconds to wait for other processes, unless something else is said."""


def open_queue(
    name: str | os.PathLike[str],
    *,
    create: bool = True,
    lock_timeout: float = LOCK_TIMEOUT,
    report: Callable[[DamagedItemError], None] | None = None,
) -> Spool:
    """Open the queue that `-s` and `PQ_SPOOL` would name so: a directory.

    create: make it when missing (else NoSpoolError). lock_timeout: seconds to wait for other
    processes before LockTimeoutError. report: called with the DamagedItemError of each item that
    is passed over. Raises UsageError for a URL: no kind of queue has one yet. Else raises what
    `Spool` raises.
    """
    from pq_cli.spool.spool import Spool

    return Spool(directory(name), create=create, lock_timeout=lock_timeout, report=report)


def directory(name: str | os.PathLike[str]) -> str:
    """Return the path that names a queue. Raises UsageError for what is none.

    Of a URL only the scheme is repeated: there may be a password in it.
    """
    if not isinstance(name, str | os.PathLike):
        raise wrong("name", name, "the path of a directory")
    path = os.fspath(name)
    if not isinstance(path, str):
        raise wrong("name", name, "the path of a directory, as text")
    scheme, colon, _ = path.partition("://")
    if colon and scheme.replace("+", "").isalnum():
        raise UsageError(
            f"{scheme}://...: a queue is a directory; give its path"
            f" (./{scheme}:/... if that is its name)"
        )
    return path
