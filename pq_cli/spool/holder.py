"""Who this process is, and whether the process that holds a claim is dead.

A pid alone is reused; a pid with its start time within one boot and pid namespace is not.
"""

from __future__ import annotations

import fcntl
import os

from pq_cli.core.item import Holder
from pq_cli.spool import layout, process

NO_BOOT = "unknown"
"""Stands for the boot where the system does not tell one from the other."""
_boot: tuple[int, str | None] = (0, None)
_me: dict[tuple[int, str | None, bool, str | None], Holder] = {}


def boot_id() -> str | None:
    """Return what identifies this boot and pid namespace, or None where the system has no word."""
    global _boot
    if _boot[0] != process.pid:
        try:
            with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
                text = file.read().strip()
            _boot = (process.pid, f"{text}/{os.readlink('/proc/self/ns/pid')}")
        except OSError:
            _boot = (process.pid, None)
    return _boot[1]


def this_boot() -> str:
    """Return what identifies this boot of the machine, whatever the pid namespace, or NO_BOOT."""
    return (boot_id() or NO_BOOT).partition("/")[0]


def start_ticks(pid: int) -> int | None:
    """Return the start of a live process in clock ticks since boot; None when it is gone.

    A zombie counts as gone: it will do no more work.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        return None if fields[0] in (b"Z", b"X") else int(fields[19])
    except (OSError, IndexError, ValueError):
        return None


def this_process(*, bound: bool, lock: str | None = None) -> Holder:
    """Return this process as a holder. `bound`: its death frees the claim before the lease ends.

    lock: the name of its lock in `workers/`, if it holds one. A claim sets `since`.
    """
    key = (process.pid, boot_id(), bound, lock)
    if key not in _me:
        _me.clear()
        _me[key] = Holder(
            host=os.uname().nodename,
            pid=process.pid,
            boot=boot_id(),
            started=start_ticks(process.pid) if bound else None,
            since=0.0,
            lock=lock if bound else None,
        )
    return _me[key]


def is_mine(holder: Holder) -> bool:
    """Tell whether this very process holds the claim."""
    return holder.pid == process.pid and holder.boot is not None and holder.boot == boot_id()


def is_dead(holder: Holder, root: str) -> bool:
    """Tell whether the holder is certainly gone; when in doubt it lives and its lease decides.

    Certain is what the holder's lock says, if it has one in the spool at `root`: also from another
    host or pid namespace. Else: same host, and either that boot is over, or in this boot and pid
    namespace no process with that pid and start time is left. Assumes that hosts sharing a spool
    have different names.
    """
    held = _is_held(root, holder.lock) if holder.lock is not None else None
    if held is not None:
        return not held
    boot = boot_id()
    if holder.started is None or holder.boot is None or boot is None:
        return False
    if holder.host != os.uname().nodename:
        return False
    if holder.boot != boot:
        return holder.boot.partition("/")[0] != boot.partition("/")[0]
    return start_ticks(holder.pid) != holder.started


def command_of(holder: Holder) -> str | None:
    """Return the command line of a holder that lives on this machine, for people; else None."""
    if holder.host != os.uname().nodename or holder.boot != boot_id() or holder.boot is None:
        return None
    if holder.started is None or start_ticks(holder.pid) != holder.started:
        return None
    try:
        with open(f"/proc/{holder.pid}/cmdline", "rb") as file:
            words = file.read(4096).rstrip(b"\0").split(b"\0")
    except OSError:
        return None
    shown = [os.fsdecode(word) for word in words]
    if b"python" in os.path.basename(words[0]) and len(shown) > 1:
        shown = [os.path.basename(shown[1]), *shown[2:]]  # "python /usr/bin/pq" is pq
    return " ".join(shown)


def _is_held(root: str, name: str) -> bool | None:
    """Tell whether somebody holds a worker's lock; None when that cannot be said."""
    path = layout.worker_lock(name)
    return None if path is None else is_locked(f"{root}/{path}")


def is_locked(path: str) -> bool | None:
    """Tell whether a lock file is held by anybody; None when it is not there or cannot say."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return None
    finally:
        os.close(fd)
    return False
