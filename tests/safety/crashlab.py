"""Every change that pq can make to a spool, and a hand on each system call it makes for it.

`durable`, `opening` and `lock` are the only modules of pq that change the file system; here their
`os` is replaced by a stand-in that shows each call to a hook before it happens. A test holds
the set of calls against strace.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pq_cli.core.item import State
from pq_cli.core.policy import QueueConfig
from pq_cli.core.request import Request
from pq_cli.errors import DamagedItemError
from pq_cli.spool import durable, lock, opening
from pq_cli.spool.check import Check
from pq_cli.spool.spool import Spool

NOW = 1_800_000_000.0
CHANGING = frozenset(
    (
        "mkdir", "rmdir", "open", "write", "pwrite", "fsync", "fdatasync", "rename", "unlink",
        "symlink", "link", "chmod", "fchmod", "chown", "fchown", "sync", "copy_file_range",
    )
)  # fmt: skip
TALLY: Counter[str] = Counter()
"""What was survived so far; printed when the tests end."""
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
    modules = (durable, opening, lock)
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


@dataclass
class Verb:
    """One change: `prepare` makes the spool it starts from, `act` does it.

    `act` returns the ids that a user is then told. may_go: ids that may be gone (or come back)
    when it is cut short. rivals: ids of which one takes the place of the other.
    """

    act: Callable[[Spool], list[int]]
    prepare: Callable[[Spool], object] = lambda spool: None
    may_go: set[int] = field(default_factory=set)
    rivals: set[int] = field(default_factory=set)
    config: QueueConfig = field(default_factory=QueueConfig)
    fresh: bool = False


def body(item_id: int) -> bytes:
    """Return the payload of the item with this id, as every verb here enqueues it."""
    return b"payload of %d\n" % item_id * (1 + item_id % 3)


def fill(spool: Spool) -> None:
    """Enqueue items 1 to 4: two priorities, one held, one failed before."""
    for item_id, priority in ((1, 5), (2, 5), (3, 2), (4, 5)):
        spool.enqueue(body(item_id), priority=priority)
    spool.hold(4)


def _claimed(spool: Spool) -> None:
    fill(spool)
    assert spool.claim(lease=60).id == 3


def _failed(spool: Spool) -> None:
    _claimed(spool)
    spool.fail(3, "no", dead=True)


def _delayed(spool: Spool) -> None:
    fill(spool)
    spool.enqueue(body(5), delay=5)
    spool.enqueue(body(6), delay=5000)


def _removed(spool: Spool) -> None:
    fill(spool)
    spool.remove(1)


def _keyed(spool: Spool) -> None:
    fill(spool)
    spool.enqueue(body(5), key="k")


def _late(spool: Spool) -> Spool:
    """Return the same spool as somebody sees it who comes a minute and more later."""
    return Spool(spool.path, config=spool.config, clock=lambda: NOW + 100)


def _new(spool: Spool, item_id: int, **options: object) -> list[int]:
    return [spool.enqueue(body(item_id), **options).id]


def _many(spool: Spool) -> list[int]:
    items, error = spool.enqueue_many([(body(i), Request()) for i in range(5, 15)])
    if error is not None:
        raise error
    return [item.id for item in items]


def _file(spool: Spool, *, move: bool, big: bool = False) -> list[int]:
    path = spool.path + (".outside-big" if big else ".outside")
    items, error = spool.commit([spool.stage_file(path, Request(), move=move)])
    if error is not None:
        raise error
    return [item.id for item in items]


def _claim(spool: Spool) -> list[int]:
    item = spool.claim(lease=60)
    assert item is not None
    return [item.id]


def _told(item: object) -> list[int]:
    return []


KEEP = QueueConfig(keep_done=1000.0)
LIMIT = QueueConfig(max_items=100)
MANUAL = QueueConfig(aging_clock="manual")
VERBS = {
    "first": Verb(lambda s: _new(s, 1), fresh=True),
    "enqueue": Verb(lambda s: _new(s, 5), fill),
    "lane": Verb(lambda s: _new(s, 5, priority=9), fill),
    "delayed": Verb(lambda s: _new(s, 5, delay=50), fill),
    "limited": Verb(lambda s: _new(s, 5), fill, config=LIMIT),
    "keyed": Verb(lambda s: _new(s, 5, key="k"), fill),
    "skip": Verb(lambda s: _new(s, 5, key="k"), _keyed),
    "replace": Verb(
        lambda s: _new(s, 6, key="k", if_exists="replace"), _keyed, may_go={5}, rivals={5, 6}
    ),
    "many": Verb(_many, fill),
    "file": Verb(lambda s: _file(s, move=False), fill),
    "big file": Verb(lambda s: _file(s, move=False, big=True), fill),
    "moved file": Verb(lambda s: _file(s, move=True), fill),
    "claim": Verb(_claim, fill),
    "claim due": Verb(lambda s: _claim(_late(s)), _delayed),
    "claim lost": Verb(lambda s: _claim(_late(s)), _claimed),
    "done": Verb(lambda s: _told(s.done(3)), _claimed, may_go={3}),
    "done kept": Verb(lambda s: _told(s.done(3)), _claimed, config=KEEP),
    "fail": Verb(lambda s: _told(s.fail(3, "no")), _claimed),
    "dead": Verb(lambda s: _told(s.fail(3, "no", dead=True)), _claimed),
    "defer": Verb(lambda s: _told(s.defer(3, "later")), _claimed),
    "release": Verb(lambda s: _told(s.release(3)), _claimed),
    "renew": Verb(lambda s: _told(s.renew(3, 90)), _claimed),
    "retry": Verb(lambda s: _told(s.retry(3)), _failed),
    "retry raised": Verb(lambda s: _told(s.retry(3, 1)), _failed),
    "hold": Verb(lambda s: _told(s.hold(1)), fill),
    "hold delayed": Verb(lambda s: _told(s.hold(6)), _delayed),
    "set priority": Verb(lambda s: _told(s.change(1, priority=1)), fill),
    "set delay": Verb(lambda s: _told(s.change(1, delay=50)), fill),
    "set later": Verb(lambda s: _told(s.change(6, delay=9000, priority=7)), _delayed),
    "remove": Verb(lambda s: _told(s.remove(1)), fill, may_go={1}),
    "remove keyed": Verb(lambda s: _told(s.remove(5)), _keyed, may_go={5}),
    "undo": Verb(lambda s: _told(s.restore(1)), _removed, may_go={1}),
    "empty trash": Verb(lambda s: _told(s.empty_trash()), _removed),
    "pause": Verb(lambda s: _told(s.pause("lunch")), fill),
    "resume": Verb(lambda s: _told(s.resume()), lambda s: (fill(s), s.pause())),
    "age": Verb(lambda s: _told(s.age(NOW)), fill, config=MANUAL),
    "init": Verb(lambda s: _told(s.write_config("# nothing\n")), fill),
    "repair": Verb(lambda s: _told(repair(s.path)), lambda s: (fill(s), _litter(s))),
}


def _litter(spool: Spool) -> None:
    """Leave one leftover of each kind that a crash may leave."""
    root = Path(spool.path)
    (root / "tmp" / "meta-999999999-00").write_bytes(b"x")
    (root / "tmp" / "in-999999999-00").write_bytes(b"x")
    (root / "pending" / "05" / "0000000" / "0000000900").write_bytes(b"x")
    (root / "held" / "0000000" / "0000000001").write_bytes(body(1))
    (root / "pending" / "05" / "0000000" / "0000000001").unlink()
    (root / "keys" / "gone").symlink_to("77")
    (root / "delayed" / "0000001" / "001").mkdir(parents=True)
    meta = root / "pending" / "02" / "0000000" / "0000000003.meta.json"
    meta.write_bytes(meta.read_bytes().replace(b'"pending"', b'"held"'))
    for path in root.rglob("*"):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & ~0o077)


def repair(root: str) -> list[object]:
    """Run `pq check --repair`, taking every file in `tmp/` for stale; return what it found."""
    return list(Check(root, 5.0, stale_after=-1e9).run(repair=True))


def findings(root: str) -> list[object]:
    """Run `pq check`."""
    return list(Check(root, 5.0, stale_after=-1e9).run(repair=False))


def prepare(name: str, root: Path, config: QueueConfig | None = None) -> None:
    """Make the spool that a verb starts from."""
    verb = VERBS[name]
    if not verb.fresh:
        with Spool(root, config=config or verb.config, clock=lambda: NOW) as spool:
            verb.prepare(spool)


def act(name: str, root: Path, config: QueueConfig | None = None) -> list[int]:
    """Do a verb in this process; return the ids that it tells."""
    verb = VERBS[name]
    with Spool(root, config=config or verb.config, clock=lambda: NOW + 10) as spool:
        return verb.act(spool)


def copy(template: Path, root: Path) -> None:
    """Make `root` a copy of `template`, which may not exist, with files outside it to enqueue."""
    shutil.rmtree(root, ignore_errors=True)
    Path(f"{root}.outside").write_bytes(body(5))
    if not Path(f"{root}.outside-big").exists():
        Path(f"{root}.outside-big").write_bytes(body(5) * 100_000)
    if template.exists():
        shutil.copytree(template, root, symlinks=True)


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


def killed_before(name: str, root: Path, call: int) -> tuple[bool, list[int]]:
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
            told = act(name, root)
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


def live_and_ended(spool: Spool) -> dict[int, State]:
    """Return the state of every item; an item twice is an error."""
    found: dict[int, State] = {}
    for item in spool.items():
        assert item.id not in found, f"item {item.id} is there twice"
        found[item.id] = item.state
    return found


def need_tool(name: str) -> None:
    """Skip the test without the tool, but fail it in CI."""
    if shutil.which(name) is None:
        if os.environ.get("CI"):
            pytest.fail(f"{name} is needed in CI")
        pytest.skip(f"{name} is not installed")


if __name__ == "__main__":
    act(sys.argv[1], Path(sys.argv[2]))
