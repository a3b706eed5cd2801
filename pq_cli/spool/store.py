"""SpoolStore: a `Store` that is a directory. See `queue.store` for what each method promises."""

from __future__ import annotations

import os
import time
from itertools import chain

from pq_cli.core.item import ACTIVE, LIVE, Item, State, printable
from pq_cli.errors import DamagedItemError, UsageError
from pq_cli.queue.looking import POLL
from pq_cli.spool.claims.claims import SpoolClaims, claim_ended, claim_made
from pq_cli.spool.disk import layout
from pq_cli.spool.disk.payload import open_verified, read_verified
from pq_cli.spool.disk.spare import is_full
from pq_cli.spool.disk.state import present_state, spool_uuid
from pq_cli.spool.doors.staging import SpoolAdmits
from pq_cli.spool.files import Files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from typing import Any, BinaryIO, TypeVar

    from pq_cli.core.insight.fact import Fact
    from pq_cli.core.insight.shape import Backlog
    from pq_cli.core.policy import QueueState
    from pq_cli.queue.store import Changes, Foreseen
    from pq_cli.spool.claims.claims import Attendance
    from pq_cli.spool.doors.arrivals import Arrivals
    from pq_cli.spool.doors.dropbox import Dropbox
    from pq_cli.spool.eventtail import LogTail
    from pq_cli.spool.followers import Followers

    T = TypeVar("T")


class SpoolStore(SpoolAdmits, SpoolClaims):
    """The items of one spool.

    clock: returns Unix seconds. limits: those of a policy that the queue was given; None: of its
    queue.toml.
    """

    def __init__(
        self,
        files: Files,
        clock: Callable[[], float],
        limits: Mapping[str, int] | None = None,
    ) -> None:
        self.files = files
        self.now = clock
        self.given = limits
        self.name = self.where = files.root
        self.untold = files.untold
        self._dropbox: Dropbox | None = None
        self._foretold: dict[int, tuple[Item, Item]] = {}
        self._ready = {}
        self._raised = {}

    @property
    def followers(self) -> Followers:
        return self.files.followers

    def transaction(self) -> AbstractContextManager[None]:
        return self.files

    def state(self) -> QueueState:
        return self.files.state if self.files.held else present_state(self.files.root)

    def set_state(self, state: QueueState) -> None:
        self.files.set_state(self.files.state.replace(**state.__dict__))

    def policy(self) -> str:
        from pq_cli.spool.disk.state import read_policy

        return read_policy(self.files.root)

    def set_policy(self, text: str) -> None:
        disk = self.files.disk
        disk.replace(layout.tmp_name("config"), layout.CONFIG, text.encode())
        disk.sync_dir("")

    # -- finding -----------------------------------------------------------------

    def find(self, item_id: int, claim: int | None = None) -> Item:
        # Who ends a claim has most often made it, and then remembers what it says.
        files = self.files
        known = files.index.active_item(item_id) if files.held else None
        if known is None or claim not in (None, known.claims) or not self._stands(known):
            return files.reader.find(item_id, claim)
        return known

    def _stands(self, item: Item) -> bool:
        """Tell whether an item is where it was found, also where that cannot be seen."""
        return self.files.reader.has_meta(self.files.place(item))

    def owner(self, key: str) -> Item | None:
        return self.files.keys.owner(key)

    def overdue(self, now: float) -> Iterator[tuple[Item, str]]:
        self.finish_handover()
        if self.files.state.after:
            self.files.followers.look()
        return self._overdue(now)

    def finish_handover(self) -> None:
        """Finish what a crash cut short on its way in."""
        if os.path.lexists(f"{self.files.root}/{layout.HANDOVER}"):
            from pq_cli.spool.doors.handover import finish  # start-up: nearly never there

            finish(self.files)

    def idle(self, seconds: float) -> None:
        time.sleep(min(POLL, seconds))

    def ear(self) -> None:
        """Nobody tells what comes."""

    def look_in(self) -> None:
        try:
            if not self.files.reader.names(layout.NEW):
                return
            if self._dropbox is None:
                from pq_cli.spool.doors.dropbox import Dropbox  # start-up: nearly never needed

                self._dropbox = Dropbox(self.files)
            self._dropbox.pick_up(self.now())
        except OSError as error:
            if not is_full(error):  # a full disk must not keep what is there from being claimed
                raise

    def attend(self) -> Attendance:
        from pq_cli.spool.removals import sweep_ended  # start-up: for pools

        sweep_ended(self.files, (folder for folder, _ in self.files.reader.of(ACTIVE)))
        return super().attend()

    # -- keeping -----------------------------------------------------------------

    def put(self, before: Item, after: Item, *, later: bool = False) -> Item:
        self.files.after.later += later and self.files.disk.sync
        ahead = self._foretold.get(before.id)
        if ahead is not None and ahead[0] == before:
            written = ahead[1]
            after = written if written.replace(updated_at=after.updated_at) == after else after
        # A claim or a renewal that a power loss takes back was promised to nobody.
        return self._put(before, after, sync=after.state is not ACTIVE)

    def foreseen(
        self, look: Callable[[], Changes], lacking: Collection[str] = ()
    ) -> AbstractContextManager[Foreseen]:
        from pq_cli.spool.foreseen import foreseen  # start-up: most are done, and not kept

        return foreseen(self.files, look, lacking, self._foretold, self.now)

    def awaited(self, item_id: int) -> bool:
        files = self.files
        if not files.state.after or not files.disk.sync:
            return False
        return bool(files.reader.names(layout.followers_folder(item_id)))

    def put_many(self, changes: Sequence[tuple[Item, Item]]) -> None:
        # Each new meta is synced before it takes the place of the old one; the moves together.
        for before, after in changes:
            self._put(before, after, sync=False)
        if self.files.disk.sync:
            self.files.disk.sync_file_system()

    def _put(self, before: Item, after: Item, *, sync: bool) -> Item:
        files = self.files
        if after.state is ACTIVE:
            files.counter.lower(after.lease_until)
            claim_made(files.root, after)
        elif before.state is ACTIVE:
            claim_ended(files.root, before.id)
        if after.key is not None and after.state in LIVE and before.state not in LIVE:
            files.spare.behind(files.keys.give, after.key, after.id)
        removed = after.state is State.REMOVED
        as_is = removed or (
            before.state is State.REMOVED
            and before.was is after.state
            and before.extra == after.extra
            and before.after == after.after
        )
        if removed and files.reader.said(before) != before.state:
            files.move(before, before)  # what is removed is known by its meta alone
        if removed or (before.state is ACTIVE and after.state is State.DELAYED):
            from pq_cli.spool.removals import with_room  # start-up: most end otherwise

            after = with_room(files, after)
        return files.move(before, after, sync=sync, as_is=as_is)

    def drop(self, item: Item, *, later: bool = False) -> None:
        self.files.erase(item, later=later)
        claim_ended(self.files.root, item.id)

    def settle(self) -> int:
        return self.files.settle()

    def removals(self) -> Iterator[tuple[float, list[int]]]:
        for folder, _ in self.files.reader.of(State.REMOVED, latest_first=True):
            ids = sorted(self.files.reader.ids(folder))
            if ids:
                yield float(layout.second_of(folder)), ids

    def expire(self, now: float) -> int:
        from pq_cli.spool.removals import expire

        return expire(self.files, now)

    # -- to and from other queues --------------------------------------------------

    def uuid(self, *, lasting: bool = False) -> str:
        if not lasting:
            return spool_uuid(present_state(self.files.root), self.files.root)
        state = self.files.state
        uuid = spool_uuid(state, self.files.root)
        if state.uuid is None:
            self.files.set_state(state.replace(uuid=uuid))
        return uuid

    def arrivals(self) -> Arrivals:
        from pq_cli.spool.doors.arrivals import Arrivals

        return Arrivals(self.files)

    def taken(self, realm: str) -> Iterator[bytes]:
        from pq_cli.spool.doors.ledger import taken

        return taken(self.files.root, realm)

    def reader_of(self, realm: str) -> str | None:
        from pq_cli.spool.doors.ledger import reader_of

        return reader_of(self.files.root, realm)

    # -- looking -----------------------------------------------------------------

    def items(self, states: Sequence[State], now: float, t: float) -> Iterator[Item]:
        from pq_cli.spool.listing import Listing  # start-up: those who look pay for it

        listing = Listing(self.files, now, t)
        return chain.from_iterable(map(listing.of, states))

    def lost(self, items: Sequence[Item]) -> list[Item]:
        return [item for item in items if not self._stands(item)]

    def count(self, states: Iterable[State]) -> int:
        wanted = list(states)
        ended = sum(state in wanted for state in self._uncounted().values())
        return self.files.reader.count(wanted) - ended

    def _uncounted(self) -> Mapping[int, State]:
        from pq_cli.spool.disk.rolledback import uncounted  # start-up: those who look pay for it

        return uncounted(self.files.reader)

    def suggest(self, states: Sequence[State], prefix: str) -> Iterator[Item]:
        from pq_cli.spool import suggest  # start-up: for whoever types only

        return suggest.items(self.files.reader, states, prefix)

    def suggest_keys(self, prefix: str) -> list[str]:
        from pq_cli.spool import suggest

        return suggest.keys(self.files.root, prefix)

    def limits(self) -> set[str]:
        reader = self.files.reader
        return {limit for _, limit in reader.lanes() if limit} | set(reader.limits())

    def open_payload(self, item: Item) -> BinaryIO:
        return self._payload_of(item, open_verified)

    file_of = open_payload

    def backlog(self, now: float) -> Backlog:
        from pq_cli.spool.backlog import backlog

        return backlog(self.files.reader, now, self._limits.now(), self._uncounted().keys())

    def keep_log(self, item: Item, content: bytes) -> None:
        self.files.attempt_logs.write(item.id, item.claims, content)

    def logs(self, item: Item) -> dict[int, str]:
        logs = self.files.attempt_logs
        return {claim: logs.path(item.id, claim) for claim in logs.claims(item.id)}

    def open_log(self, item: Item, claim: int) -> BinaryIO:
        return self.files.attempt_logs.open(item.id, claim)

    def at_path(self, path: str) -> tuple[int, int | None]:
        whole = os.path.abspath(path)
        if not whole.startswith(self.files.root + "/"):
            where = printable(self.files.root)
            raise UsageError(f"{printable(path)} is not in the spool {where}")
        parsed = layout.parse_name(os.path.basename(whole).removesuffix(layout.META))
        if parsed is None:
            raise UsageError(f"{printable(path)} is not the path of an item")
        return parsed

    def quarantined(self) -> int:
        if not self.files.reader.names(layout.QUARANTINE):
            return 0
        from pq_cli.spool.quarantine import count_asides  # start-up: nearly never needed

        return count_asides(self.files.reader)

    def dropped(self) -> int:
        if not self.files.reader.names(layout.NEW):
            return 0
        from pq_cli.spool.doors.dropbox import waiting  # start-up: nearly never needed

        return waiting(self.files)

    def facts(self) -> Iterator[Fact]:
        from pq_cli.spool.facts import facts

        return facts(self.files)

    def read_payload(self, item: Item) -> bytes:
        return self._payload_of(item, read_verified)

    def _payload_of(self, item: Item, get: Callable[[Item], T]) -> T:
        """Return what `get` makes of an item whose payload is where its path says."""
        for _ in range(5):
            try:
                return get(item)
            except FileNotFoundError:
                time.sleep(0.01)  # it is just moving from one state to the next
                item = self.find(item.id)
        stray = self.files.reader.stray_payload(item.id, layout.payload_path(item))
        if stray is None:
            raise DamagedItemError(f"item {item.id}: its payload is missing")
        return get(item.replace(path=f"{self.files.root}/{stray}"))

    def events(self) -> Iterator[dict[str, Any]]:
        tail = self.tail(0)
        try:
            yield from tail.read_file()
        finally:
            tail.close()

    def tail(self, after: int) -> LogTail:
        from pq_cli.spool.eventtail import LogTail  # start-up: those who look pay for it

        return LogTail(self.files.root, after)

    def note(self, event: dict[str, Any]) -> None:
        self.files.log.note(event)
