"""Taking away, on `--move`, the files of items that have entered the spool durably."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from pq_cli.migrate.files import check_unchanged
from pq_cli.migrate.model import LegacyItem, SourceChangedError
from pq_cli.migrate.order import Ordered
from pq_cli.transfer.scratch import Scratch, to_key

_SCHEMA = ("CREATE TABLE uses (path BLOB PRIMARY KEY, left INTEGER) WITHOUT ROWID",)


class Removal(Scratch):
    """Removes the sources of taken items; a sidecar goes with the last item that it serves.

    Sidecars go first: a crash then leaves a payload, which the next run knows by its name, size
    and mtime and removes. In the other order it would leave sidecars that belong to nothing.
    """

    def __init__(self, root: Path, ordered: Ordered) -> None:
        super().__init__(_SCHEMA)
        self._root = root
        statement = "INSERT INTO uses VALUES (?, 1) ON CONFLICT DO UPDATE SET left = left + 1"
        for legacy in ordered.items():
            for path in legacy.source[1:]:
                self.insert(statement, (to_key(path),))

    def remove(self, legacy: LegacyItem) -> None:
        """Remove an item's files, unless the payload's is not the one that was taken."""
        payload, *others = legacy.source
        try:
            check_unchanged(self._root, legacy)
        except SourceChangedError:
            return
        for path in others:
            self.insert("UPDATE uses SET left = left - 1 WHERE path = ?", (to_key(path),))
            rows = self.select("SELECT left FROM uses WHERE path = ?", (to_key(path),))
            if all(left <= 0 for (left,) in rows):
                self._unlink(path)
        self._unlink(payload)

    def _unlink(self, path: str) -> None:
        with suppress(FileNotFoundError):
            os.unlink(os.path.join(self._root, path))
