"""The spool's own memory: `state.json` (atomic, always synced) and the running `counter`.

And what people write beside them: `queue.toml`.

Ids. `state.json` reserves ids ahead in steps (`reserved_id`); `counter` says which was given
last, and up to which the reservation is known to be durable (`limit`): what stands in `state.json`
may be there a moment before. The counter is never synced, and believed only within the boot that
`state.json` names: in another boot, whatever a power loss rolled back, ids go on above what is
reserved.

The counter's record also names its last writer. A process that finds its own name there knows
that nobody else has changed the spool since, so what it remembers of it still holds. It has a
mark, too, which is another one before anything is changed that others remember, but for what is
taken from a lane: who finds the mark that it knows, knows that others have only taken since. And it
has the floor: a time before which no lease ends, so that claims which are fine need not be read.
"""

from __future__ import annotations

import os
import stat

from pq_cli.core.jsonio import parse_python, to_json
from pq_cli.core.policy import Pause, QueueConfig, QueueState
from pq_cli.core.timefmt import format_time, parse_time
from pq_cli.errors import ConfigError, UsageError
from pq_cli.host import NO_BOOT, this_boot
from pq_cli.opened import named
from pq_cli.spool.disk import layout
from pq_cli.spool.disk.durable import Disk
from pq_cli.spool.disk.reader import beginning

RESERVE_STEP = 1000
LARGEST_ID = 10**15
"""No counter or limit above it is believed: a name must stay a name."""
NEVER = float(10**13)
"""The floor of a spool in which nothing is claimed: Unix seconds."""
_UNKNOWN = -1
_RECORD = 81
_NAME = 12


class DamagedStateError(ConfigError):
    """`state.json` is damaged or gone."""


class SpoolState(QueueState):
    """What `state.json` holds, beside what every queue remembers.

    reserved_id: no id above it was ever given. boot: the boot in which `counter` is believed, or
    None before the first change. unsynced: whether what was changed in that boot may not have been
    synced ("fast"). uuid: what tells the spool from all others; None in one that was made before
    spools had one (see `spool_uuid`). after: whether any item ever came after another (see
    `followers`). extra: fields of newer versions, kept.
    """

    format: int = layout.FORMAT
    reserved_id: int = 0
    boot: str | None = None
    unsynced: bool = False
    uuid: str | None = None
    after: bool = False
    extra: dict[str, object] = {}


def new_state() -> SpoolState:
    """Return the state of a spool that is being made."""
    return SpoolState(uuid=os.urandom(16).hex())


def spool_uuid(state: SpoolState, root: str) -> str:
    """Return what tells the spool at `root` from all others; looks, and writes nothing.

    One that has no uuid is known by its host and path: the same at every look, so that what was
    exported twice is imported once, also by those who may only read.
    """
    if state.uuid is not None:
        return state.uuid
    import hashlib  # such spools are few

    place = f"{os.uname().nodename}\0{os.path.realpath(root)}"
    return hashlib.sha256(os.fsencode(place)).hexdigest()[:32]


def read_state(root: str) -> SpoolState | None:
    """Return the spool's state, or None when there is no `state.json`.

    Raises DamagedStateError when it cannot be read, ConfigError when it is of a newer format.
    """
    path = f"{root}/{layout.STATE}"
    try:
        text = beginning(path, 65536)
    except FileNotFoundError:
        return None
    try:
        values = parse_python(text)
        number = values.get("format")
        if type(number) is int and number > layout.FORMAT:  # anything else may mean something else
            raise ConfigError(
                f"{root} has format {number}, of a newer pq; `pq --version` tells which this is"
            )
        known = {name: values.pop(name) for name in ("format", "reserved_id", "boot", "aged_at")}
        if not all(type(known[name]) is int for name in ("format", "reserved_id")):
            raise TypeError
        if known["format"] < 1 or not 0 <= known["reserved_id"] <= LARGEST_ID:
            raise ValueError
        # Before this field was there, only "fast" named a boot.
        known["unsynced"] = values.pop("unsynced", known["boot"] is not None)
        if not isinstance(known["boot"], str | None) or type(known["unsynced"]) is not bool:
            raise TypeError
        if known["aged_at"] is not None:
            known["aged_at"] = parse_time(known["aged_at"])
        paused = values.pop("paused", None)
        if paused is not None:
            reason = paused["reason"]
            if not isinstance(reason, str | None):
                raise TypeError
            known["paused"] = Pause(since=parse_time(paused["since"]), reason=reason)
        known["uuid"] = uuid = values.pop("uuid", None)
        if uuid is not None and not (uuid.isalnum() and uuid.isascii() and len(uuid) <= 64):
            raise ValueError
        known["after"] = values.pop("after", False) is True
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, UsageError):
        raise DamagedStateError(f"{path} is damaged; `pq check --repair` rebuilds it") from None
    return SpoolState(**known, extra=values)


def present_state(root: str) -> SpoolState:
    """Return what `state.json` of an open spool says now. Raises DamagedStateError, ConfigError.

    For those who look without the lock; under it `Files.state` says the same.
    """
    state = read_state(root)
    if state is None:
        raise DamagedStateError(f"{root}/{layout.STATE} is gone: `pq check --repair` rebuilds it")
    return state


def state_text(state: SpoolState) -> bytes:
    """Return what `state.json` is to hold."""
    aged_at = None if state.aged_at is None else format_time(state.aged_at)
    values = {**state.__dict__, "aged_at": aged_at, **state.extra}
    del values["extra"], values["paused"]
    for name in ("uuid", "after"):
        if not values[name]:
            del values[name]
    if state.paused is not None:
        since = format_time(state.paused.since)
        values["paused"] = {"since": since, "reason": state.paused.reason}
    return to_json(values) + b"\n"


def write_state(disk: Disk, state: SpoolState) -> None:
    """Replace `state.json`, durably even when the spool is "fast": ids must never come twice."""
    disk.replace(layout.tmp_name("state"), layout.STATE, state_text(state), sync=True)
    disk.sync_dir("")


def read_config(path: str) -> QueueConfig:
    """Return the policy in the spool's queue.toml, or the defaults when there is none.

    Raises ConfigError naming the file, the key and what is allowed.
    """
    text = read_policy(path)
    if not text:
        return QueueConfig()
    from pq_cli.queue.policytext import parse_policy  # start-up: most spools have no queue.toml

    return parse_policy(text, f"{path}/{layout.CONFIG}")


def read_policy(path: str) -> str:
    """Return the text of the spool's queue.toml, empty when there is none. Raises ConfigError."""
    file_name = f"{path}/{layout.CONFIG}"
    try:
        if not stat.S_ISREG(os.lstat(file_name).st_mode):
            raise ConfigError(f"{file_name} is a link or no regular file: not followed")
        text = beginning(file_name, 1_000_001)
    except FileNotFoundError:
        return ""
    if len(text) > 1_000_000:
        raise ConfigError(f"{file_name} is over 1 MB")
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file_name}: its byte {error.start + 1} is not UTF-8") from None


def last_given(root: str) -> tuple[int | None, int]:
    """Return the last id that `counter` names, or None, and its limit; for those who only look."""
    try:
        return _parse_counter(beginning(f"{root}/{layout.COUNTER}", _RECORD))[:2]
    except (FileNotFoundError, ValueError):
        return None, 0


def ids_left(root: str, count: int) -> tuple[int, bool]:
    """Return the last id given, and whether too few are left for `count` more.

    A look without the lock: others may take them meanwhile.
    """
    last, limit = last_given(root)
    return last or 0, last is None or enough(last, count) > limit


def enough(last: int, count: int) -> int:
    """Return up to which id there are to be reserved ones when `count` are wanted after `last`.

    That is half a step more, so that others are reserved before anybody runs out of them.
    """
    return last + count + RESERVE_STEP // 2


def _parse_counter(text: bytes) -> tuple[int, int, float | None, str]:
    """Return last id, limit, floor and mark of the counter's record. Raises ValueError."""
    last, limit, floor, mark, _ = text.split()
    if len(text) != _RECORD or len(mark) != _NAME or not 0 <= int(last) <= LARGEST_ID:
        raise ValueError
    known = int(floor) / 1e6 if int(floor) >= 0 else None
    return int(last), int(limit), known, mark.decode("ascii")


class Counter:
    """The running record `last_id limit floor mark writer` in `SPOOL/counter`.

    Used under the lock only. limit: no id above it may be given before more are reserved durably.
    floor: a Unix time before which no lease ends, in whole microseconds on disk; None, there -1,
    where nobody knows. only_taken: whether others, if they wrote, have only taken.
    """

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._me = _new_name()
        self._written: bytes | None = None
        self._fd = -1
        self.last_id: int | None = None
        self.limit = 0
        self.floor: float | None = None
        self.only_taken = False
        self._mark = _new_name()
        self._marked = False

    def refresh(self) -> bool:
        """Read the record; return whether nobody else has written since this object did."""
        self._marked = False
        try:
            if self._fd >= 0 and not os.fstat(self._fd).st_nlink:
                self.close()  # somebody removed the file: what we hold is nobody's any more
            if self._fd < 0:
                path = f"{self._disk.root}/{layout.COUNTER}"
                self._fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            text = os.pread(self._fd, _RECORD, 0)
            if text == self._written:
                return True
            known = self._mark
            self.last_id, self.limit, self.floor, self._mark = _parse_counter(text)
            self.only_taken = self._mark == known
        except (FileNotFoundError, ValueError):
            self.last_id = self.floor = None
            self.only_taken, self._mark = False, _new_name()
        except OSError as error:
            named(error, self._fd)
            raise
        return False

    def write(self, last_id: int) -> None:
        """Write the record under this object's name."""
        self.last_id = last_id
        floor = _UNKNOWN if self.floor is None else int(self.floor * 1e6)
        text = f"{last_id:016d} {self.limit:016d} {floor:20d} {self._mark} {self._me}\n".encode()
        if self._fd < 0:
            self._fd = self._disk.open_to_overwrite(layout.COUNTER)
        self._disk.overwrite(self._fd, text)
        self._written = text

    def mark(self) -> None:
        """Have others look again. To be called before what they must see: who writes may die."""
        if not self._marked:
            self._mark, self._marked = _new_name(), True
            if self.last_id is not None:  # else nobody can read the record, and all look again
                self.write(self.last_id)

    def give(self, last_id: int) -> None:
        """Take note of the last id that is given now; others look again, for new items come."""
        self._mark, self._marked = _new_name(), True
        self.write(last_id)

    def let_give(self, limit: int) -> None:
        """Let ids be given up to this one: `state.json` reserves them, durably."""
        if self.last_id is not None and limit > self.limit:
            self.limit = limit
            self.write(self.last_id)

    def lower(self, lease_until: float | None) -> None:
        """Take note, before a claim is made or renewed, of when its lease ends."""
        if self.floor is not None and (lease_until or 0.0) < self.floor:
            self.set_floor(lease_until or 0.0)

    def set_floor(self, floor: float | None) -> None:
        """Write down a time before which no lease ends, unless it stands there."""
        if floor != self.floor and self.last_id is not None:
            self.floor = floor
            self.write(self.last_id)

    def renew_name(self) -> None:
        """Take a new name: after fork two objects must not pass for one."""
        self._me, self._written = _new_name(), None

    def close(self) -> None:
        """Close the descriptor; the next use opens it again."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _new_name() -> str:
    """Return a name for a writer, or a mark, which no other has."""
    return os.urandom(_NAME // 2).hex()


def in_steps(last: int) -> int:
    """Return the id up to which a reservation goes that has `last` in it."""
    return -(-last // RESERVE_STEP) * RESERVE_STEP


def enter_mode(disk: Disk, counter: Counter, state: SpoolState) -> SpoolState:
    """Record in `state.json` the boot in which ids are counted, and whether changes are synced.

    Called under the lock before anything else, unless the state says so. Returns the state that now
    holds. In a new boot the counter may have been rolled back: it starts again at the reserved
    limit, and is written before `state.json` says that it can be believed, and reserves the first
    ids of the boot. Where boots cannot be told apart, every unsynced time may have been in another
    one.
    """
    boot, reserved = this_boot(), state.reserved_id
    if state.boot != boot or boot == NO_BOOT:
        counter.floor = None
        counter.write(reserved)
        if boot != NO_BOOT:
            reserved = in_steps(reserved + 1)
    if disk.sync and state.unsynced and state.boot == boot:
        disk.sync_everything()
    state = state.replace(boot=boot, unsynced=not disk.sync, reserved_id=reserved)
    write_state(disk, state)
    counter.let_give(reserved)
    return state


def allocate(disk: Disk, counter: Counter, state: SpoolState, count: int) -> tuple[int, SpoolState]:
    """Give `count` ids; return (the first of them, the state that now holds).

    Called under the lock, before any file of the new items can be seen. When it returns, no
    crash can make these ids be given again. Reserved ahead as they nearly always are (see
    `doors.reserving`), they cost no look at the disk; else the others wait for it.
    """
    last, limit = counter.last_id, min(counter.limit, state.reserved_id)
    if last is None or state.boot == NO_BOOT:
        last = limit = state.reserved_id
    if last + count > limit:
        wanted = last + count if state.boot == NO_BOOT else in_steps(last + count)
        # Somebody may just be making more durable: what stands there already is not gone below.
        state = state.replace(reserved_id=max(wanted, state.reserved_id))
        write_state(disk, state)
        counter.limit = state.reserved_id
    counter.give(last + count)
    return last + 1, state
