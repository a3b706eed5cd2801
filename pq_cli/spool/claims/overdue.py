"""Overdue: claims that are over, and delayed items whose time has come. All under the lock."""

from __future__ import annotations

from pq_cli.core import transitions
from pq_cli.core.events import transition
from pq_cli.core.item import Item, State
from pq_cli.errors import DamagedItemError
from pq_cli.host import is_mine
from pq_cli.spool.claims.workers import is_gone
from pq_cli.spool.disk import layout
from pq_cli.spool.files import Files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


def overdue(files: Files, now: float) -> Iterator[tuple[Item, str]]:
    """Yield the claims that are over, and why; each is to be ended before the next is asked for."""
    for remembered in files.index.perhaps_dead(now):
        if not _is_over(remembered, now) and not _died(files, remembered):
            continue
        item = files.index.confirmed(remembered)
        if item is None:
            continue
        if item.holder is None:
            # The claim's process died before its claim was written: nobody ever had it.
            after = transitions.released(item, now).replace(attempts=item.attempts)
            files.move(item, after)
            files.log.note(transition(item, after))
        elif _is_over(item, now):
            yield item, transitions.LEASE_OVER
        elif _died(files, item):
            yield item, transitions.WORKER_DIED


def _is_over(item: Item, now: float) -> bool:
    return item.lease_until is None or item.lease_until <= now


def _died(files: Files, item: Item) -> bool:
    """Tell whether the process that holds a claim is dead for certain; True for a claim of none."""
    if item.holder is None:
        return True
    return not is_mine(item.holder) and is_gone(item.holder, files.root)


def promote(files: Files, now: float) -> None:
    """Turn what is due into pending items: renames only, so many at once are no burden."""
    due = files.index.due()
    if due is None or due > now:
        return
    for folder, _ in list(files.reader.of(State.DELAYED)):
        if layout.second_of(folder) > now:
            break
        for name in files.reader.entries(folder):
            try:
                item = files.reader.read(folder, name, State.DELAYED, None)
            except FileNotFoundError:
                continue
            except DamagedItemError as error:
                files.report(error)
                continue
            if (item.not_before or 0.0) <= now:
                files.shift(item, transitions.due(item))
        files.tidy(folder)
    files.index.due_changed()


def next_event(files: Files) -> float | None:
    """Return the earliest Unix second at which a lease ends or an item may come due, or None."""
    claims = map(files.index.confirmed, list(files.index.active().values()))
    times = [i.lease_until for i in claims if i is not None and i.lease_until is not None]
    due = files.index.due()
    if due is not None:
        times.append(due)
    return min(times, default=None)
