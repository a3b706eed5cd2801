"""A hand on each system call that pq makes to change the file system.

`durable`, `copying`, `spool`, `lock` and, outside the spool, `removal` are the only modules of pq
that do; here their `os` is replaced by a stand-in that shows each call to a hook before it happens.
A test holds the set of calls against strace.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from verbs import act

from pq_cli.core.item import EVERY, LIVE, State
from pq_cli.errors import DamagedItemError
from pq_cli.migrate import removal
from pq_cli.spool import spool as making
from pq_cli.spool.disk import copying, durable, lock
from pq_cli.spool.spool import Spool

CHANGING = frozenset(
    (
        "mkdir", "rmdir", "open", "write", "pwrite", "fsync", "fdatasync", "rename", "unlink",
        "symlink", "link", "chmod", "fchmod", "chown", "fchown", "sync", "copy_file_range",
    )
)  # fmt: skip
Hook = Callable[[str, Callable[..., object], tuple, dict], object]


class Os:
    """Stands in for `os` in a module: calls that change the file system go through `hook`."""

    def __init__(self, hook: Hook) -> None:
        self._hook = hook

    def __getattr__(self, name: str) -> object:
        real = getattr(os, name)
        if name not in CHANGING:
            return real

        def call(*args: object, **kwargs: object) -> object:
            if name == "open" and not args[1] & os.O_CREAT:
                return real(*args, **kwargs)
            return self._hook(name, real, args, kwargs)

        return call


@contextmanager
def hooked(hook: Hook) -> Iterator[None]:
    """Show every call that changes the file system to `hook(name, real, args, kwargs)`."""
    modules = (durable, copying, making, lock, removal)
    syncfs = durable.Disk.sync_file_system

    def sync_file_system(self: durable.Disk) -> None:
        hook("syncfs", lambda _root: syncfs(self), (self.root,), {})

    for module in modules:
        module.os = Os(hook)
    durable.Disk.sync_file_system = sync_file_system
    try:
        yield
    finally:
        for module in modules:
            module.os = os
        durable.Disk.sync_file_system = syncfs


def in_child(work: Callable[[int], None]) -> tuple[int, bytes]:
    """Run `work(descriptor)` in a forked child; return (wait status, what it wrote there)."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 99
        try:
            os.close(read_end)
            work(write_end)
            status = 0
        except BaseException as error:
            os.write(2, f"child: {error!r}\n".encode())
        finally:
            os._exit(status)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as stream:
        told = stream.read()
    return os.waitpid(pid, 0)[1], told


def killed_before(name: str, world: Path, call: int) -> tuple[bool, list[int]]:
    """Do a verb in a child that dies before its `call`-th change; return (died, ids told)."""

    def work(out: int) -> None:
        seen = 0

        def hook(_name: str, real: Callable[..., object], args: tuple, kwargs: dict) -> object:
            nonlocal seen
            seen += 1
            if seen == call:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **kwargs)

        with hooked(hook):
            told = act(name, world)
        os.write(out, " ".join(map(str, told)).encode())

    status, told = in_child(work)
    died = os.WIFSIGNALED(status)
    assert died or status == 0, f"{name}: the child failed"
    return died, [int(word) for word in told.split()]


def served_until_empty(spool: Spool) -> list[tuple[int, bytes]]:
    """Claim and finish all there is; return (id, payload) of each that was served, in order."""
    served = []
    while (item := spool.claim()) is not None:
        try:
            served.append((item.id, spool.payload(item)))
        except DamagedItemError as error:
            spool.fail(item, str(error), dead=True)
        else:
            spool.done(item)
    return served


def listed(spool: Spool) -> tuple[int, int, int]:
    """Return how many live items are listed, of them those that wait, and those at work."""
    states = [item.state for item in spool.items(LIVE)]
    active = states.count(State.ACTIVE)
    return len(states), len(states) - active - states.count(State.HELD), active


def counted(spool: Spool) -> tuple[int, int, int]:
    """Return the same as it is counted by names: for `max_items`, `pq stats`, `pq wait`."""
    backlog = spool.backlog()
    waiting = sum(map(len, backlog.lanes.values())) + backlog.delayed
    return len(spool), waiting, spool.count([State.ACTIVE])


def forgotten(spool: Spool) -> list[int]:
    """Return the items that stand otherwise than those that they come after let them."""
    states = {item.id: item.state for item in spool.items(EVERY)}
    found = []
    for item in spool.items([State.HELD, State.FAILED]):
        ahead = bool(item.after) and all(states.get(i) in LIVE for i in item.after)
        if item.follows and (item.after or item.state is State.HELD):
            found += [item.id] if ahead != (item.state is State.HELD) else []
    return found


def live_and_ended(spool: Spool) -> dict[int, State]:
    """Return the state of every item; an item twice is an error."""
    found: dict[int, State] = {}
    for item in spool.items():
        assert item.id not in found, f"item {item.id} is there twice"
        found[item.id] = item.state
    return found


if __name__ == "__main__":
    act(sys.argv[1], Path(sys.argv[2]))
