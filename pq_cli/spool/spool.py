"""Spool: a queue that is a directory."""

from __future__ import annotations

import os
import time

from pq_cli.core.arguments import valid_making
from pq_cli.core.policy import QueueConfig
from pq_cli.errors import DamagedItemError
from pq_cli.queue.verbs import Queue
from pq_cli.spool.disk import layout
from pq_cli.spool.files import Files
from pq_cli.spool.opening import opened
from pq_cli.spool.store import SpoolStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pq_cli.spool.doors.restoring import Quarantine

DEFAULT_LOCK_TIMEOUT = 30.0


def _random_fraction() -> float:
    """Return a number in [0, 1) without the start-up cost of `random`."""
    return int.from_bytes(os.urandom(4)) / 2**32


class Spool(Queue):
    """A priority queue in a directory: many processes, one truth, nothing lost.

    path: the spool's directory. create: make it when missing (else NoSpoolError). config:
    overrides queue.toml. clock: returns Unix seconds. jitter: returns what backoff is shortened by,
    as a share of a tenth, in [0, 1). lock_timeout: seconds to wait for other
    processes before LockTimeoutError. report: called with the DamagedItemError of each item that is
    passed over because it cannot be read; default: ignored.

    Raises NoSpoolError, CannotCreateError, PermissionDeniedError or ConfigError on opening. Every
    verb may raise OSError from the file system and LockTimeoutError. An item is named by its
    id (int or text), by a claim (`"1742.2"`), or by the Item itself.
    """

    _store: SpoolStore

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        create: bool = True,
        config: QueueConfig | None = None,
        clock: Callable[[], float] = time.time,
        jitter: Callable[[], float] = _random_fraction,
        lock_timeout: float = DEFAULT_LOCK_TIMEOUT,
        report: Callable[[DamagedItemError], None] | None = None,
    ) -> None:
        valid_making(clock, jitter, report, create=create, lock_timeout=lock_timeout)
        limits = config.limits if isinstance(config, QueueConfig) else None
        self.path, state, config = opened(path, config, create=create, lock_timeout=lock_timeout)
        report = report if report is not None else _ignore
        files = Files(self.path, config, state, lock_timeout, report)
        super().__init__(SpoolStore(files, clock, report, limits), config, jitter)

    def __del__(self) -> None:
        # A program that opens many spools and closes none must not run out of descriptors.
        store = getattr(self, "_store", None)
        if store is not None and os is not None:  # None: the interpreter is going down
            store.close()

    # -- what only a folder has ------------------------------------------------------

    def quarantine(self) -> Quarantine:
        """Return what a repair has set aside, and the way back from there."""
        from pq_cli.spool.doors.restoring import Quarantine

        return Quarantine(self._store.files, self._store.now)

    def write_config(self, text: str) -> bool:
        """Write a queue.toml unless there is one; tell whether it was written."""
        with self._store.files:
            if os.path.lexists(f"{self.path}/{layout.CONFIG}"):
                return False
            self._store.set_policy(text)
            return True

    def open_drop_box(self, mode: int) -> None:
        """Give `new/` this mode, and others the way through the spool to it, but no more."""
        disk = self._store.files.disk
        with self._store.files:
            disk.make_dir(layout.NEW)
            disk.set_mode(layout.NEW, mode)
            disk.set_mode("", layout.root_mode(mode))


def _ignore(_: DamagedItemError) -> None:
    """Report nothing."""
