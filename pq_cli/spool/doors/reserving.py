"""Reserving: what an admission needs of `state.json` is put there before, and nobody waits for it.

The new one is written and synced beside, takes the place of the old one under the lock, if that is
still the one that was seen, and becomes durable when the lock is free. So for a moment others see
what a power loss may still take back:

- More reserved ids. They are given only up to the counter's `limit`, which goes up last.
- That items come after others (`after`). The folder of their links is made only then, and its
  entry lies beside `state.json`: whoever makes that durable makes both so. And nobody is told the
  id of an item that comes after others before the folder of its links is durable.
"""

from __future__ import annotations

from pq_cli import host
from pq_cli.errors import LockTimeoutError, PqError
from pq_cli.spool.disk import layout
from pq_cli.spool.disk.state import (
    SpoolState,
    enough,
    in_steps,
    last_given,
    present_state,
    state_text,
)
from pq_cli.spool.files import Files


def reserve(files: Files, count: int, *, after: bool) -> None:
    """Have ids for `count` items, and more; after: and let the state say that some come after.

    Called without the lock. What cannot be written, as on a full disk, is left to whoever does it
    under the lock, and is told there. Raises OSError when it cannot be made durable, and
    LockTimeoutError.
    """
    try:
        if files.state.boot != host.this_boot():
            with files:
                pass  # that begins the boot, in which the counter is believed
        state = _put(files, count, after=after)
    except LockTimeoutError:
        raise
    except (PqError, OSError):
        return
    if state.boot != host.NO_BOOT:
        files.disk.sync_dir("")  # also what others have put there: they may be dead
        with files:
            files.counter.let_give(state.reserved_id)


def _put(files: Files, count: int, *, after: bool) -> SpoolState:
    """Let what is wanted stand in `state.json`, not yet durably; return the state that does."""
    while True:
        seen = present_state(files.root)
        last, _ = last_given(files.root)
        wanted = 0 if last is None else enough(last, count)
        reserved = seen.reserved_id if wanted <= seen.reserved_id else in_steps(wanted)
        state = seen.replace(reserved_id=reserved, after=seen.after or after)
        # Where boots cannot be told apart each id is reserved by itself, under the lock.
        if state == seen or seen.boot == host.NO_BOOT or _replaced(files, seen, state):
            return state


def _replaced(files: Files, seen: SpoolState, state: SpoolState) -> bool:
    """Put a state in the place of the one that was seen, unless another stands there by now."""
    tmp = layout.tmp_name("state")
    files.disk.write_new(tmp, state_text(state), sync=True)
    try:
        with files:
            if present_state(files.root) != seen:  # `files.state` is old where this broke off once
                return False
            files.disk.rename(tmp, layout.STATE)
            files.state = state
        return True
    finally:
        files.disk.discard(tmp)
