"""What has been taken from a realm already, asked a million times in flat memory."""

from __future__ import annotations

from pq_cli.spool.doors import ledger
from pq_cli.transfer.scratch import Scratch

_FEW = 1000


class Taken(Scratch):
    """The ledger of one realm in the spool at `root`, and what is added to it in this run."""

    def __init__(self, root: str, realm: str) -> None:
        super().__init__(("CREATE TABLE taken (name BLOB PRIMARY KEY) WITHOUT ROWID",))
        self._fresh: set[bytes] = set()
        for digest in ledger.taken(root, realm):
            self._note(digest)

    def has(self, name: str) -> bool:
        """Tell whether the item of this name has been taken."""
        digest = ledger.digest(name)
        if digest in self._fresh:
            return True
        return any(True for _ in self.select("SELECT 1 FROM taken WHERE name = ?", (digest,)))

    def add(self, name: str) -> None:
        """Note that it has been taken (or is about to be, in this run)."""
        self._note(ledger.digest(name))

    def _note(self, digest: bytes) -> None:
        self._fresh.add(digest)
        if len(self._fresh) >= _FEW:
            for each in self._fresh:
                self.insert("INSERT OR IGNORE INTO taken VALUES (?)", (each,))
            self._fresh.clear()
