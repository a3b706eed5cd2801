"""Files: the one movement that every transition is, and the lock in which it is made.

`move` writes the new meta over the old one where it lies, then renames that one file to where
its new state is, then lets the payload follow. The second rename is the commit instant: before it
the item is in its old state, after it in its new one, whatever the meta says: see pq-spool(5).
"""

from __future__ import annotations

import os

from pq_cli import host
from pq_cli.core.item import ACTIVE, LIVE, PENDING, Item, State
from pq_cli.core.meta import claim_over, encode, end_over
from pq_cli.core.policy import QueueConfig
from pq_cli.errors import DamagedItemError, LockTimeoutError
from pq_cli.spool.disk import layout
from pq_cli.spool.disk.lock import Afterwards, SpoolLock
from pq_cli.spool.disk.state import SpoolState, enter_mode, present_state, write_state
from pq_cli.spool.parts import Parts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Files(Parts):
    """One spool's parts, and the changes they make together.

    Change only inside `with files:`.
    """

    def __init__(
        self,
        root: str,
        config: QueueConfig,
        state: SpoolState,
        lock_timeout: float,
        report: Callable[[DamagedItemError], None],
    ) -> None:
        super().__init__(root, config, state, report)
        self.held = False
        self.after: Afterwards
        self._later: list[Afterwards] = []
        self._lock = SpoolLock(f"{root}/{layout.LOCK}", lock_timeout, self.disk.owner)
        self._pid = host.pid

    # -- the lock ------------------------------------------------------------

    def __enter__(self) -> None:
        """Take the lock; forget what is remembered if somebody else has changed the spool."""
        self._lock.__enter__()
        try:
            self.after = Afterwards()
            self._catch_up()
            self.held = True
        except BaseException:
            self._lock.__exit__()
            raise

    def __exit__(self, *error: object) -> None:
        """Let go of the lock, and then make durable what was changed under it."""
        self.held = False
        after = self.after
        del self.after  # what it would take back knows the store, which would never be collected
        if "followers" in self.__dict__:
            self.followers.settled(after)
        if error[0] is not None:
            self.forget()  # a change may have stopped half way
            after.then = None  # which goes by all of it
        if after.later and error[0] is None:
            self._later.append(after)
            after = Afterwards()
        self._lock.__exit__()
        self._settle(after)

    def _settle(self, after: Afterwards) -> None:
        """Do what a transaction has left. Raises OSError when it cannot be made durable."""
        try:
            after.sync_now(self.disk)
        except OSError:
            if after.take_back is not None:
                with self:
                    after.take_back()
            raise
        self._clear(after)
        if after.then is not None:
            after.then()

    def _clear(self, after: Afterwards) -> None:
        """Remove what is left of what has ended, now that this is durable."""
        for meta in after.metas:
            self.disk.discard(meta)
        more = after.freed or after.untied or after.told
        if more or (after.ended and not self._lets_go_alone(after.ended)):
            try:
                with self:
                    self._let_go(after)
                return
            except LockTimeoutError:
                pass  # they have ended: what is left of a key or log does no harm
        for item, path in after.ended:
            self._discard_payload(item.id, path)

    def _catch_up(self) -> None:
        if self._pid != host.pid:
            self._pid = host.pid
            self.counter.renew_name()
            self.forget()  # what it has claimed, the parent remembers
        if not self.counter.refresh():
            # Others wrote. Very little is to be forgotten where they have only taken.
            if self.counter.only_taken and self.index.others_took():
                self.folders &= {ACTIVE}  # which nobody tidies away
            else:
                self.forget()
            if not self.counter.only_taken:
                self.state = present_state(self.root)
            self.__dict__.pop("followers", None)
            if self.counter.last_id is not None:
                self.counter.write(self.counter.last_id)
        if self.state.boot != host.this_boot() or self.state.unsynced is self.disk.sync:
            self.spare.behind(self._enter_mode)

    def _enter_mode(self) -> None:
        if self.state.boot not in (None, host.this_boot()):
            from pq_cli.spool.disk.rolledback import rolled_back  # start-up: once a boot

            self.log.go_on_above()
            if self.state.after:
                self.followers.relink(self.state.unsynced)
            for item_id, path in rolled_back(self.reader).items():
                self.clear_away(item_id, path)
        self.state = enter_mode(self.disk, self.counter, self.state)

    def set_state(self, state: SpoolState) -> None:
        """Let the spool's state be this, durably."""
        self.spare.behind(write_state, self.disk, state)
        self.state = state

    def place(self, item: Item) -> str:
        """Return the path of the item's payload in the spool: where it was found, if it was."""
        return layout.payload_path(item) if item.path is None else item.path[len(self.root) + 1 :]

    # -- the movement --------------------------------------------------------

    def heed(self, before: Item | None, after: Item | None) -> None:
        """Before an item changes, let the index of followers change, too; None: new, or gone."""
        if after is not None and after.follows and not self.state.after:
            self.set_state(self.state.replace(after=True))
        if self.state.after:
            self.followers.heed(before, after, self.after)

    def move(self, before: Item, after: Item, *, sync: bool = True, as_is: bool = False) -> Item:
        """Bring an item from one state (or content) to the next; return it where it now lies.

        sync: whether, in "full", the move itself must survive a power loss, not only the item.
        as_is: its meta need not change: two renames, nothing written.
        """
        self.heed(before, after)
        if after.state not in LIVE:
            self.end_replaced(before)
        source, target = self.place(before), layout.payload_path(after)
        if as_is:
            self.spare.behind(self.make_folder, _folder(target))
        else:
            self.spare.behind(self._rewrite, source, target, after)
        if source != target:
            self.spare.behind(self._rename_pair, before.id, source, target)
        if sync:
            self.after.sync(_folder(target))
        if before.state in LIVE and after.state not in LIVE and after.key is not None:
            if sync and self.disk.sync:
                self.after.freed.append(after)
            else:
                self.keys.free(after)
        after = after.replace(path=f"{self.root}/{target}")
        self.index.moved(before, after)
        if _folder(source) != _folder(target):
            self.left(before, _folder(source))
        return after

    def end_replaced(self, item: Item, *, durable: bool = False) -> None:
        """End what an item has replaced (see `replacing`). durable: the item is so already.

        Else all at once, for it is to end itself: by a person, or after a death; whoever claims one
        has done so before.
        """
        replaced = [] if item.key is None else self.keys.replaced_by(item)
        old = list(filter(None, replaced))
        if old and self.disk.sync and not durable:
            self.disk.sync_dir(_folder(self.place(item)))
        self.after.whole |= None in replaced  # its end, by one that died, may not be durable
        self.erase(*old, alone=True)

    def _rewrite(self, path: str, target: str, after: Item) -> None:
        """Put the meta of `after` over the one beside the payload `path`, and make its new home.

        Over the second line alone where that is all: after a power loss it is old or new. Nobody is
        promised anything by a claim; of what is done, and kept, it is synced after the lock.
        """
        if target != path:
            self.make_folder(_folder(target))
        elif self.index.active_item(after.id) is None:
            self.counter.mark()  # who claimed it may remember it as it was
        meta = path + layout.META
        done = after.state is State.DONE and path.startswith(f"{ACTIVE}/")
        if (done or after.state is ACTIVE) and self.disk.patch(meta, claim_over, after, done):
            if done:
                self.after.kept.append(target + layout.META)
            return
        ahead = self.foreseen.pop(id(after), None)
        if ahead is None or not self._renamed(ahead, meta):
            self.disk.replace(layout.tmp_name("meta"), meta, encode(after))

    def _rename_pair(self, item_id: int, source: str, target: str) -> None:
        """Rename the meta, the commit instant, and then the payload. Can be done twice."""
        try:
            self.disk.rename(source + layout.META, target + layout.META)
        except FileNotFoundError:
            if not os.path.lexists(f"{self.root}/{target}{layout.META}"):
                raise
        if not self._renamed(source, target):
            self.fetch_payload(item_id, target)

    def erase(self, *items: Item, later: bool = False, alone: bool = False) -> None:
        """Remove items for good: their metas now, the payloads and keys once that is durable.

        The meta of an item as it was enqueued is the only file that there ever was in its place.
        So when its claim is done, it says itself that it has ended: one sector is to be synced, not
        a folder with its journal. Wherever a power loss makes it turn up, there is no item.

        later: that is left for `settle`. Until then a payload has a name that says what it is.
        alone: but not what they have replaced.
        """
        for item in items:
            self.heed(item, None)
            if not alone:
                self.end_replaced(item)
            path = self.place(item)
            if self.disk.sync and self._renamed(path, path + layout.ENDED):
                path += layout.ENDED
            meta = self.place(item) + layout.META
            own_end = self.disk.sync and not later and item.state is ACTIVE
            if own_end and self._renamed(meta, meta + layout.ENDED):
                meta += layout.ENDED
            if own_end and self._say_ended(meta, item):
                self.after.metas.append(meta)
            else:
                self.disk.unlink(meta)
                self.after.sync(_folder(path))
            self.index.moved(item, None)
            self.after.ended.append((item, path))
            self.after.later += later and self.disk.sync

    def _say_ended(self, meta: str, item: Item) -> bool:
        """Let a meta say that its item has ended; tell whether it does."""
        try:
            return self.disk.patch(meta, end_over, item)
        except OSError:
            return False  # a disk that is full, and overwrites nothing in place

    def clear_away(self, item_id: int, path: str) -> None:
        """Remove an item that has ended, and that a power loss has brought back. Under the lock."""
        self._discard_payload(item_id, path)
        self.disk.discard(path + layout.META)
        self.tidy(_folder(path))

    def _renamed(self, source: str, target: str) -> bool:
        """Rename a payload; tell whether it was there, and not left behind in another folder."""
        try:
            self.disk.rename(source, target)
            return True
        except FileNotFoundError:
            return False

    def settle(self) -> int:
        """Make durable what has ended `later`, and let its payloads go; return of how many.

        Called without the lock, by any thread.
        """
        after = Afterwards()
        after.take_in(self._later)
        self._settle(after)
        return after.later

    def _lets_go_alone(self, ended: Sequence[tuple[Item, str]]) -> bool:
        """Tell whether nothing but the payloads is left of what has ended, as is most usual."""
        plain = all(item.key is None and path.startswith(f"{ACTIVE}/") for item, path in ended)
        return plain and not self.attempt_logs.any() and self.spare.is_whole()

    def _let_go(self, after: Afterwards) -> None:
        """Remove all that is left of what has ended. Under the lock."""
        if after.untied or after.told:
            self.followers.let_go(after)
        for item in after.freed:
            if self.keys.live(item.id) is None:  # it may have been brought back meanwhile
                self.keys.free(item)
        for item, path in after.ended:
            self._discard_payload(item.id, path)
            self.keys.free(item)
            self.attempt_logs.remove(item.id)
            self.left(item, _folder(path))
        if after.ended:
            self.spare.keep()

    def _discard_payload(self, item_id: int, path: str) -> None:
        """Remove a payload, also where a crash left it behind in another folder."""
        try:
            self.disk.unlink(path)
        except FileNotFoundError:
            if (stray := self.reader.stray_payload(item_id, path)) is not None:
                self.disk.discard(stray)

    def fetch_payload(self, item_id: int, target: str) -> bool:
        """Bring a payload that a crash left behind in another folder; tell whether it is there."""
        stray = self.reader.stray_payload(item_id, target)
        return stray is not None and self._renamed(stray, target)

    def make_folder(self, folder: str, later: bool = False) -> bool:
        """Make a state's folder, if it may lack; tell if it is durable. later: the caller syncs."""
        if folder not in self.folders:
            made = [self.disk.make_dir(each, later=later) for each in layout.made_with(folder)]
            self.folders |= {folder} if all(made) else set()
        return folder in self.folders

    def left(self, item: Item, folder: str) -> None:
        """Tidy a folder that an item has left, unless others are remembered to be there."""
        if item.state is not PENDING or self.index.drained(item.lane):
            self.tidy(folder)

    def tidy(self, folder: str) -> None:
        """Remove a block or due folder if it is empty, and a due folder's parent with it.

        The newest block of a lane stays: the next item goes there. Limits come and go: a lane of
        one goes with its last block, and the folder of its claims with its last lane.
        """
        kind, _, inner = folder.partition("/")
        newest = layout.block_name((self.counter.last_id or 0) // layout.BLOCK_SIZE)
        if not inner or kind == ACTIVE or (kind == PENDING and inner.endswith(f"/{newest}")):
            return
        self.folders.discard(folder)
        if not self.disk.remove_dir(folder):
            return
        if kind in (State.DELAYED, State.REMOVED):
            self.index.due_changed()
            self.disk.remove_dir(_folder(folder))
        elif (limit := layout.limit_of(folder)) and self.disk.remove_dir(_folder(folder)):
            self.folders.discard(layout.active_folder(limit))
            if all(limit != another for _, another in self.reader.lanes()):
                self.disk.remove_dir(layout.active_folder(limit))

    def close(self) -> None:
        """Settle, and close the descriptors; the next use opens them again."""
        if self._later:
            self.settle()
        for part in ("counter", "log", "_lock"):
            if part in self.__dict__:
                self.__dict__[part].close()


def _folder(path: str) -> str:
    """Return the folder of a path in the spool: `os.path.dirname` does more than is needed."""
    return path.rpartition("/")[0]
