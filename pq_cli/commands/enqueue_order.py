"""`pq enqueue --command`: what was typed becomes an item that is a command."""

from __future__ import annotations

import os
import shlex
import shutil

from pq_cli.core.item import MAX_NAME_BYTES, printable
from pq_cli.core.shellwords import as_command, shell_only
from pq_cli.errors import UsageError
from pq_cli.worker.contract import Order

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_SHOWN = MAX_NAME_BYTES // 4
"""Characters of a command line that its item has as a name: each has four bytes at most."""


def order_of(words: Sequence[str]) -> tuple[Order, str]:
    """Return the command, in the present folder, and a name that shows it. Raises UsageError."""
    if not words or not words[0]:
        raise UsageError("give the command to queue: pq enqueue --command -- CMD...")
    line = words[0]
    is_line = len(words) == 1 and (len(line.split()) > 1 or shell_only(line) is not None)
    if is_line and shutil.which(line) is None:
        better = printable(as_command(words))
        raise UsageError(f"{printable(line)}: it is one word, and no shell reads it: `-- {better}`")
    try:
        cwd = os.getcwd()
    except FileNotFoundError:
        raise UsageError("the present folder is gone: cd to one that is there") from None
    name = shlex.join(words)
    if len(name) > _SHOWN:
        name = name[: _SHOWN - 3] + "..."
    return Order(argv=list(words), cwd=cwd), name
