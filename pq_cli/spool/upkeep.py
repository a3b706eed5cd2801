"""Upkeep: the changes that people make to a spool, from `retry` to `pause`."""

from __future__ import annotations

import math
import os

from pq_cli.core import journal, transitions
from pq_cli.core.arguments import valid_flag, valid_reference, valid_text, valid_time
from pq_cli.core.item import Item, State, printable
from pq_cli.core.policy import AgedGroup, Pause, aged_groups
from pq_cli.core.request import Request, checked
from pq_cli.core.tick import unheard
from pq_cli.errors import KeyTakenError
from pq_cli.spool import layout
from pq_cli.spool.process import tmp_name
from pq_cli.spool.view import View

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pq_cli.core.tick import Tick


class Upkeep(View):
    """The verbs of `Spool` that people use; each takes the lock for one small change."""

    def retry(self, item: Item | int | str, priority: int | None = None) -> Item:
        """Send a failed, held or delayed item back to pending. Raises ConflictError."""
        checked(Request(priority=priority))
        with self._store:
            before = self._find(item)
            after = transitions.retried(before, self._clock(), priority)
            if after.key is not None:
                owner = self._store.keys.owner(after.key)
                if owner is not None and owner.id != after.id:
                    raise KeyTakenError(
                        f"item {after.id}: key '{printable(after.key)}' is taken by item {owner.id}"
                    )
                self._store.keys.give(after.key, after.id)
            return self._store.move(before, after)

    def hold(self, item: Item | int | str) -> Item:
        """Suspend a pending or delayed item. Raises ConflictError."""
        with self._store:
            before = self._find(item)
            return self._store.move(before, transitions.held(before, self._clock()))

    def change(
        self,
        item: Item | int | str,
        *,
        priority: int | None = None,
        delay: float | None = None,
        at: float | None = None,
    ) -> Item:
        """Change base priority or due time (`delay` from now, or `at`). Raises ConflictError."""
        checked(Request(priority=priority, delay=delay, at=at))
        with self._store:
            before = self._find(item)
            now = self._clock()
            due = now + delay if delay is not None else at
            return self._store.move(before, transitions.changed(before, now, priority, due))

    def remove(
        self, item: Item | int | str, *, state: State | None = None, batch: float | None = None
    ) -> Item:
        """Remove an item that nobody works on, into the trash.

        state: remove it only if it is (still) in this state. batch: a Unix second that items
        removed together share, default now. `restore` brings it back within a day. Raises
        ConflictError, NoSuchItemError.
        """
        from pq_cli.spool import trash  # start-up: most who open a spool remove nothing

        store = self._store
        with store:
            before = self._find(item)
            transitions.check_removable(before, state)
            now = self._clock()
            trash.bury(store, before, now if batch is None else valid_time("batch", batch))
            store.log.note(journal.record("removed", before, now))
            trash.sweep(store, now - trash.KEPT_SECONDS)
            return before

    def restore(self, item_id: int) -> Item:
        """Bring a removed item back into the state it had.

        Raises NoSuchItemError when it is not (or no longer) in the trash, KeyTakenError.
        """
        from pq_cli.spool import trash

        item_id, _ = valid_reference(item_id)
        with self._store:
            now = self._clock()
            item = trash.restore(self._store, item_id, now)
            self._store.log.note(journal.record("restored", item, now))
            return item

    def empty_trash(self, tick: Tick = unheard) -> None:
        """Delete for good what was removed; `tick` is told how many files, now and then."""
        from pq_cli.spool import trash

        swept = False
        while not swept:
            with self._store:
                swept = trash.sweep(self._store, math.inf)
            tick(trash.AT_ONCE)

    def pause(self, reason: str | None = None) -> None:
        """Let nothing be claimed until `resume`; everything else goes on."""
        valid_text("reason", reason)
        with self._store:
            now = transitions.stamp(self._clock())
            self._set_pause(Pause(since=now, reason=reason))
            self._store.log.note(journal.pause("paused", now, reason))

    def resume(self) -> bool:
        """Let items be claimed again; tell whether the queue was paused."""
        with self._store:
            if self._store.state.paused is None:
                return False
            self._set_pause(None)
            self._store.log.note(journal.pause("resumed", self._clock(), None))
            return True

    def _set_pause(self, pause: Pause | None) -> None:
        """Under the lock: what was read before it may be another's by now."""
        self._store.set_state(self._store.state.replace(paused=pause))

    def age(
        self,
        at: float | None = None,
        *,
        dry_run: bool = False,
        tick: Tick = unheard,
    ) -> list[AgedGroup]:
        """Return what has aged at `at` (default now); the manual clock moves there.

        Moving the clock is one small atomic write, however many items there are. `tick` is told
        of items looked at.
        """
        t = self._clock() if at is None else valid_time("at", at)
        if not valid_flag("dry_run", dry_run) and self.config.aging_clock == "manual":
            with self._store:
                self._store.set_state(self._store.state.replace(aged_at=transitions.stamp(t)))

        def pending() -> Iterator[tuple[int, int, float]]:
            for item in self.items([State.PENDING]):
                tick(1)
                yield item.id, item.priority, item.created_at

        return aged_groups(self.config, pending(), t)

    def write_config(self, text: str) -> bool:
        """Write a queue.toml unless there is one; tell whether it was written."""
        with self._store:
            if os.path.lexists(f"{self.path}/{layout.CONFIG}"):
                return False
            tmp = tmp_name("config")
            self._store.disk.write_new(tmp, text.encode())
            self._store.disk.rename(tmp, layout.CONFIG)
            self._store.disk.sync_dir("")
            return True

    def open_drop_box(self, mode: int) -> None:
        """Give `new/` this mode, and others the way through the spool to it, but no more."""
        disk = self._store.disk
        with self._store:
            disk.make_dir(layout.NEW)
            disk.set_mode(layout.NEW, mode)
            disk.set_mode("", layout.root_mode(mode))
