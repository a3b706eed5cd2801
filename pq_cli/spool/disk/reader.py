"""Looking at a spool: which folders there are, what lies in them, what a meta says.

Never writes, never locks, follows no symbolic link. What is looked at may change under our hands;
a file that is gone means that the item has moved on, and is left out or looked for again.
"""

from __future__ import annotations

import errno
import os
import stat

from pq_cli.core.item import ACTIVE, PENDING, Item, State, printable
from pq_cli.core.jsonio import parse_edited
from pq_cli.core.meta import MAX_META_BYTES, EndedError, decode
from pq_cli.errors import DamagedItemError, NoSuchItemError
from pq_cli.opened import FOUND, named
from pq_cli.spool.disk import layout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from pq_cli.core.order import LaneName

    Place = tuple[str, str, State, int | None]
    """Folder, name of the payload, state, and of a pending item its priority."""
    Named = tuple[str, tuple[int, int | None]]
    """Name of the payload, and what it says: id, and claim number where it is active."""


_WHOLE = b"}\n"
"""How every meta of ours ends, and no part of one does: without asking for its size."""
_LOOKS = 10
"""How often an item is looked for that is on the move whenever it is."""
_USUAL = 8192
"""Bytes that nearly every meta fits in; asking for the limit at once would allocate it."""
_BY_SECOND = (State.DELAYED, State.REMOVED)
_SEARCHED = (State.PENDING, State.ACTIVE, State.HELD, State.FAILED, State.DONE, *_BY_SECOND)
"""Where an item is looked for: the states with many folders come last."""


class HasEndedError(FileNotFoundError):
    """There is a meta, but it says that its item has ended: as good as gone."""


class Reader:
    """Read access to the spool at `root`; whether a folder is a link is asked once by a process.

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
        return [name for name, _ in self._named(folder)]

    def _named(self, folder: str) -> Sequence[Named]:
        if folder.startswith(State.ACTIVE):
            metas = (name for name in self.names(folder) if name.endswith(layout.META))
            parsed = filter(None, map(layout.parse_meta_name, metas))
            claims = sorted((item_id, claim) for item_id, claim in parsed if claim is not None)
            return [(f"{layout.stem(claim[0])}.{claim[1]}", claim) for claim in claims]
        return [(name, (int(name), None)) for name in sorted(self._stems(folder), key=int)]

    def ids(self, folder: str) -> list[int]:
        """Return the ids whose metas are in a folder of any state but `active`, unsorted."""
        return list(map(int, self._stems(folder)))

    def _stems(self, folder: str) -> list[str]:
        # A thousand at a time, and each item's once: hence no call for a name of the usual form.
        end, width = layout.META, layout.ID_DIGITS
        stems = [name[: -len(end)] for name in self.names(folder) if name.endswith(end)]
        usual = [s for s in stems if len(s) == width and s.isdigit() and s.isascii()]
        if len(usual) == len(stems):
            return usual
        return [stem for stem in stems if layout.parse_id(stem) is not None]

    def items(
        self,
        folder: str,
        state: State,
        priority: int | None = None,
        report: Callable[[DamagedItemError], None] | None = None,
        ended: list[str] | None = None,
    ) -> Iterator[Item]:
        """Yield the items in a folder by id; left out is what moves on meanwhile.

        report: called with the error of each that cannot be read. ended: gets the paths of those
        that say that they have ended.
        """
        limit = layout.limit_of(folder)
        for each in self._named(folder):
            try:
                yield self._placed(folder, each, state, priority, limit)
            except HasEndedError:
                if ended is not None:
                    ended.append(f"{folder}/{each[0]}")
            except FileNotFoundError:
                continue
            except DamagedItemError as error:
                if report is not None:
                    report(error)

    # -- one item ----------------------------------------------------------

    def read(self, folder: str, name: str, state: State, priority: int | None) -> Item:
        """Return the item whose payload is `folder/name`.

        Raises FileNotFoundError when its meta is not there, DamagedItemError when unreadable.
        """
        parsed = layout.parse_name(name)
        if parsed is None:
            path = printable(f"{folder}/{name}{layout.META}")
            raise DamagedItemError(f"{path}: not the name of an item")
        return self._placed(folder, (name, parsed), state, priority, layout.limit_of(folder))

    def _placed(
        self, folder: str, named: Named, state: State, priority: int | None, limit: str | None
    ) -> Item:
        """Return an item as its meta says, where its place says nothing else."""
        name, (item_id, claim) = named
        item = self.read_at(f"{folder}/{name}", item_id, state, priority, limit)
        if state is State.ACTIVE and claim is not None and item.claims != claim:
            # The claim's meta was renamed here but not yet rewritten: it names no holder.
            item = item.replace(claims=claim, holder=None, lease_until=None)
        elif state is State.DELAYED and int(item.not_before or -1) != layout.second_of(folder):
            # It was about to move when a crash came, or was put here by hand: the place wins.
            item = item.replace(not_before=float(layout.second_of(folder)))
        elif state is State.REMOVED:
            item = item.replace(kept_until=float(layout.second_of(folder)))
        return item

    def read_at(
        self, path: str, item_id: int, state: State, priority: int | None, limit: str | None
    ) -> Item:
        """Return what the meta beside the payload `path` says, but for what its place does.

        limit: that of the place, of a pending or active item. Raises like `read`.
        """
        whole, meta = f"{self.root}/{path}", path + layout.META
        while True:
            text = self.meta_text(meta, item_id)
            try:
                item = decode(
                    text, item_id=item_id, state=state, priority=priority, where=meta, path=whole
                )
                if state in (PENDING, ACTIVE) and item.limit != limit:
                    item = item.replace(limit=limit)  # the place wins
                return item
            except EndedError:
                raise HasEndedError(errno.ENOENT, "the item has ended", whole) from None
            except DamagedItemError:
                # A claim that is written over it just now may be seen half.
                if text == self.meta_text(meta, item_id):
                    raise

    def said(self, item: Item) -> object:
        """Return the state that the meta of an item names; where it lies counts more."""
        path = f"{layout.payload_path(item)}{layout.META}"
        return parse_edited(self.meta_text(path, item.id)).get("state")

    def meta_text(self, path: str, item_id: int) -> bytes:
        """Return the text of a meta. Raises FileNotFoundError, DamagedItemError."""
        if not self.is_real(path.rpartition("/")[0]):
            raise DamagedItemError(f"item {item_id}: {path}: a part of it is a link or no folder")
        try:
            fd = os.open(f"{self.root}/{path}", FOUND)
            try:
                text = os.pread(fd, _USUAL, 0)
                whole = text.endswith(_WHOLE) and len(text) < _USUAL
                return text if whole else _whole_text(fd)
            finally:
                os.close(fd)
        except FileNotFoundError:
            raise
        except ValueError as error:
            raise DamagedItemError(f"item {item_id}: {path} {error}") from None
        except OSError as error:
            raise DamagedItemError(f"item {item_id}: {path}: {error.strerror}") from None

    def places(self, item_id: int) -> Iterator[Place]:
        """Yield each place where an item has a meta: one, if all is well."""
        return (place for place in self.homes(item_id) if self._exists(place[0], place[1]))

    def has_meta(self, path: str) -> bool:
        """Tell whether an item is at `path`, also where that cannot be seen: a disk may be away."""
        try:
            os.lstat(f"{self.root}/{path}{layout.META}")
        except FileNotFoundError:
            return False
        except OSError:
            pass
        return True

    def _exists(self, folder: str, name: str) -> bool:
        if not self.is_real(folder):
            return False
        try:
            os.lstat(f"{self.root}/{folder}/{name}{layout.META}")
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def occupied(self, path: str) -> bool:
        """Tell whether a payload or meta lies at `path` already: a new item must not replace it.

        Ids are never given twice (see `state.allocate`); this is the belt to those braces.
        """
        whole = f"{self.root}/{path}"
        return os.path.lexists(whole) or os.path.lexists(whole + layout.META)

    def find(self, item_id: int, claim: int | None = None) -> Item:
        """Return an item wherever it lies. Raises NoSuchItemError, DamagedItemError.

        Costs one look for each place an item can be in, not one for each item. An item that
        moves meanwhile is looked for again.
        """
        for _ in range(_LOOKS):
            name = f"{layout.stem(item_id)}.{claim}"
            try:
                for folder, _ in self.of(State.ACTIVE) if claim is not None else ():
                    if self._exists(folder, name):
                        found = (name, (item_id, claim))
                        limit = layout.limit_of(folder)
                        return self._placed(folder, found, ACTIVE, None, limit)
                place = next(self.places(item_id), None)
                if place is not None:
                    return self.read(*place)
            except HasEndedError:
                break
            except FileNotFoundError:
                continue
        raise NoSuchItemError(f"there is no item {item_id} in {self.root}")

    # -- without opening anything ---------------------------------------------

    def stray_payload(self, item_id: int, home: str) -> str | None:
        """Return the path of a payload that lies away from its meta's place `home`, or None.

        A crash between the two renames of a move leaves it in the folder of the state before; a
        power loss that takes the end of an item back, under the name of one that has ended.
        """
        for folder, name, *_ in self.homes(item_id):
            place = f"{folder}/{name}"
            if place != home and self.size_of(place) is not None and not self._exists(folder, name):
                return place
            if self.size_of(place + layout.ENDED) is not None:
                return place + layout.ENDED
        return None

    def count(self, states: Iterable[State]) -> int:
        """Return the number of items in `states` by listing their folders, opening nothing."""
        folders = (folder for state in states for folder, _ in self.of(state))
        return sum(name.endswith(layout.META) for folder in folders for name in self.names(folder))

    def size_of(self, path: str) -> int | None:
        """Return the payload's size in bytes, or None when it is missing or no regular file."""
        if not self.is_real(path.rpartition("/")[0]):
            return None
        try:
            info = os.lstat(f"{self.root}/{path}")
        except (FileNotFoundError, NotADirectoryError):
            return None
        return info.st_size if stat.S_ISREG(info.st_mode) else None


def _whole_text(fd: int) -> bytes:
    """Return the text of an open meta of any form. Raises ValueError saying what is wrong."""
    for _ in range(3):  # a claim may be written at its end just now
        size = os.fstat(fd).st_size
        if not size:
            raise ValueError("is empty")
        if size > MAX_META_BYTES:
            raise ValueError(f"is over {MAX_META_BYTES} bytes")
        text = os.pread(fd, size + 1, 0)
        if len(text) == size:
            return text
    raise ValueError("is not a whole file")


def beginning(path: str, most: int) -> bytes:
    """Return the first bytes of a file, `most` at the most; a link is an error, a pipe is empty."""
    fd = os.open(path, FOUND)
    try:
        return os.read(fd, most)
    except BlockingIOError:
        return b""
    except OSError as error:
        raise named(error, fd, path) from None
    finally:
        os.close(fd)
