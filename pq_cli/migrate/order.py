"""The order in which the items of a source get their ids, whatever the listing order was.

By `created_us`, then by the payload's path as text. Sorted on disk: a million items take the
memory of one.
"""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Iterable, Iterator

from pq_cli.migrate.model import Entry, LegacyItem, Reported
from pq_cli.transfer.scratch import Scratch, from_key, to_key

_SCHEMA = (
    "CREATE TABLE items (created INTEGER, path BLOB, body BLOB)",
    "CREATE TABLE reported (path BLOB, reason TEXT, detail BLOB)",
)


class Ordered(Scratch):
    """Everything a reader yielded, sorted; a context manager that frees its disk space.

    `states` counts items by state, `reasons` reports by reason. Consuming the reader happens at
    once, in the constructor.
    """

    def __init__(self, entries: Iterable[Entry]) -> None:
        super().__init__(_SCHEMA)
        self.states: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        try:
            for entry in entries:
                self._take(entry)
        except BaseException:
            self.close()
            raise

    def _take(self, entry: Entry) -> None:
        if isinstance(entry, Reported):
            self.reasons[entry.reason] += 1
            why = (to_key(entry.path), entry.reason, to_key(entry.detail))
            self.insert("INSERT INTO reported VALUES (?, ?, ?)", why)
            return
        self.states[entry.state] += 1
        # Pickle is safe here: the file is this process's own and has no name.
        body = pickle.dumps(entry, pickle.HIGHEST_PROTOCOL)
        row = (entry.created_us, to_key(entry.source[0]), body)
        self.insert("INSERT INTO items VALUES (?, ?, ?)", row)

    def items(self) -> Iterator[LegacyItem]:
        """Yield the items in the order of their ids-to-be."""
        # An index, not a sort of whole rows: SQLite's sorter takes megabytes for each few
        # megabytes of them, and bodies can be large.
        list(self.select("CREATE INDEX IF NOT EXISTS in_order ON items (created, path)"))
        rows = self.select("SELECT body FROM items INDEXED BY in_order ORDER BY created, path")
        for (body,) in rows:
            item: LegacyItem = pickle.loads(body)
            yield item

    def reported(self) -> Iterator[Reported]:
        """Yield the reports by path, as text."""
        rows = self.select("SELECT path, reason, detail FROM reported ORDER BY path, reason")
        for path, reason, detail in rows:
            yield Reported(from_key(path), reason, from_key(detail))
