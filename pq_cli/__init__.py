"""pq: a priority queue for the shell that lives in a directory, and its Python API.

    from pq_cli import Spool

    with Spool("/var/spool/reports") as spool:
        spool.enqueue(b"payload", priority=2)
        item = spool.claim()
        if item is not None:
            upload(spool.payload(item))
            spool.done(item)

`Spool` is the queue on disk, `MemoryQueue` the same verbs without one; `drain` runs an async
function on everything in either, several at once. Times are Unix
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
    from pq_cli.worker.contract import GiveUp, Outcome, RetryLater, Verdict
    from pq_cli.worker.events import Event, Stop, Summary
    from pq_cli.worker.limits import GateClosedError, HaltError, Limits
    from pq_cli.worker.pool import drain

__version__ = "0.1.0"
__all__ = [
    "AgedGroup", "ConfigError", "ConflictError", "DamagedItemError", "Event", "GateClosedError",
    "GiveUp", "HaltError", "Holder", "Item", "KeyTakenError", "Limits", "LockTimeoutError",
    "MemoryQueue", "NoSuchItemError", "Outcome", "Pause", "PqError", "QueueConfig",
    "QueueFullError", "RetryLater", "Spool", "StaleClaimError", "State", "Stop", "Summary",
    "UsageError", "Verdict", "drain",
]  # fmt: skip
_LAZY = {
    "Spool": "spool.spool",
    "MemoryQueue": "core.memory",
    **dict.fromkeys(("GiveUp", "Outcome", "RetryLater", "Verdict"), "worker.contract"),
    **dict.fromkeys(("Event", "Stop", "Summary"), "worker.events"),
    **dict.fromkeys(("GateClosedError", "HaltError", "Limits"), "worker.limits"),
    "drain": "worker.pool",
}


def __getattr__(name: str) -> object:
    """Load what a command may not need when it is first named."""
    if name not in _LAZY:
        raise AttributeError(f"module 'pq_cli' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"pq_cli.{_LAZY[name]}"), name)
