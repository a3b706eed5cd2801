"""This process: its pid, and names for files in `tmp/` that no other process gives.

Both are kept and renewed after a fork: asking the kernel for each took a tenth of a claim.
"""

from __future__ import annotations

import os
from itertools import count

from pq_cli.spool import layout

pid = os.getpid()
_token = ""
_number = count()


def _after_fork() -> None:
    global pid, _token
    pid, _token = os.getpid(), ""


os.register_at_fork(after_in_child=_after_fork)


def tmp_name(kind: str) -> str:
    """Return a new name in `tmp/`: what kind of file, which process, and what is not repeated."""
    global _token
    if not _token:
        _token = os.urandom(6).hex()
    return f"{layout.TMP}/{kind}-{pid}-{_token}{next(_number):x}"
