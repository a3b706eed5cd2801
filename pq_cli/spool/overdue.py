"""Overdue: claims that are over, and delayed items whose time has come. All under the lock."""

from __future__ import annotations

import os

from pq_cli.core import transitions
from pq_cli.core.events import transition
from pq_cli.core.item import Item, State
from pq_cli.errors import DamagedItemError
from pq_cli.spool import layout
from pq_cli.spool.holder import is_dead, is_mine
from pq_cli.spool.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


def finish_handover(store: Store) -> None:
    """Finish what a crash cut short on its way in; looked for once, while nobody else writes."""
    if store.handover_seen:
        return
    if os.path.lexists(f"{store.root}/{layout.HANDOVER}"):
        from pq_cli.spool.handover import finish  # start-up: nearly never there

        finish(store)
    store.handover_seen = True


def overdue(store: Store, now: float) -> Iterator[tuple[Item, str]]:
    """Yield the claims that are over, and why; each is to be ended before the next is asked for."""
    for remembered in store.index.perhaps_dead(now):
        if not _is_over(remembered, now) and not _died(store, remembered):
            continue
        item = store.index.confirmed(remembered)
        if item is None:
            continue
        if item.holder is None:
            # The claim's process died before its claim was written: nobody ever had it.
            after = transitions.released(item, now).replace(attempts=item.attempts)
            store.move(item, after)
            store.log.note(transition(item, after))
        elif _is_over(item, now):
            yield item, transitions.LEASE_OVER
        elif _died(store, item):
            yield item, transitions.WORKER_DIED


def _is_over(item: Item, now: float) -> bool:
    return item.lease_until is None or item.lease_until <= now


def _died(store: Store, item: Item) -> bool:
    """Tell whether the process that holds a claim is dead for certain; True for a claim of none."""
    if item.holder is None:
        return True
    return not is_mine(item.holder) and is_dead(item.holder, store.root)


def promote(store: Store, now: float) -> None:
    """Turn what is due into pending items: renames only, so many at once are no burden."""
    due = store.index.due()
    if due is None or due > now:
        return
    for folder in list(store.reader.second_folders(State.DELAYED)):
        if layout.second_of(folder) > now:
            break
        for item_id in store.reader.ids(folder):
            try:
                item = store.reader.read(folder, f"{item_id:010d}", State.DELAYED, None)
            except FileNotFoundError:
                continue
            except DamagedItemError as error:
                store.report(error)
                continue
            if (item.not_before or 0.0) <= now:
                store.shift(item, transitions.due(item))
        store.tidy(folder)
    store.index.due_changed()


def next_event(store: Store) -> float | None:
    """Return the earliest Unix second at which a lease ends or an item may come due, or None."""
    claims = map(store.index.confirmed, list(store.index.active().values()))
    times = [i.lease_until for i in claims if i is not None and i.lease_until is not None]
    due = store.index.due()
    if due is not None:
        times.append(due)
    return min(times, default=None)
