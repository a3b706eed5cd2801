"""What has been taken from a realm already, asked a million times in flat memory."""

from __future__ import annotations

from pq_cli.core.origin import digest
from pq_cli.queue.verbs import Queue
from pq_cli.transfer.scratch import Scratch

_FEW = 1000


class Taken(Scratch):
    """What has entered a queue from one realm, and what is added to it in this run.

    queue: None for one that is not made yet.
    """

    def __init__(self, queue: Queue | None, realm: str) -> None:
        super().__init__(("CREATE TABLE taken (name BLOB PRIMARY KEY) WITHOUT ROWID",))
        self._fresh: set[bytes] = set()
        for name in () if queue is None else queue.taken(realm):
            self._note(name)

    def has(self, name: str) -> bool:
        """Tell whether the item of this name has been taken."""
        known = digest(name)
        if known in self._fresh:
            return True
        return any(True for _ in self.select("SELECT 1 FROM taken WHERE name = ?", (known,)))

    def add(self, name: str) -> None:
        """Note that it has been taken (or is about to be, in this run)."""
        self._note(digest(name))

    def _note(self, known: bytes) -> None:
        self._fresh.add(known)
        if len(self._fresh) >= _FEW:
            for each in self._fresh:
                self.insert("INSERT OR IGNORE INTO taken VALUES (?)", (each,))
            self._fresh.clear()
