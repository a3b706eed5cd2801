"""A private temporary database on disk: what keeps memory flat however many files there are.

SQLite's own unnamed database is used: it spills from a small cache to a file that has no name,
so an interrupted run leaves nothing behind. It lies where TMPDIR says.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any, Self

from pq_cli.core.origin import digest
from pq_cli.errors import PqError
from pq_cli.queue.verbs import Queue

_CACHE_KIB = 4096
_BATCH = 1000


def to_key(text: str) -> bytes:
    """Return bytes that sort as the text does (by code point), lone surrogates included."""
    return text.encode("utf-8", "surrogatepass")


def from_key(key: bytes) -> str:
    """Return the text of `to_key`."""
    return key.decode("utf-8", "surrogatepass")


class ScratchError(PqError):
    """The temporary index cannot be written (full disk, no permission)."""

    exit_code = 74
    then = "`df -h` and `df -i` tell which disk is full; TMPDIR names another"


class Scratch:
    """One such database. Every trouble with it is a ScratchError."""

    def __init__(self, schema: Sequence[str]) -> None:
        self._pending: dict[str, list[tuple[Any, ...]]] = {}
        try:
            self._db = sqlite3.connect("", isolation_level=None)
            setup = (
                f"PRAGMA cache_size = -{_CACHE_KIB}",
                "PRAGMA journal_mode = OFF",
                "PRAGMA synchronous = OFF",
                # Sorting spills to disk too, where the build allows it.
                "PRAGMA temp_store = FILE",
                "BEGIN",
            )
            for statement in (*setup, *schema):
                self._db.execute(statement)
        except sqlite3.Error as error:
            raise _translated(error) from error

    def insert(self, statement: str, row: tuple[Any, ...]) -> None:
        """Add a row, in batches; every select sees all rows added before it."""
        rows = self._pending.setdefault(statement, [])
        rows.append(row)
        if len(rows) >= _BATCH:
            self._flush()

    def _flush(self) -> None:
        try:
            for statement, rows in self._pending.items():
                self._db.executemany(statement, rows)
                rows.clear()
        except sqlite3.Error as error:
            raise _translated(error) from error

    def select(self, statement: str, parameters: tuple[Any, ...] = ()) -> Iterator[Any]:
        """Yield the rows of a statement, a few at a time."""
        self._flush()
        try:
            # Not `yield from`: it would close the cursor of a database that is closed already.
            for row in self._db.execute(statement, parameters):  # noqa: UP028
                yield row
        except sqlite3.Error as error:
            raise _translated(error) from error

    def close(self) -> None:
        """Give the disk space back."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _translated(error: sqlite3.Error) -> ScratchError:
    return ScratchError(f"temporary index: {error} (TMPDIR chooses where it lies)")


class Taken(Scratch):
    """What has entered a queue from one realm, and what is added to it in this run.

    Asked a million times. queue: None for one that is not made yet.
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
        if len(self._fresh) >= _BATCH:
            for each in self._fresh:
                self.insert("INSERT OR IGNORE INTO taken VALUES (?)", (each,))
            self._fresh.clear()
