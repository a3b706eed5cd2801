"""A payload and its meta: what can be wrong with the two, for `check`."""

from __future__ import annotations

import os

from pq_cli.core.item import LIVE, Item, State
from pq_cli.core.jsonio import parse_edited
from pq_cli.errors import DamagedItemError, NoSuchItemError
from pq_cli.opened import FOUND, Opened, checksum_of
from pq_cli.spool.check.findings import Finding
from pq_cli.spool.disk import layout
from pq_cli.spool.disk.durable import SMALL
from pq_cli.spool.disk.keys import Keys
from pq_cli.spool.disk.reader import HasEndedError, Reader
from pq_cli.spool.followers import unlinked


class Pairs:
    """Looks at pairs of one spool; reads every payload whole, but each big one only once."""

    def __init__(self, reader: Reader, keys: Keys) -> None:
        self._reader = reader
        self._keys = keys
        self._big: dict[tuple[int, int, int], bool] = {}

    def look(self, folder: str, stem: str) -> list[Finding]:
        """Return what is wrong with the payload `folder/stem` and its meta; [] if both are gone."""
        path = f"{folder}/{stem}"
        item_id = (layout.parse_name(stem) or (0, None))[0]
        if not os.path.lexists(f"{self._reader.root}/{path}{layout.META}"):
            return self._without_meta(path, item_id)
        state, lane = layout.state_of(folder)
        try:
            text = self._reader.meta_text(f"{path}{layout.META}", item_id)
            item = self._reader.read(folder, stem, state, lane)
        except HasEndedError:
            return [_finding("ended", path, item_id, "says that its item has ended")]
        except FileNotFoundError:
            return []
        except DamagedItemError as error:
            return [Finding(kind="meta", path=path + layout.META, id=item_id, detail=str(error))]
        found = []
        if layout.payload_path(item) != path:
            belongs = layout.folder_of(item)
            found.append(_finding("misplaced", path, item_id, f"belongs in {belongs}"))
        elif state is State.REMOVED:
            pass  # it says what it was
        elif (said := parse_edited(text).get("state", str(state))) != str(state):
            found.append(_finding("ahead", path + layout.META, item_id, f"says {str(said)[:20]!r}"))
        return found + self._ties(item, path) + self._payload(item, path) + self._key(item, path)

    def _without_meta(self, path: str, item_id: int) -> list[Finding]:
        if not os.path.lexists(f"{self._reader.root}/{path}"):
            return []
        follows = f"{layout.HANDOVER}/{layout.stem(item_id)}{layout.META}"
        if os.path.lexists(f"{self._reader.root}/{follows}"):
            return []
        home = home_of(self._reader, item_id)
        if home is None:
            return [_finding("orphan", path, item_id, "has no meta")]
        if self._reader.size_of(home) is not None:
            return [_finding("orphan", path, item_id, f"the item has its payload in {home}")]
        return [_finding("behind", path, item_id, f"belongs in {home}")]

    def _payload(self, item: Item, path: str) -> list[Finding]:
        try:
            with Opened(os.open(f"{self._reader.root}/{path}", FOUND)) as fd:
                wrong = self._content(item, fd)
        except FileNotFoundError:
            if self._reader.stray_payload(item.id, path) is not None:
                return []  # told where it lies
            return [_finding("missing", path, item.id, "is missing")]
        except OSError as error:
            wrong = error.strerror
        return [_finding("torn", path, item.id, wrong)] if wrong else []

    def _content(self, item: Item, fd: int) -> str | None:
        """Return what is wrong with an open payload."""
        info = os.fstat(fd)
        if info.st_size != item.size:
            return f"has {info.st_size} bytes, should have {item.size}"
        # A big one is read without the lock only; what lies under the same name is the same.
        identity = (info.st_ino, info.st_size, info.st_mtime_ns)
        torn = self._big.get(identity)
        if torn is None:
            torn = item.checksum is not None and checksum_of(fd) != item.checksum
            if info.st_size > SMALL:
                self._big[identity] = torn
        return "fails its checksum" if torn else None

    def _ties(self, item: Item, path: str) -> list[Finding]:
        """Look whether an item that waits is linked with those that it waits for."""
        missing = unlinked(self._reader, item)
        detail = f"waits for item {', '.join(map(str, missing))}, which does not know"
        return [_finding("unlinked", path, item.id, detail)] if missing else []

    def _key(self, item: Item, path: str) -> list[Finding]:
        if item.key is None or item.state not in LIVE:
            return []
        owner = self._keys.owner(item.key)
        if owner is None:
            return [_finding("unmarked", path, item.id, f"key {item.key!r} has no link")]
        if owner.id != item.id:
            return [_finding("superseded", path, item.id, f"by item {owner.id}")]
        return []


def home_of(reader: Reader, item_id: int) -> str | None:
    """Return where an item's payload belongs: beside its meta; or None."""
    try:
        return layout.payload_path(reader.find(item_id))
    except (NoSuchItemError, DamagedItemError):
        return None


def _finding(kind: str, path: str, item_id: int, detail: str) -> Finding:
    return Finding(kind=kind, path=path, id=item_id, detail=detail)
