"""Mend: what `check --repair` does about each kind of finding. No payload byte is ever deleted."""

from __future__ import annotations

import os

from pq_cli.core.item import Item, State
from pq_cli.core.meta import encode
from pq_cli.errors import DamagedItemError
from pq_cli.spool.check.findings import Finding
from pq_cli.spool.check.pairs import home_of
from pq_cli.spool.disk import layout
from pq_cli.spool.disk.durable import Disk
from pq_cli.spool.disk.keys import Keys
from pq_cli.spool.disk.logs import remove_empty
from pq_cli.spool.disk.reader import Reader
from pq_cli.spool.disk.state import (
    RESERVE_STEP,
    Counter,
    DamagedStateError,
    new_state,
    read_state,
    write_state,
)
from pq_cli.spool.followers import link_again
from pq_cli.spool.quarantine import set_aside

_NO_PAYLOADS = ("meta", "state", "key", "config", "about", "log")
"""Kinds of files in `tmp/` that may be deleted. A `drop` is a copy, but of a payload."""


class Mender:
    """Mends one spool; every call under its lock, right after the finding was confirmed."""

    def __init__(self, disk: Disk, reader: Reader, keys: Keys, counter: Counter) -> None:
        self._disk = disk
        self._reader = reader
        self._keys = keys
        self._counter = counter
        self._asides: list[str] = []

    def mend(self, finding: Finding) -> Finding:
        """Return the finding, `mended` if it was, with what it moved to quarantine."""
        self._asides.clear()
        remedy = getattr(self, f"_mend_{finding.kind}", None)
        if remedy is None:
            return finding
        self._counter.refresh()
        self._counter.mark()  # every process is to forget what it remembers of the spool
        if remedy(finding) is False:
            return finding
        return finding.replace(mended=True, aside=tuple(self._asides))

    # -- one remedy for each kind; False: nothing can be done --------------------

    def _mend_tmp(self, finding: Finding) -> None:
        if os.path.basename(finding.path).partition("-")[0] in _NO_PAYLOADS:
            self._disk.discard(finding.path)
        else:
            self._aside(finding.path, finding.detail)

    def _mend_ended(self, finding: Finding) -> None:
        self._disk.sync_dir(os.path.dirname(finding.path))
        self._disk.discard(finding.path)
        self._disk.discard(finding.path + layout.META)  # if it says so itself

    def _mend_behind(self, finding: Finding) -> bool | None:
        home = home_of(self._reader, finding.id or 0)
        if home is None:
            return False
        self._disk.rename(finding.path, home)
        self._disk.sync_dir(os.path.dirname(home))
        self._disk.sync_dir(os.path.dirname(finding.path))
        return None

    def _mend_ahead(self, finding: Finding) -> None:
        item = self._item_at(finding.path.removesuffix(layout.META))
        self._disk.replace(layout.tmp_name("meta"), finding.path, encode(item))
        self._disk.sync_dir(os.path.dirname(finding.path))

    def _mend_key(self, finding: Finding) -> None:
        self._disk.discard(finding.path)
        self._disk.sync_dir(layout.KEYS)

    def _mend_unmarked(self, finding: Finding) -> None:
        item = self._item_at(finding.path)
        if item.key is not None:
            self._keys.give(item.key, item.id)

    def _mend_follower(self, finding: Finding) -> None:
        self._disk.discard(finding.path)
        self._disk.remove_dir(os.path.dirname(finding.path))

    def _mend_unlinked(self, finding: Finding) -> None:
        state = read_state(self._disk.root)
        if state is not None and not state.after:  # before there are links: see `doors.reserving`
            write_state(self._disk, state.replace(after=True))
        link_again(self._disk, self._item_at(finding.path))

    def _mend_empty(self, finding: Finding) -> bool:
        return self._disk.remove_dir(finding.path)

    def _mend_meta(self, finding: Finding) -> bool | None:
        """Set meta and payload aside, the meta first; False while somebody works on the item."""
        path = finding.path.removesuffix(layout.META)
        if path.startswith("active/") and finding.kind != "meta":
            return False
        soon = layout.untold_path(finding.id or 0) + layout.SOON
        if os.path.lexists(f"{self._disk.root}/{soon}"):  # it has not ended as that says
            self._disk.discard(soon)
            self._disk.sync_dir(layout.UNTOLD)
        self._aside(path, finding.detail, pair=True)
        return None

    _mend_missing = _mend_torn = _mend_superseded = _mend_meta

    def _mend_log(self, finding: Finding) -> None:
        self._disk.discard(finding.path)
        remove_empty(self._disk, os.path.dirname(finding.path))

    def _mend_worker(self, finding: Finding) -> None:
        self._disk.discard(finding.path)

    def _mend_twice(self, finding: Finding) -> None:
        places = list(self._reader.places(finding.id or 0))
        places.sort(key=lambda place: self._recency("/".join(place[:2])))
        keep = "/".join(places[-1][:2])
        for folder, name, *_ in places[:-1]:
            self._yield_to(keep, f"{folder}/{name}")
            remove_empty(self._disk, folder)

    def _yield_to(self, keep: str, path: str) -> None:
        """Set a second meta aside, and its payload, unless the kept one has none."""
        why = f"the item also lies in {keep}, changed later"
        if self._reader.size_of(path) is None or self._reader.size_of(keep) is not None:
            self._aside(path, why, pair=True)
            return
        self._aside(path + layout.META, why)
        self._disk.rename(path, keep)
        self._disk.sync_dir(os.path.dirname(keep))

    def _mend_misplaced(self, finding: Finding) -> None:
        item = self._item_at(finding.path)
        home = layout.payload_path(item)
        if self._reader.occupied(home) or any(self._reader.places(item.id)):
            self._mend_meta(finding)
            return
        self._disk.make_dir(layout.folder_of(item))
        for end in ("", layout.META):
            if os.path.lexists(f"{self._disk.root}/{finding.path}{end}"):
                self._disk.rename(finding.path + end, home + end)
        self._disk.sync_dir(layout.folder_of(item))
        self._disk.sync_dir(os.path.dirname(finding.path))

    def _mend_foreign(self, finding: Finding) -> None:
        self._aside(finding.path, finding.detail)
        if finding.path in layout.FOLDERS:
            self._mend_folder(finding)

    _mend_orphan = _mend_foreign

    def _mend_folder(self, finding: Finding) -> None:
        self._disk.make_dir(finding.path)
        self._disk.sync_dir("")

    def _mend_mode(self, finding: Finding) -> bool | None:
        if finding.kind == "owner" and os.geteuid() != 0:
            return False
        self._disk.own(finding.path)
        return None

    _mend_owner = _mend_mode

    def _mend_counter(self, finding: Finding) -> None:
        try:
            state = read_state(self._disk.root) or new_state()
        except DamagedStateError:
            self._aside(layout.STATE, finding.detail)
            state = new_state()
        # Ids beyond those we see may have been given and ended since: hence a whole step more.
        last = max(self._counter.last_id or 0, state.reserved_id, finding.id or 0)
        reserved = (last // RESERVE_STEP + 2) * RESERVE_STEP
        self._counter.write(last + RESERVE_STEP)
        after = os.path.lexists(f"{self._disk.root}/{layout.AFTER}")
        write_state(self._disk, state.replace(reserved_id=reserved, after=after))
        self._counter.let_give(reserved)

    # -- what they share -------------------------------------------------------

    def _item_at(self, path: str) -> Item:
        folder, name = os.path.split(path)
        return self._reader.read(folder, name, *layout.state_of(folder))

    def _recency(self, path: str) -> tuple[bool, float, int]:
        """Return what the places of one item are sorted by: the last one is to be kept."""
        try:
            item = self._item_at(path)
        except (FileNotFoundError, DamagedItemError):
            return (False, 0.0, 0)
        return (item.state is not State.REMOVED, item.updated_at, item.claims)

    def _aside(self, path: str, why: str, *, pair: bool = False) -> None:
        name = set_aside(self._disk, path, why, pair=pair)
        if name is not None:
            self._asides.append(name)
