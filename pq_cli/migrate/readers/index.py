"""Grouping the names of a folder by the item they belong to, in flat memory."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter

from pq_cli.transfer.scratch import Scratch, from_key, to_key

_SCHEMA = (
    "CREATE TABLE names (owner BLOB, tag INTEGER, path BLOB)",
    "CREATE TABLE marked (path BLOB PRIMARY KEY) WITHOUT ROWID",
)


class NameIndex(Scratch):
    """(owner, tag, path) triples: `owner` is an item's name, `tag` what the path is to it.

    Add first, then ask, for the groups first: with them the index over the names is built, by one
    external sort, which is far cheaper than keeping it up while names come in any order.
    """

    def __init__(self) -> None:
        super().__init__(_SCHEMA)

    def add(self, owner: str, tag: int, path: str) -> None:
        """Take a name in."""
        self.insert("INSERT INTO names VALUES (?, ?, ?)", (to_key(owner), tag, to_key(path)))

    def groups(self) -> Iterator[tuple[str, dict[int, str]]]:
        """Yield each owner with its paths by tag, owners in text order.

        A tag is held once by an owner, so a group is small whatever the folder's size.
        """
        list(self.select("CREATE INDEX by_owner ON names (owner, tag, path)"))
        rows = self.select("SELECT owner, tag, path FROM names ORDER BY owner, tag, path")
        for owner, members in groupby(rows, key=itemgetter(0)):
            yield from_key(owner), {tag: from_key(path) for _, tag, path in members}

    def find(self, owner: str, tag: int) -> str | None:
        """Return the path that an owner has under a tag."""
        asked = (to_key(owner), tag)
        for (path,) in self.select("SELECT path FROM names WHERE owner = ? AND tag = ?", asked):
            return from_key(path)
        return None

    def mark(self, path: str) -> bool:
        """Mark a path; return whether this was the first time."""
        key = (to_key(path),)
        fresh = not list(self.select("SELECT 1 FROM marked WHERE path = ?", key))
        if fresh:
            self.insert("INSERT INTO marked VALUES (?)", key)
        return fresh

    def unmarked(self, tag: int) -> Iterator[str]:
        """Yield the paths under a tag that were never marked."""
        rows = self.select(
            "SELECT path FROM names WHERE tag = ? AND path NOT IN marked ORDER BY path", (tag,)
        )
        for (path,) in rows:
            yield from_key(path)
