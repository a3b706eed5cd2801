"""The guard: a small process that outlives a killed worker just long enough to end its children.

It runs this very file, or its text, so this imports but a little of the standard library.

When `pq run`, `pq next` or `pq submit` is killed with SIGKILL nothing of it can act any more. The
guard notices, kills what was running, and only then goes; as it shares the worker's lock, the
others see the claims as free when, and not before, nobody works on them.

Not PR_SET_PDEATHSIG: that reaches the direct child only, not what that has started, and setting
it needs a fork of this process, which costs four times a posix_spawn.
"""

from __future__ import annotations

import mmap
import os
import signal
import struct
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_SLOT = struct.Struct("q")
_ROUNDS = 100
_NAP = 0.02


def _script() -> list[str]:
    """Return what Python runs as the guard: its file or, where that lies in a zip, its text."""
    if os.path.exists(__file__):
        return [__file__]
    return ["-c", __loader__.get_source(__name__)]  # type: ignore[name-defined]


class Guard:
    """Watches over the children of one worker. `close` it at the end.

    size: how many children there are at most; in their environment they have as PQ_WORKER a name
    that no other worker's have, of another spool or database either. lock: the descriptor of a
    lock to hold on to, or None. Raises OSError when the guard cannot be started.
    """

    def __init__(self, size: int, lock: int | None = None) -> None:
        name = os.urandom(8).hex()
        self.environment = {"PQ_WORKER": name}
        self._free = list(range(size))
        table = os.memfd_create("pq-guard")
        os.ftruncate(table, size * _SLOT.size)
        self._table = mmap.mmap(table, size * _SLOT.size)
        life, self._life = os.pipe()
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        inherited = [fd for fd in (life, table, lock) if fd is not None]
        for fd in inherited:
            os.set_inheritable(fd, True)
        try:
            self.pid = os.posix_spawn(
                sys.executable,
                [sys.executable, "-I", "-S", *_script(), str(life), str(table), name],
                {},
                file_actions=[(os.POSIX_SPAWN_DUP2, null, n) for n in (0, 1, 2)],
                setsid=True,
                setsigmask=(),
            )
        finally:
            for fd in inherited:
                os.set_inheritable(fd, False)
            for fd in (life, table, null):
                os.close(fd)

    def watch(self, target: int) -> int:
        """Have a target of kill(2) killed should pq die; return the slot to give to `unwatch`.

        target: a pid, or a process group as its negative number.
        """
        slot = self._free.pop()
        _SLOT.pack_into(self._table, slot * _SLOT.size, target)
        return slot

    def unwatch(self, slot: int) -> None:
        """Forget a target. Call it before the child is reaped: then the number may be reused."""
        _SLOT.pack_into(self._table, slot * _SLOT.size, 0)
        self._free.append(slot)

    def close(self) -> None:
        """End the guard, and wait until it has gone: what still runs may go on.

        Killed, not asked: after a short command it may not even have come as far as listening.
        """
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self._life)
        self._table.close()


def main() -> None:
    """Wait until the worker was killed; kill what it has left running.

    Arguments: the descriptor of a pipe from the worker, that of the table of what to kill, and the
    worker's name. The end of the pipe means that the worker was killed: one that ends in peace
    kills its guard before.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.chdir("/")
    life, table, name = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    os.read(life, 1)
    for (target,) in struct.iter_unpack("q", os.pread(table, os.fstat(table).st_size, 0)):
        if target:
            send(target)
    # A child may have been started so late that it did not get into the table; others may have
    # left their group.
    kill_marked(f"PQ_WORKER={name}".encode())


def kill_marked(*marks: bytes) -> None:
    """Kill who has all of this (NAME=VALUE) in its environment, until none comes any more."""
    for _ in range(_ROUNDS):
        marked = _marked(marks)
        if not marked:
            return
        for pid in marked:
            send(pid)
        time.sleep(_NAP)


def _marked(marks: tuple[bytes, ...]) -> list[int]:
    return [pid for pid, said in of_all("environ") if set(marks) <= set(said.split(b"\0"))]


def of_all(what: str) -> Iterator[tuple[int, bytes]]:
    """Yield the pid of every process that can be seen, and what this file of /proc says of it."""
    for entry in os.listdir("/proc"):
        try:
            if entry.isdigit():
                with open(f"/proc/{entry}/{what}", "rb") as file:
                    said = file.read()
                yield int(entry), said
        except OSError:
            continue  # gone, or somebody else's


def send(target: int, number: int = signal.SIGKILL) -> bool:
    """Send a signal to a target of kill(2); tell whether there is somebody who got it."""
    try:
        os.kill(target, number)
    except (ProcessLookupError, PermissionError):
        return False  # gone, or all that is left of a group belongs to somebody else
    return True


if __name__ == "__main__":
    main()
