"""Upgrading a spool of an older format in place.

STEPS[n] turns a spool of format n into one of format n + 1, under the lock. A step must leave the
spool readable as format n until the new `state.json` is written, which is the commit instant:
what it adds or rewrites before must be doable again after a crash.
"""

from __future__ import annotations

from pq_cli.core.timefmt import parse_duration
from pq_cli.errors import ConfigError
from pq_cli.spool import layout, opening
from pq_cli.spool.durable import Disk
from pq_cli.spool.lock import SpoolLock
from pq_cli.spool.state import read_state, write_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

STEPS: dict[int, Callable[[Disk], None]] = {}
"""Format 1 is the first; there is nothing older yet."""


def upgrade(
    path: str,
    lock_timeout: str,
    *,
    dry_run: bool = False,
    steps: dict[int, Callable[[Disk], None]] | None = None,
) -> tuple[int, int]:
    """Bring the spool at `path` to this pq's format, step by step; return (found, now).

    Interrupted, it goes on from the last format that was reached. Raises ConfigError when the
    spool is of a newer format, damaged, or a step is missing.
    """
    target = layout.FORMAT
    found = opening.open_state(path).format
    table = STEPS if steps is None else steps
    missing = [n for n in range(found, target) if n not in table]
    if missing:
        raise ConfigError(f"{path} has format {found}; this pq cannot upgrade format {missing[0]}")
    if found == target or dry_run:
        return found, target
    disk = Disk(path, sync=True)
    lock = SpoolLock(f"{path}/{layout.LOCK}", parse_duration(lock_timeout))
    try:
        with lock:
            while (state := read_state(path)) is not None and state.format < target:
                table[state.format](disk)
                disk.sync_file_system()
                write_state(disk, state.replace(format=state.format + 1))
    finally:
        lock.close()
    return found, target
