"""This process and others: pid, boot, who holds a claim, and whether that process is dead.

A pid alone is reused; a pid with its start time within one boot and pid namespace is not.
"""

from __future__ import annotations

import os
import sys

from pq_cli.core.item import Holder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

pid = os.getpid()
"""Of this process; kept, because asking the kernel each time took a tenth of a claim."""
NO_BOOT = "unknown"
"""Stands for the boot where the system does not tell one from the other."""
_MOST_COMMAND = 2000
"""Bytes of a command line that are told: with all else that a worker tells they fit in a page."""
brief = False
"""Whether this process makes one change and ends: it does without libraries that are slow to load.
"""
say: Callable[[str], None] | None = None
"""Called with what this process waits for, once it has waited a second: a command's `warn`."""
known_boot: tuple[int, str | None] = (0, None)
"""The process that asked for its boot, and what it was told."""
_me: dict[tuple[int, str | None, bool, str | None], Holder] = {}


def _after_fork() -> None:
    global pid
    pid = os.getpid()


os.register_at_fork(after_in_child=_after_fork)


def boot_id() -> str | None:
    """Return what identifies this boot and pid namespace, or None where the system has no word."""
    global known_boot
    if known_boot[0] != pid:
        try:
            with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
                text = file.read().strip()
            known_boot = (pid, f"{text}/{os.readlink('/proc/self/ns/pid')}")
        except OSError:
            known_boot = (pid, None)
    return known_boot[1]


def is_over(boot: str | None) -> bool:
    """Tell whether a boot is over, in which something was written that was not synced."""
    return boot is not None and boot != boot_id()


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
    key = (pid, boot_id(), bound, lock)
    if key not in _me:
        _me.clear()
        _me[key] = Holder(
            host=os.uname().nodename,
            pid=pid,
            boot=boot_id(),
            started=start_ticks(pid) if bound else None,
            since=0.0,
            lock=lock if bound else None,
        )
    return _me[key]


def is_mine(holder: Holder) -> bool:
    """Tell whether this very process holds the claim."""
    return holder.pid == pid and holder.boot is not None and holder.boot == boot_id()


def is_dead(holder: Holder) -> bool:
    """Tell whether the holder is certainly gone; when in doubt it lives and its lease decides.

    Certain is: same host, and either that boot is over, or in this boot and pid namespace no
    process with that pid and start time is left. Assumes that hosts sharing a spool have different
    names.
    """
    boot = boot_id()
    if holder.started is None or holder.boot is None or boot is None:
        return False
    if holder.host != os.uname().nodename:
        return False
    if holder.boot != boot:
        return holder.boot.partition("/")[0] != boot.partition("/")[0]
    return start_ticks(holder.pid) != holder.started


def user_name(uid: int) -> str:
    """Return the name of a user, or the number where the system has no name for it."""
    import pwd  # start-up: for people only

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def hide_secrets() -> None:
    """Take the passwords of URLs out of what `ps` shows: every user of the machine can read it.

    The kernel shows the very bytes in which this process was given its command line.
    """
    from pq_cli.core.urls import without_secrets

    try:
        with open("/proc/self/cmdline", "rb") as file:
            given = file.read()
        words = [os.fsencode(without_secrets(os.fsdecode(word))) for word in given.split(b"\0")]
        # Without the NUL at its end the kernel would go on, and show the environment.
        shown = b"\0".join(words)[: len(given) - 1].ljust(len(given), b"\0")
        if shown == given:
            return
        with open("/proc/self/stat", "rb") as file:
            start = int(file.read().rpartition(b")")[2].split()[45])  # the 48th field: arg_start
        with open("/proc/self/mem", "r+b", buffering=0) as memory:
            memory.seek(start)
            memory.write(shown)
    except OSError:
        pass  # without a /proc nobody can look either


def told_command() -> list[str]:
    """Return the words of this process's command line, or the first of them: for others to see."""
    from pq_cli.core.urls import without_secrets

    words: list[str] = []
    room = _MOST_COMMAND
    for word in map(without_secrets, sys.argv):
        room -= len(os.fsencode(word)) + 1
        if room < 0:
            return [*words, "..."]
        words.append(word)
    return words


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
    from pq_cli.core.urls import without_secrets

    shown = [without_secrets(os.fsdecode(word)) for word in words]
    if b"python" in os.path.basename(words[0]) and len(shown) > 1:
        shown = [os.path.basename(shown[1]), *shown[2:]]  # "python /usr/bin/pq" is pq
    return " ".join(shown)
