"""Followers: `after/PARENT/CHILD` is a link for each item that waits for another, or fell with it.

It is there before the item waits, and goes when that waits no longer; a link that is left over
names an item to which nothing is told. Before the end of an item that has followers counts,
`after/untold/PARENT` says so, durably; it goes when they have been told, durably, too. So whoever
finds one, tells.

Before the lock that mark is made as `PARENT.soon`, durably; a rename under the lock makes it the
mark. Nobody heeds it before that, unless the item has ended: then a power loss has taken the rename
back. Whatever else ends the item does away with it; who has lost it makes another.

A spool in which no item ever came after another has none of this; `state.json` says so (`after`),
and nobody looks for it.
"""

from __future__ import annotations

import os

from pq_cli.core import transitions
from pq_cli.core.item import State
from pq_cli.errors import DamagedItemError, NoSuchItemError
from pq_cli.spool.disk import layout
from pq_cli.spool.disk.durable import Disk
from pq_cli.spool.disk.lock import Afterwards
from pq_cli.spool.disk.reader import Reader
from pq_cli.spool.disk.spare import Spare

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from pq_cli.core.item import Item
    from pq_cli.queue.store import Changes


def link_again(disk: Disk, item: Item) -> None:
    """Link an item with those that it waits for, durably; how they stand is to be told it."""
    parents = _links(item)
    _tie(disk, item.id, parents, sync=True)
    for mark in map(layout.untold_path, parents):
        if not os.path.lexists(f"{disk.root}/{mark}"):  # that may say more
            _mark(disk, mark, "unknown")


def unlinked(reader: Reader, item: Item) -> list[int]:
    """Return the items that an item waits for, and with which it is not linked."""
    links = {parent: layout.follower_path(parent, item.id) for parent in transitions.ties(item)}
    return [n for n, link in links.items() if not os.path.lexists(f"{reader.root}/{link}")]


def _links(item: Item) -> tuple[int, ...]:
    """Return the items with which an item is linked.

    One that was told half way waits for none: it is linked with itself, until it goes on.
    """
    return (item.id,) if transitions.half_told(item) else transitions.ties(item)


def _tie(disk: Disk, item_id: int, parents: Sequence[int], *, sync: bool = False) -> None:
    """Let an item be told how others end; unless `sync`, their folders are still to be synced."""
    for parent in parents:
        path = layout.follower_path(parent, item_id)
        disk.link_text(path, str(item_id), layout.tmp_name("after"), sync=sync)


def _mark(disk: Disk, path: str, how: str, *, sync: bool = True) -> str:
    """Take note, durably, that an item's followers are to be told; return the text of the mark."""
    tmp = layout.tmp_name("after")
    text = f"{how}.{tmp.rpartition('-')[2]}"
    disk.link_text(path, text, tmp, sync=sync)
    return text


# -- ahead: without the lock, by what seems so for a moment ---------------------------


def followers_of(reader: Reader, item_id: int) -> list[int]:
    """Return the items that wait for this one."""
    parsed = map(layout.parse_id, reader.names(layout.followers_folder(item_id)))
    return sorted(follower for follower in parsed if follower is not None)


def _standings(reader: Reader, ids: Iterable[int]) -> dict[int, State]:
    """Return how those of the items stand that are there."""
    known: dict[int, State] = {}
    for item_id in ids:
        try:
            item = reader.find(item_id)
            known[item_id] = transitions.standing(item.state, item.was)
        except NoSuchItemError:
            pass
        except DamagedItemError:
            known[item_id] = State.PENDING  # until somebody has dealt with it
    return known


def follow(reader: Reader, changes: Changes, now: Callable[[], float]) -> dict[int, State]:
    """Add to changes what those become that come after the items, and who comes after these.

    Return how the items that others come after will stand.
    """
    anew = ((before.id, transitions.stands_anew(before, after)) for before, after in changes)
    stands = {item_id: how for item_id, how in anew if how is not None}
    awaited: dict[int, State] = {}
    told = set[int]()
    for before, _ in changes:  # it grows
        for follower in followers_of(reader, before.id) if before.id in stands else ():
            awaited[before.id] = stands[before.id]
            if follower in told:
                continue
            told.add(follower)
            try:
                item = reader.find(follower, 0)
            except (NoSuchItemError, DamagedItemError):
                continue
            known = _standings(reader, set(item.after).difference(stands))
            after = transitions.told(item, known | stands, now())
            if after is not item:
                changes.append((item, after))
            if (how := transitions.stands_anew(item, after)) is not None:
                stands[follower] = how
    return awaited


def mark_ahead(disk: Disk, stands: Mapping[int, State], marks: dict[str, str]) -> None:
    """Mark the items that are about to stand so, durably; the texts go to `marks`, by path."""
    for item_id, how in stands.items():
        path = layout.untold_path(item_id) + layout.SOON
        marks[path] = _mark(disk, path, how, sync=False)
    if stands:
        disk.sync_dir(layout.UNTOLD)


class Followers:
    """The index of one spool; see `queue.followers.Followers`. Changed under the lock only.

    untold: filled with whom to tell of. foreseen: has the texts of marks that were made ahead, by
    path. forget: is called when a change has stopped half way; then there is another index.
    """

    def __init__(
        self,
        reader: Reader,
        disk: Disk,
        spare: Spare,
        untold: dict[int, State | None],
        foreseen: Mapping[int | str, str],
        forget: Callable[[], None],
    ) -> None:
        self.untold = untold
        self._reader = reader
        self._disk = disk
        self._spare = spare
        self._foreseen = foreseen
        self._forget = forget
        self._seen = False
        self._marks: dict[int, str] = {}
        self._found: set[int] = set()
        self._told: list[int] = []

    def of(self, item_id: int) -> list[int]:
        """Return the items that wait for this one; for those who only look, too."""
        return followers_of(self._reader, item_id)

    def stand(self, ids: Sequence[int], *, fixed: bool = False) -> dict[int, State]:
        """Return how items stand; under the lock they stand so until its end, `fixed` or not."""
        self.look()
        untold = ((item_id, self.untold.get(item_id)) for item_id in ids)
        gone = {item_id: how for item_id, how in untold if how is not None}
        return gone | _standings(self._reader, ids)

    def refused(self, error: OSError) -> None:
        """Leave the rest to others."""
        self._forget()  # the marks stay: the next claim goes on from them

    def look(self) -> None:
        """Look for what others have left untold; once, until others write."""
        if self._seen:
            return
        self._seen = True
        names = self._reader.names(layout.UNTOLD)
        for name in names:
            stem = name.removesuffix(layout.SOON)
            item_id = layout.parse_id(stem)
            if item_id is None or (stem != name and (stem in names or not self._late(item_id))):
                continue
            text = self._read(layout.untold_path(item_id))
            self._marks[item_id] = text
            self._found.add(item_id)
            how = text.partition(".")[0]
            self.untold[item_id] = next((state for state in State if state == how), None)

    def _late(self, item_id: int) -> bool:
        """Let a mark count that was made ahead of an end which has come; tell whether it has.

        One that was made for what was gone by then is removed: its followers know how it went.
        """
        path, how = layout.untold_path(item_id), _standings(self._reader, [item_id]).get(item_id)
        if how is State.PENDING:
            return False
        if how is None and not any(map(self._unaware, self.of(item_id))):
            self._disk.discard(path + layout.SOON)
            return False
        self._heed(path)
        return True

    def _unaware(self, follower: int) -> bool:
        """Tell whether an item was told nothing of those that are gone."""
        try:
            item = self._reader.find(follower)
        except (NoSuchItemError, DamagedItemError):
            return False
        return transitions.told(item, _standings(self._reader, item.after), 0.0) is not item

    def _read(self, path: str) -> str:
        try:
            return os.readlink(f"{self._reader.root}/{path}")
        except OSError:
            return ""

    # -- changes ---------------------------------------------------------------

    def relink(self, unsynced: bool) -> None:
        """Link what waits where a power loss has taken a link away; once in a boot.

        unsynced: it may have taken marks, too, so all are to be told, and those that fell.
        """
        states = (State.HELD, State.FAILED) if unsynced else (State.HELD,)
        for state in states:
            for folder, _ in self._reader.of(state):
                for item in self._reader.items(folder, state):
                    if unsynced or unlinked(self._reader, item):
                        link_again(self._disk, item)

    def _heed(self, path: str) -> str | None:
        """Let a mark count that was made ahead, if there is one; return its text, if it is ours.

        Another's need not be durable.
        """
        try:
            self._disk.rename(path + layout.SOON, path)
        except FileNotFoundError:
            return None
        text = self._read(path)
        return text if text == self._foreseen.get(path + layout.SOON) else None

    def heed(self, before: Item | None, after: Item | None, later: Afterwards) -> None:
        """Before an item changes, let the index follow; None: it is new, or will be gone.

        Those that wait for it are to be told, if it stands otherwise for them from now on. later:
        what is to be done when the lock is free.
        """
        new = transitions.ties(after)
        if after is not None and new:
            self._spare.behind(_tie, self._disk, after.id, new)
            for parent in new:
                later.sync(layout.followers_folder(parent))
        if before is None:
            return
        left = set(_links(before)).difference(new)
        if left:
            later.untied.append((before.id, sorted(left)))
        stands = transitions.stands_anew(before, after)
        if stands is not None:
            self._spare.behind(self._mark, before.id, stands)

    def let_go(self, after: Afterwards) -> None:
        """Remove the links and marks that a transaction has left, now that it is durable."""
        for item_id, parents in after.untied:
            self._untie(item_id, parents)
        for item_id, text in after.told.items():
            path = layout.untold_path(item_id)
            if self._read(path) == text:  # else others have made it anew
                self._disk.discard(path)

    def _mark(self, item_id: int, how: State) -> None:
        """Have an item's followers told, if it has any; how: it stands, should it be gone."""
        self.look()
        if self.of(item_id):
            path = layout.untold_path(item_id)
            text = self._heed(path)
            if text is None or text.partition(".")[0] != how:
                text = _mark(self._disk, path, how)
            self._marks[item_id] = text
            self.untold[item_id] = how

    def told(self, item_id: int) -> None:
        """Let an item's mark go as soon as what was told is durable."""
        self.untold.pop(item_id, None)
        self._told.append(item_id)

    def settled(self, later: Afterwards) -> None:
        """Let the marks go of those whose followers were told, as soon as that is durable.

        What was done by a mark of others, they may not have synced: they died, or are about to.
        """
        for item_id in self._told:
            later.told[item_id] = self._marks.pop(item_id, "")
            if item_id in self._found:
                for follower in self.of(item_id):
                    for folder, *_ in self._reader.places(follower):
                        later.sync(folder)
        self._told.clear()

    def _untie(self, item_id: int, parents: Sequence[int]) -> None:
        """Remove the links of an item that waits for those no longer, unless it does so again.

        Or unless what it was told has stopped half way: by its link it is found and told again.
        """
        try:
            item = self._reader.find(item_id)
            again = parents if transitions.half_told(item) else transitions.ties(item)
        except (NoSuchItemError, DamagedItemError):
            again = ()
        for parent in set(parents).difference(again):
            self._disk.discard(layout.follower_path(parent, item_id))
            self._disk.remove_dir(layout.followers_folder(parent))
