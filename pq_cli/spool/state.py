"""The spool's own memory: `state.json` (atomic, always synced) and the running `counter`.

Ids. `state.json` reserves ids ahead in steps (`reserved_id`); `counter` says which was given
last. An id is given to an item only after the counter that includes it was written: synced in
"full", and in "fast" valid only within the boot that `state.json` names. Whatever a power loss
rolls back, the next id is above every id given: from the counter where it can be trusted,
else from the reserved limit.

The counter's record also names its last writer. A process that finds its own name there knows
that nobody else has changed the spool since, so what it remembers of it still holds.
"""

from __future__ import annotations

import json
import os

from pq_cli.core.item import to_json
from pq_cli.core.record import Record
from pq_cli.core.timefmt import format_time, parse_time
from pq_cli.errors import ConfigError, UsageError
from pq_cli.spool import layout
from pq_cli.spool.durable import Disk
from pq_cli.spool.holder import boot_id

RESERVE_STEP = 1000
UNKNOWN = -1
_RECORD = 64


class SpoolState(Record):
    """What `state.json` holds.

    reserved_id: no id above it was ever given. boot: the boot in which ids were given without
    a sync ("fast"), or None. aged_at: the manual aging clock, Unix seconds. extra: fields of
    newer versions, kept.
    """

    format: int = layout.FORMAT
    reserved_id: int = 0
    boot: str | None = None
    aged_at: float | None = None
    extra: dict[str, object] = {}


def read_state(root: str) -> SpoolState | None:
    """Return the spool's state, or None when there is no `state.json`.

    Raises ConfigError when it is not readable as format 1.
    """
    path = f"{root}/{layout.STATE}"
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    try:
        text = os.read(fd, 65536)
    finally:
        os.close(fd)
    try:
        values = json.loads(text)
        known = {name: values.pop(name) for name in ("format", "reserved_id", "boot", "aged_at")}
        if not isinstance(known["format"], int) or not isinstance(known["reserved_id"], int):
            raise TypeError
        if not isinstance(known["boot"], str | None):
            raise TypeError
        if known["aged_at"] is not None:
            known["aged_at"] = parse_time(known["aged_at"])
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, UsageError):
        raise ConfigError(f"{path} is damaged; `pq check --repair` rebuilds it") from None
    if known["format"] > layout.FORMAT:
        raise ConfigError(
            f"{root} has format {known['format']}, this pq knows {layout.FORMAT}: use a newer pq"
        )
    return SpoolState(**known, extra=values)


def write_state(disk: Disk, state: SpoolState) -> None:
    """Replace `state.json`, durably even when the spool is "fast": ids must never come twice."""
    aged_at = None if state.aged_at is None else format_time(state.aged_at)
    values = {**state.__dict__, "aged_at": aged_at, **state.extra}
    del values["extra"]
    tmp = f"{layout.TMP}/state-{os.getpid()}-{os.urandom(4).hex()}"
    disk.write_new(tmp, to_json(values) + b"\n", sync=True)
    disk.rename(tmp, layout.STATE)
    disk.sync_dir("")


class Counter:
    """The running record `last_id live writer` in `SPOOL/counter`; used under the lock only.

    `live` is the number of live items, or UNKNOWN: it is kept only where `max_items` needs it,
    and set to UNKNOWN while a change is under way, so that a crash cannot leave it wrong.
    """

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._me = os.urandom(8).hex()
        self._fd = -1
        self.last_id: int | None = None
        self.live = UNKNOWN

    def refresh(self) -> bool:
        """Read the record; return whether nobody else has written since this object did."""
        try:
            if self._fd < 0:
                path = f"{self._disk.root}/{layout.COUNTER}"
                self._fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            text = os.pread(self._fd, _RECORD, 0)
            last, live, writer = text.split()
            self.last_id, self.live = int(last), int(live)
            if len(text) != _RECORD or self.last_id < 0:
                raise ValueError
        except (FileNotFoundError, ValueError):
            self.last_id, self.live = None, UNKNOWN
            return False
        return writer.decode("ascii", "replace") == self._me

    def write(self, last_id: int, live: int, *, sync: bool) -> None:
        """Write the record under this object's name."""
        self.last_id, self.live = last_id, live
        text = f"{last_id:020d} {live:20d} {self._me:>21s}\n".encode()
        self._disk.write_at_start(layout.COUNTER, text, sync=sync)

    def renew_name(self) -> None:
        """Take a new name: after fork two objects must not pass for one."""
        self._me = os.urandom(8).hex()

    def close(self) -> None:
        """Close the descriptor; the next use opens it again."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def allocate(disk: Disk, counter: Counter, state: SpoolState, count: int) -> tuple[int, SpoolState]:
    """Reserve `count` ids; return (the first of them, the state that now holds).

    Called under the lock, before any file of the new items can be seen. When it returns, no
    crash can make these ids be given again.
    """
    boot = boot_id()
    same_boot = state.boot is not None and state.boot == boot
    trusted = counter.last_id is not None and (state.boot is None or same_boot)
    last = counter.last_id if trusted and counter.last_id is not None else state.reserved_id
    if last > state.reserved_id:  # the counter was edited or belongs to another state.json
        last = max(last, state.reserved_id + RESERVE_STEP)
    wanted = _next_state(state, last + count, boot, disk.sync)
    if wanted != state:
        if disk.sync and same_boot:
            disk.sync_everything()
        write_state(disk, wanted)
    counter.write(last + count, counter.live, sync=disk.sync)
    return last + 1, wanted


def _next_state(state: SpoolState, last: int, boot: str | None, sync: bool) -> SpoolState:
    reserved = state.reserved_id
    if last > reserved:
        reserved = -(-last // RESERVE_STEP) * RESERVE_STEP
    if not sync and boot is None:
        reserved = last  # no boot to trust the counter in: every id is reserved by itself
    return state.replace(reserved_id=reserved, boot=None if sync else boot or "unknown")
