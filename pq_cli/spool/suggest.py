"""What may be meant by the beginning of an id, a claim or a key: asked at every Tab.

Bounded, however many items there are; nothing is locked or written.
"""

from __future__ import annotations

import os
from itertools import islice

from pq_cli.core.item import Item, State, printable
from pq_cli.errors import DamagedItemError
from pq_cli.spool.disk import layout
from pq_cli.spool.disk.reader import Reader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_MOST_KEYS, _MOST_NAMES, _MOST_FOLDERS = 1000, 100_000, 2000
"""Looked at, so that the shell waits no longer than 0.15 s with a million: keys that fit and names
in all of one folder, folders of delayed items (the earliest due) and removed ones (the latest)."""


def items(reader: Reader, states: Sequence[State], prefix: str) -> Iterator[Item]:
    """Yield items in `states` whose id begins with `prefix`; of active ones the claim."""
    for state in states:
        for folder, lane in _folders(reader, state, prefix):
            for name in reader.entries(folder):
                if (name.lstrip("0") or "0").startswith(prefix):
                    try:
                        yield reader.read(folder, name, state, lane)
                    except (FileNotFoundError, DamagedItemError):
                        continue


def _folders(reader: Reader, state: State, prefix: str) -> Iterator[tuple[str, int | None]]:
    """Yield the folders of a state that can hold what is meant, and their lanes; not too many.

    All ids of a block from 1 on have the block's number in front.
    """
    folders = reader.of(state, latest_first=state is State.REMOVED)
    if layout.LEVELS[state][-1:] != (layout.parse_block,):
        yield from islice(folders, _MOST_FOLDERS)
        return
    for folder, lane in folders:
        front = folder.rpartition("/")[2].lstrip("0")
        if front.startswith(prefix) or prefix.startswith(front):
            yield folder, lane


def keys(root: str, prefix: str) -> list[str]:
    """Return keys of live items that begin with `prefix`, sorted; those cut off are left out."""
    found: list[str] = []
    if printable(prefix) != prefix:
        return found
    # Most names are left out by their raw beginning: to read one costs more than to list it.
    for name in _names(f"{root}/{layout.KEYS}", layout.key_path(prefix).partition("/")[2]):
        key = layout.key_of(name)
        if key is not None and key.startswith(prefix) and printable(key) == key:
            found.append(key)
        if len(found) == _MOST_KEYS:
            break
    return sorted(found)


def _names(folder: str, front: str) -> Iterator[str]:
    """Yield the names in a folder that begin with `front`; a folder of a million is not read out.

    None when it cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            for entry in islice(entries, _MOST_NAMES):
                if entry.name.startswith(front):
                    yield entry.name
    except OSError:
        return
