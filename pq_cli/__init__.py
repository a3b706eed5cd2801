"""pq: a priority queue for the shell that lives in a directory, and its Python API.

    from pq_cli import Spool

    with Spool("/var/spool/reports") as spool:
        spool.enqueue(b"payload", priority=2)
        with spool.claimed() as item:           # done at the end, failed on an exception
            if item is not None:
                upload(spool.payload(item))

Start with these:

    Spool(path)             the queue in a directory, shared with the commands and all processes
    MemoryQueue()           the same verbs without a disk, for tests
    PostgresQueue(url)      the same verbs in a database, for many machines
    work(queue, handler)    run a function on everything in a queue, several at once
    drain(queue, handler)   the same in a program that has an event loop

Then: `Queue` says what all queues can do, and `Item` what is known of an item; `claimed` and
`each_claimed` take work in a context, `claim`, `done`, `fail` and `release` by hand. `RetryLater`
and `GiveUp` are raised by what works on an item. Times are Unix seconds, durations seconds, sizes
bytes. Every error derives from `PqError`.
"""

from __future__ import annotations

from pq_cli.core.item import Holder, Item, State
from pq_cli.core.policy import Pause, QueueConfig
from pq_cli.errors import (
    CannotCreateError,
    ConfigError,
    ConflictError,
    DamagedItemError,
    EventsGoneError,
    KeyTakenError,
    LockTimeoutError,
    NoLongerFitsError,
    NoSpoolError,
    NoSuchItemError,
    PermissionDeniedError,
    PqError,
    QueueFullError,
    StaleClaimError,
    TryAgainError,
    UsageError,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pq_cli.backends import open_queue
    from pq_cli.core.insight.explain import Reason
    from pq_cli.core.insight.workers import Duty, Worker
    from pq_cli.core.order import AgedGroup
    from pq_cli.core.selection import Selection
    from pq_cli.postgres.queue import PostgresQueue
    from pq_cli.queue.ends import Ended
    from pq_cli.queue.memory.queue import MemoryQueue
    from pq_cli.queue.outcome import GiveUp, Outcome, RetryLater, Verdict
    from pq_cli.queue.request import Admitted, Request
    from pq_cli.queue.verbs import Queue
    from pq_cli.spool.doors.restoring import Quarantine
    from pq_cli.spool.spool import Spool
    from pq_cli.worker.events import Event, Stop, Summary, Watch
    from pq_cli.worker.gate import Gate
    from pq_cli.worker.handlers import BatchHandler, Handler
    from pq_cli.worker.limits import GateClosedError, HaltError, Limits
    from pq_cli.worker.work import drain, work

__version__ = "0.1.0"
# In the order in which a newcomer needs them: so `pydoc` shows the classes.
# fmt: off
__all__ = [  # noqa: RUF022
    "Spool", "MemoryQueue", "work", "drain", "open_queue",
    "Queue", "PostgresQueue", "Item", "State", "QueueConfig", "Request", "Admitted", "RetryLater",
    "GiveUp", "Handler", "BatchHandler",
    "Outcome", "Verdict", "Summary", "Limits", "Stop", "Event", "Gate", "Watch",
    "PqError", "UsageError", "NoSuchItemError", "ConflictError", "StaleClaimError",
    "KeyTakenError", "QueueFullError", "LockTimeoutError", "TryAgainError", "DamagedItemError",
    "NoSpoolError", "CannotCreateError", "PermissionDeniedError", "ConfigError", "GateClosedError",
    "HaltError", "Holder", "Pause", "Ended", "Selection", "NoLongerFitsError", "AgedGroup",
    "EventsGoneError", "Quarantine", "Duty", "Worker", "Reason",
]
# fmt: on
_LAZY = {
    "Spool": "spool.spool",
    "open_queue": "backends",
    "PostgresQueue": "postgres.queue",
    "MemoryQueue": "queue.memory.queue",
    "Queue": "queue.verbs",
    **dict.fromkeys(("Admitted", "Request"), "queue.request"),
    "AgedGroup": "core.order",
    "Ended": "queue.ends",
    "Reason": "core.insight.explain",
    **dict.fromkeys(("Duty", "Worker"), "core.insight.workers"),
    "Selection": "core.selection",
    **dict.fromkeys(("GiveUp", "Outcome", "RetryLater", "Verdict"), "queue.outcome"),
    **dict.fromkeys(("Event", "Stop", "Summary", "Watch"), "worker.events"),
    **dict.fromkeys(("GateClosedError", "HaltError", "Limits"), "worker.limits"),
    "Gate": "worker.gate",
    **dict.fromkeys(("BatchHandler", "Handler"), "worker.handlers"),
    **dict.fromkeys(("drain", "work"), "worker.work"),
    "Quarantine": "spool.doors.restoring",
}


def __getattr__(name: str) -> object:
    """Load what a command may not need when it is first named."""
    if name not in _LAZY:
        raise AttributeError(f"module 'pq_cli' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"pq_cli.{_LAZY[name]}"), name)


class _Name(str):
    """A name that sorts as `__all__` has it: `pydoc` sorts what `dir` gives, and knows no other."""

    __slots__ = ()

    def __lt__(self, other: str) -> bool:
        return _place(self) < _place(other)


def _place(name: str) -> tuple[int, str]:
    return (__all__.index(name) if name in __all__ else len(__all__)), str(name)


def __dir__() -> list[str]:
    """Return what is public, loaded or not, in the order of `__all__`; then the rest."""
    return [_Name(name) for name in dict.fromkeys((*__all__, *globals()))]
