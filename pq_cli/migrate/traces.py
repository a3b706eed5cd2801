"""What lies in a folder, seen once for all readers, and what a reader makes of it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import tzinfo
from heapq import nsmallest
from pathlib import Path

from pq_cli.migrate.files import FileKind, join, read_object, scan, tried
from pq_cli.migrate.model import Entry, Json, Reported

_PEEK = 32
_KNOWN_FOLDERS = frozenset({"pending", "failed", "completed", "sent", "new", "cur", "tmp"})
_HEX8 = re.compile(r"[0-9a-f]{8}")


@dataclass
class Traces:
    """What lies in a folder: counts of what names end in, and which folders there are.

    `endings` counts the visible files by the ends of their names (".pending.meta.json", and
    ".meta.json" as well), `visible` and `hidden` count files.
    """

    root: Path
    visible: int = 0
    hidden: int = 0
    folders: int = 0
    known_folders: set[str] = field(default_factory=set)
    endings: Counter[str] = field(default_factory=Counter)
    hex_folders: list[str] = field(default_factory=list)

    def count(self, *endings: str) -> int:
        """Return how many visible files end so."""
        return sum(self.endings[ending] for ending in endings)

    def peek_names(self, folder: str) -> list[str]:
        """Return the first few file names of a folder, by name and not by listing order."""
        return nsmallest(_PEEK, (n for n, kind in scan(self.root, folder) if kind is FileKind.FILE))

    def peek_objects(self, folder: str) -> Iterator[Json]:
        """Yield those of the first few `.json` files of a folder that hold an object."""
        for name in self.peek_names(folder):
            if name.endswith(".json"):
                found = tried(read_object, self.root, join(folder, name))
                if not isinstance(found, Reported):
                    yield found[0]

    def describe(self) -> str:
        """Return what was seen, in words, for a message."""
        if not (self.visible or self.hidden or self.folders):
            return "nothing, it is empty"
        parts = [f"{self.visible} files"] if self.visible else []
        parts += [f"{self.hidden} hidden files"] if self.hidden else []
        parts += [f"{self.folders} folders"] if self.folders else []
        known = sorted(self.known_folders) + self.hex_folders[:3]
        return ", ".join(parts) + (f" (among them {', '.join(known)})" if known else "")


def traces_of(root: Path, endings: frozenset[str]) -> Traces:
    """List a folder once; only the given endings are counted. Raises SourceUnreadableError."""
    seen = Traces(root)
    for name, kind in scan(root):
        if kind is FileKind.FOLDER:
            seen.folders += 1
            if name in _KNOWN_FOLDERS:
                seen.known_folders.add(name)
            elif _HEX8.fullmatch(name):
                seen.hex_folders.append(name)
        elif kind is FileKind.FILE and name.startswith("."):
            seen.hidden += 1
        elif kind is FileKind.FILE:
            seen.visible += 1
            seen.endings.update(ending for ending in endings if name.endswith(ending))
    seen.hex_folders = nsmallest(_PEEK, seen.hex_folders)
    return seen


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a reader recognised in a folder, in words; `strong` if no other format looks so."""

    strong: bool
    seen: str


@dataclass(frozen=True, slots=True)
class Format:
    """One family of older queues, and its reader.

    name: the word for `--from`. looks_like: returns what speaks for it in the folder, or None.
    read: yields an entry for every file under a folder, in no promised order; times recorded
    without a zone are of the one given, None is this machine's. Raises SourceUnreadableError or
    ScratchError; trouble with single files is yielded.
    """

    name: str
    looks_like: Callable[[Traces], Evidence | None]
    read: Callable[[Path, tzinfo | None], Iterator[Entry]]
