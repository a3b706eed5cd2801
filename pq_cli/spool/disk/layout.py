"""Where everything lies in a spool: folders, names, states. No disk is touched here.

All paths are relative to the spool's root. pq-spool(5) documents the same layout.
"""

from __future__ import annotations

import os
from functools import partial
from itertools import count

from pq_cli import host
from pq_cli.core.item import ACTIVE, PENDING, Item, State, printable, valid_limit, whole
from pq_cli.core.item import META as META
from pq_cli.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pq_cli.core.order import LaneName

FORMAT = 1
ENDED = ".done"
"""Ending of the payload and the meta of an item that has ended, and whose sync is still to come."""
CONFIG = "queue.toml"
STATE = "state.json"
COUNTER = "counter"
LOCK = "lock"
TMP = "tmp"
LOG = "log"
SPARE = "spare"
SPARES = "spares"
KEYS = "keys"
NEW = "new"
IMPORTS = "imports"
HANDOVER = f"{IMPORTS}/handover"
BATCH = f"{IMPORTS}/batch"
IMPORT_LOCK = f"{IMPORTS}/lock"
QUARANTINE = "quarantine"
LOGS = "logs"
LOG_END = ".log"
WORKERS = "workers"
AFTER = "after"
UNTOLD = f"{AFTER}/untold"
SOON = ".soon"
"""How a mark of an item ends that may be about to end."""
STATE_FOLDERS = tuple(str(state) for state in State)
FOLDERS = (TMP, KEYS, NEW, *STATE_FOLDERS)
OURS = {*FOLDERS, CONFIG, STATE, COUNTER, LOCK, SPARE, SPARES, QUARANTINE, LOG, LOGS, WORKERS,
        IMPORTS, AFTER}  # fmt: skip
"""Every name that may stand at the top of a spool."""
LIMITS = "active/limits"
"""Here lie active items that have a limit, in a folder for each: so they are counted by name."""
LIMITED = "@"
"""What stands between the priority and the limit in the name of a lane; in no name of a limit."""

ID_DIGITS = 10
"""Digits of an id in names; one that is larger has more."""
BLOCK_SIZE = 1000
"""Ids in one block folder: few enough to list quickly, many enough to keep folders few."""
COARSE_SECONDS = 1000
"""Seconds in one upper folder of `delayed` and `removed`; the lower ones hold one second each."""


def root_mode(drop_mode: int) -> int:
    """Return the mode of the spool's folder when `new/` has this one.

    Who may do anything in `new/` must be able to pass through the spool to it, and no more.
    """
    passing = (0o010 if drop_mode & 0o070 else 0) | (0o001 if drop_mode & 0o007 else 0)
    return 0o700 | passing


def parse_drop_mode(text: str) -> int:
    """Return the mode of `new/` that a text of octal digits gives. Raises UsageError.

    The owner keeps all rights. Where others may write the sticky bit is set: they must not rename
    or remove what somebody else dropped.
    """
    digits = text.removeprefix("0o")
    mode = int(digits, 8) if digits and set(digits) <= set("01234567") else -1
    if not mode & 0o777 >= 0o700 or not 0 <= mode <= 0o3777:
        raise UsageError(
            f"--drop-mode {printable(text)!r}: give octal digits, 0700 to 3777, as 1730"
        )
    return mode | 0o1000 if mode & 0o022 else mode


def block_name(block: int) -> str:
    """Return the folder name of a block, zero-padded so that names sort as numbers."""
    return f"{block:07d}"


def folder_of(item: Item) -> str:
    """Return the folder in which the item's two files lie, by its state."""
    if item.state is ACTIVE:
        return "active" if item.limit is None else active_folder(item.limit)
    if item.state is PENDING:
        return pending_folder(item.lane, item.id)
    if item.state is State.DELAYED:
        return second_folder(State.DELAYED, item.not_before or 0.0)
    if item.state is State.REMOVED:
        return second_folder(State.REMOVED, item.kept_until or 0.0)
    return f"{item.state}/{block_name(item.id // BLOCK_SIZE)}"


def made_with(folder: str) -> tuple[str, ...]:
    """Return what is made for items to enter a folder: it is the last of these.

    Of a lane with a limit also where its claims will lie: no claim is to wait for that.
    """
    limit = limit_of(folder) if folder.startswith(PENDING) else None
    return (folder,) if limit is None else (active_folder(limit), folder)


def stem(item_id: int) -> str:
    """Return the name of an item's payload in every state but `active`."""
    return f"{item_id:010d}"


def active_folder(limit: str) -> str:
    """Return the folder of the active items of a limit."""
    return f"{LIMITS}/{limit}"


def lane_folder(lane: LaneName) -> str:
    """Return the folder of a lane."""
    priority, limit = lane
    return f"pending/{priority:02d}{LIMITED}{limit}" if limit else f"pending/{priority:02d}"


def pending_folder(lane: LaneName, item_id: int) -> str:
    """Return the folder of a pending item: a block of its lane."""
    return f"{lane_folder(lane)}/{block_name(item_id // BLOCK_SIZE)}"


def pending_path(lane: LaneName, item_id: int) -> str:
    """Return the path of the payload of a pending item."""
    return f"{pending_folder(lane, item_id)}/{stem(item_id)}"


def second_folder(state: State, moment: float) -> str:
    """Return the folder of delayed items that come due, or removed ones that go, in this second."""
    coarse, fine = divmod(int(moment), COARSE_SECONDS)
    return f"{state}/{coarse:07d}/{fine:03d}"


def second_of(folder: str) -> int:
    """Return the Unix second that such a folder stands for."""
    _, coarse, fine = folder.split("/")
    return int(coarse) * COARSE_SECONDS + int(fine)


def name_of(item: Item) -> str:
    """Return the name of the payload; the meta's is the same with `.meta.json` behind it."""
    return f"{stem(item.id)}.{item.claims}" if item.state is ACTIVE else stem(item.id)


def payload_path(item: Item) -> str:
    """Return the path of the item's payload."""
    return f"{folder_of(item)}/{name_of(item)}"


def meta_path(item: Item) -> str:
    """Return the path of the item's meta: the file whose place is the item's state."""
    return payload_path(item) + META


def log_folder(item_id: int) -> str:
    """Return the folder of the logs of an item's attempts; each is named by its claim number."""
    return f"{LOGS}/{block_name(item_id // BLOCK_SIZE)}/{stem(item_id)}"


def followers_folder(item_id: int) -> str:
    """Return the folder of the links to those that wait for an item."""
    return f"{AFTER}/{stem(item_id)}"


def follower_path(item_id: int, follower: int) -> str:
    """Return the path of the link that says that one item waits for another."""
    return f"{followers_folder(item_id)}/{stem(follower)}"


def untold_path(item_id: int) -> str:
    """Return the path of the link that says that an item's followers are to be told of its end."""
    return f"{UNTOLD}/{stem(item_id)}"


def log_path(item_id: int, claim: int) -> str:
    """Return the path of the log of one attempt at an item."""
    return f"{log_folder(item_id)}/{claim}{LOG_END}"


def parse_log_name(name: str) -> int | None:
    """Return the claim number of an attempt's log, or None when it is not one of ours."""
    stem = name.removesuffix(LOG_END)
    return whole(stem) if stem != name else None


def worker_lock(name: str) -> str | None:
    """Return the path of a worker's lock; None for a name that is not one of ours."""
    plain = name.replace("-", "").isalnum() and name.isascii() and len(name) <= 100
    return f"{WORKERS}/{name}" if plain else None


def parse_name(name: str) -> tuple[int, int | None] | None:
    """Return (id, claim number or None) of a payload name, or None when it is not one of ours."""
    stem, dot, claim = name.partition(".")
    longer = len(stem) - ID_DIGITS
    item_id, count = whole(stem), whole(claim) if dot else None
    if item_id is None or longer < 0 or (longer and stem[0] == "0"):
        return None
    if dot and (count is None or (claim[0] == "0" and claim != "0")):
        return None
    return item_id, count


def parse_id(name: str) -> int | None:
    """Return the id that a name stands for, or None when it is not one of ours."""
    parsed = parse_name(name)
    return parsed[0] if parsed is not None and parsed[1] is None else None


def parse_meta_name(name: str) -> tuple[int, int | None] | None:
    """Return (id, claim number or None) of a meta's name, or None when it is not one of ours."""
    return parse_name(name[: -len(META)]) if name.endswith(META) else None


def parse_ended(name: str) -> int | None:
    """Return the id of a payload or meta whose item has ended; None when it is not one of ours."""
    stem = name.removesuffix(ENDED)
    parsed = parse_name(stem.removesuffix(META)) if stem != name else None
    return None if parsed is None else parsed[0]


def parse_lane(name: str) -> LaneName | None:
    """Return the lane of a folder's name, or None."""
    number, mark, limit = name.partition(LIMITED)
    priority = whole(number) if len(number) == 2 else None
    if priority is None or not 1 <= priority <= 10 or (mark and parse_limit(limit) is None):
        return None
    return priority, limit


def parse_limit(name: str) -> str | None:
    """Return the limit of a folder's name below LIMITS, or None."""
    try:
        return valid_limit(name)
    except UsageError:
        return None


def parse_number(name: str, width: int) -> int | None:
    """Return the number of a zero-padded folder name of at least `width` digits, or None."""
    number = whole(name)
    fits = len(name) == width or (len(name) > width and name[0] != "0")
    return number if fits else None


parse_block = partial(parse_number, width=7)
"""Of a block's folder, or of 1000 seconds."""
_parse_second = partial(parse_number, width=3)

LEVELS = {
    State.ACTIVE: (),
    State.PENDING: (parse_lane, parse_block),
    State.DELAYED: (parse_block, _parse_second),
    State.HELD: (parse_block,),
    State.FAILED: (parse_block,),
    State.DONE: (parse_block,),
    State.REMOVED: (parse_block, _parse_second),
}
"""What reads the names of the folders below each state, level by level; LIMITS come besides."""


def state_of(folder: str) -> tuple[State, int | None]:
    """Return (state, priority if pending) of the items in a folder that LEVELS allows."""
    kind, *rest = folder.split("/")
    return State(kind), int(rest[0][:2]) if kind == State.PENDING else None


def limit_of(path: str) -> str | None:
    """Return the limit of a pending or active item by where it lies; None for none."""
    kind, _, rest = path.partition("/")
    if kind == PENDING:
        return rest.partition("/")[0].partition(LIMITED)[2] or None
    _, slash, rest = rest.partition("/")
    return rest.partition("/")[0] if slash else None


_SAFE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-+@:=,")


def key_of(name: str) -> str | None:
    """Return the key that a link in `keys/` is named for, or None where its end was cut off."""
    if "%%" in name:
        return None
    first, *rest = name.encode("utf-8", "surrogateescape").split(b"%")
    try:
        raw = first + b"".join(bytes([int(part[:2], 16)]) + part[2:] for part in rest)
        return raw.decode()
    except (ValueError, UnicodeDecodeError):
        return None


def key_path(key: str) -> str:
    """Return the path of the link that marks `key` as taken: readable where it can be."""
    raw = key.encode()
    name = "".join(chr(b) if chr(b) in _SAFE else f"%{b:02x}" for b in raw)
    if name.startswith("."):
        name = "%2e" + name[1:]
    if len(name) > 240:
        import hashlib  # only for keys too long to be a file name

        name = f"{name[:150]}%%{hashlib.sha256(raw).hexdigest()}"
    return f"{KEYS}/{name}"


_token = ""
_number = count()


def _after_fork() -> None:
    global _token
    _token = ""


os.register_at_fork(after_in_child=_after_fork)


def tmp_name(kind: str) -> str:
    """Return a new name in `tmp/`: what kind of file, which process, and what is not repeated."""
    global _token
    if not _token:
        _token = os.urandom(6).hex()
    return f"{TMP}/{kind}-{host.pid}-{_token}{next(_number):x}"
