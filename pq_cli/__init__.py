"""pq: a priority queue for the shell that lives in a directory, and its Python API.

    from pq_cli import Spool

    with Spool("/var/spool/reports") as spool:
        spool.enqueue(b"payload", priority=2)
        item = spool.claim()
        if item is not None:
            upload(spool.payload(item))
            spool.done(item)

`Spool` is the queue on disk, `MemoryQueue` the same verbs without one. Times are Unix
seconds, durations seconds, sizes bytes. Every error derives from `PqError`.
"""

from __future__ import annotations

from pq_cli.core.item import Holder, Item, State
from pq_cli.core.policy import AgedGroup, Pause, QueueConfig
from pq_cli.errors import (
    ConfigError,
    ConflictError,
    DamagedItemError,
    KeyTakenError,
    LockTimeoutError,
    NoSuchItemError,
    PqError,
    QueueFullError,
    StaleClaimError,
    UsageError,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pq_cli.core.memory import MemoryQueue
    from pq_cli.spool.spool import Spool

__version__ = "0.1.0"
__all__ = [
    "AgedGroup", "ConfigError", "ConflictError", "DamagedItemError", "Holder", "Item",
    "KeyTakenError", "LockTimeoutError", "MemoryQueue", "NoSuchItemError", "Pause", "PqError",
    "QueueConfig", "QueueFullError", "Spool", "StaleClaimError", "State", "UsageError",
]  # fmt: skip


def __getattr__(name: str) -> object:
    """Load the two queues when they are first named: a command needs one of them at most."""
    if name == "Spool":
        from pq_cli.spool.spool import Spool

        return Spool
    if name == "MemoryQueue":
        from pq_cli.core.memory import MemoryQueue

        return MemoryQueue
    raise AttributeError(f"module 'pq_cli' has no attribute {name!r}")
