"""Names for files in `tmp/` that no other process gives."""

from __future__ import annotations

import os
from itertools import count

from pq_cli import host
from pq_cli.spool.disk import layout

_token = ""
_number = count()


def _after_fork() -> None:
    global _token
    _token = ""


os.register_at_fork(after_in_child=_after_fork)


def tmp_name(kind: str) -> str:
    """Return a new name in `tmp/`: what kind of file, which process, and what is not repeated."""
    global _token
    if not _token:
        _token = os.urandom(6).hex()
    return f"{layout.TMP}/{kind}-{host.pid}-{_token}{next(_number):x}"
