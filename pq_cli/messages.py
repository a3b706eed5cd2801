"""Messages to people: one line each, on stderr, with nothing in it that drives a terminal."""

from __future__ import annotations

import errno
import os

from pq_cli.core.item import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

make_way: Callable[[], None] | None = None
"""Clears a line of progress off the terminal while there may be one: called before a message."""

_PERMISSION = (errno.EACCES, errno.EPERM, errno.EROFS)


def warn(message: object) -> None:
    """Write one line to stderr."""
    if make_way is not None:
        make_way()
    text = f"pq: {printable(' '.join(str(message).split()))}\n"
    try:
        os.write(2, text.encode("utf-8", "replace"))
    except OSError:
        pass  # nobody listens


def os_error_text(error: OSError) -> str:
    """Return what and where, without Python's decoration.

    Of two names (a rename, a link) the second is meant where there is no room.
    """
    what = error.strerror or str(error)
    second = error.filename2 if error.errno in (errno.ENOSPC, errno.EDQUOT) else None
    name = second or error.filename
    if not isinstance(name, str | bytes):
        return what
    return f"{os.fsdecode(name) or repr('')}: {what}"


def os_error_status(error: OSError) -> int:
    """Return the exit status of an error of the operating system: 77 permission, else 74 I/O."""
    return 77 if error.errno in _PERMISSION else 74
