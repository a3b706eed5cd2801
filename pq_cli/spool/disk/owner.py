"""Whose a spool is: what root writes in it belongs to its owner."""

from __future__ import annotations

import os


def owner_to_keep(root: str) -> tuple[int, int] | None:
    """Return (uid, gid) that new files get when root works in somebody else's spool, else None."""
    if os.geteuid() != 0:
        return None
    info = os.stat(root)
    return (info.st_uid, info.st_gid) if info.st_uid else None
