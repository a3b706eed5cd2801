"""The folders of a spool: which of them a state has, and what lies in them. All walk with
this. And whose the spool is.

No symbolic link inside a spool is ever followed. What is listed may change under our hands.
"""

from __future__ import annotations

import os
import stat

from pq_cli.core.item import State
from pq_cli.spool.disk import layout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pq_cli.core.order import LaneName

    Place = tuple[str, str, State, int | None]
    """Folder, name of the payload, state, and of a pending item its priority."""

_BY_SECOND = (State.DELAYED, State.REMOVED)
_SEARCHED = (State.PENDING, State.ACTIVE, State.HELD, State.FAILED, State.DONE, *_BY_SECOND)
"""Where an item is looked for: the states with many folders come last."""


class Folders:
    """The folders of the spool at `root`; whether one is a link is asked once by a process.

    known: those that were found to be folders; callers ask it first.

    Guards against a spool that came with links in it, not against its owner changing it under
    our hands: who may write in a spool may do with it what he likes.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        self.known = {""}

    def is_real(self, folder: str) -> bool:
        """Tell whether no part of `folder` (relative) is anything but a folder, or missing."""
        if folder in self.known:
            return True
        if not self.is_real(os.path.dirname(folder)):
            return False
        try:
            info = os.lstat(f"{self.root}/{folder}")
        except (FileNotFoundError, NotADirectoryError):
            return True
        if stat.S_ISDIR(info.st_mode):
            self.known.add(folder)
            return True
        return False

    # -- which there are -------------------------------------------------------

    def of(
        self,
        state: State,
        *,
        lane: LaneName | None = None,
        item_id: int | None = None,
        latest_first: bool = False,
    ) -> Iterator[tuple[str, int | None]]:
        """Yield the folders of a state in order, each with the priority of its items or None.

        lane: only those of this one. item_id: only those in which this item may lie. latest_first:
        of delayed and of removed items.
        """
        if state is State.ACTIVE:
            yield str(state), None
            for limit in self.limits():
                yield layout.active_folder(limit), None
        elif state in _BY_SECOND:
            for folder in self._seconds(state, latest_first=latest_first):
                yield folder, None
        elif state is State.PENDING:
            for each in self.lanes() if lane is None else (lane,):
                for folder in self._blocks(layout.lane_folder(each), item_id):
                    yield folder, each[0]
        else:
            for folder in self._blocks(str(state), item_id):
                yield folder, None

    def homes(self, item_id: int) -> Iterator[Place]:
        """Yield every place where an item's payload or meta may lie."""
        stem = layout.stem(item_id)
        for state in _SEARCHED:
            for folder, lane in self.of(state, item_id=item_id):
                for name in self._claims_of(folder, stem) if state is State.ACTIVE else (stem,):
                    yield folder, name, state, lane

    def _claims_of(self, folder: str, stem: str) -> list[str]:
        names = (n.removesuffix(layout.ENDED) for n in self.names(folder))
        names = (name.removesuffix(layout.META) for name in names)
        return sorted({name for name in names if name.startswith(f"{stem}.")})

    def lanes(self) -> list[LaneName]:
        """Return the lanes that have a folder, most urgent first."""
        found = (layout.parse_lane(name) for name in self.names("pending"))
        return sorted(lane for lane in found if lane is not None)

    def limits(self) -> list[str]:
        """Return the limits that have a folder for what is active."""
        found = (layout.parse_limit(name) for name in self.names(layout.LIMITS))
        return sorted(limit for limit in found if limit is not None)

    def blocks(self, folder: str) -> list[int]:
        """Return the block numbers below a lane or state folder, ascending."""
        return [int(name) for name in self._numbered(folder, 7)]

    def _blocks(self, parent: str, item_id: int | None) -> Iterable[str]:
        if item_id is not None:
            return (f"{parent}/{layout.block_name(item_id // layout.BLOCK_SIZE)}",)
        return (f"{parent}/{name}" for name in self._numbered(parent, 7))

    def _seconds(self, state: State, *, latest_first: bool = False) -> Iterator[str]:
        """Yield the folders of delayed or of removed items, one second each, the earliest first."""
        step = -1 if latest_first else 1
        for coarse in self._numbered(str(state), 7)[::step]:
            for fine in self._numbered(f"{state}/{coarse}", 3)[::step]:
                yield f"{state}/{coarse}/{fine}"

    def _numbered(self, folder: str, width: int) -> list[str]:
        """Return the names that `layout.parse_number` reads, by their number."""
        # Thousands of names at a million items: hence no call for each of them.
        names = [n for n in self.names(folder) if n.isdigit() and n.isascii() and len(n) >= width]
        return sorted((n for n in names if len(n) == width or n[0] != "0"), key=int)

    # -- what lies in one ------------------------------------------------------

    def names(self, folder: str) -> list[str]:
        """Return the names in a folder, unsorted; none when it is missing or not a folder."""
        if not self.is_real(folder):
            return []
        try:
            return os.listdir(f"{self.root}/{folder}")
        except (FileNotFoundError, NotADirectoryError):
            return []

    def entries(self, folder: str) -> list[str]:
        """Return the names of the payloads whose metas are in a folder, by id."""
        if folder.startswith(State.ACTIVE):
            return [name for name, _ in self.active_names(folder)]
        return [layout.stem(item_id) for item_id in sorted(self.ids(folder))]

    def ids(self, folder: str) -> list[int]:
        """Return the ids whose metas are in a folder of any state but `active`, unsorted."""
        # A thousand at a time, and each item's once: hence no call for a name of the usual form.
        end, width = layout.META, layout.ID_DIGITS
        stems = [name[: -len(end)] for name in self.names(folder) if name.endswith(end)]
        usual = [s for s in stems if len(s) == width and s.isdigit() and s.isascii()]
        if len(usual) == len(stems):
            return list(map(int, usual))
        parsed = (layout.parse_name(stem) for stem in stems)
        return [found[0] for found in parsed if found is not None and found[1] is None]

    def active_names(self, folder: str) -> list[tuple[str, tuple[int, int]]]:
        """Return (name, (id, claim number)) of every item in a folder of active ones, by id."""
        found = []
        for name in self.names(folder):
            parsed = layout.parse_meta_name(name)
            if parsed is not None and parsed[1] is not None:
                found.append((name[: -len(layout.META)], (parsed[0], parsed[1])))
        return sorted(found, key=lambda entry: entry[1])


def owner_to_keep(root: str) -> tuple[int, int] | None:
    """Return (uid, gid) that new files get when root works in somebody else's spool, else None."""
    if os.geteuid() != 0:
        return None
    info = os.stat(root)
    return (info.st_uid, info.st_gid) if info.st_uid else None
