"""A model of what a power loss leaves on a POSIX file system.

A `Recorder` writes down every change that verbs make to a world: a spool, and what lies outside.
`Disk` turns any beginning of that record into the states that the disk may be in if the power
goes there:

- Names. Each create, remove or rename of an entry is one change. What was not made durable by a
  sync of a folder it touches may have happened or not, in any combination, save that of two
  changes to the same name the earlier one comes first. A rename is whole: old name or new name. A
  folder that still holds something cannot be gone. A folder whose own entry was not made
  durable may be gone with all that is in it, synced or not.
- Data. What was not synced may be as before, whole, cut short, or zeros. Where it was overwritten
  in place, each sector for itself is as it was before or after one of the writes, never mixed.
"""

from __future__ import annotations

import os
import random
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import crashlab
import verbs

SECTOR = 512
ROOT = 0


@dataclass(frozen=True)
class Folder:
    """An entry that is a folder; it keeps its number when it is renamed."""

    number: int


Tree = dict[str, object]
"""`FOLDER/NAME` -> Folder, text (symbolic link) or int (inode of a file). FOLDER: its number."""


def _folder_of(key: str) -> int:
    return int(key.partition("/")[0])


class Killed(BaseException):
    """The recorded process is dead: it makes no call any more."""


@dataclass
class Event:
    """One change. keys: the names it touches. done(tree, forced) replays it."""

    kind: str
    keys: tuple[str, ...] = ()
    inode: int = -1
    value: object = None
    site: str = ""

    @property
    def folders(self) -> set[str]:
        """The folders whose entries it changes."""
        return {_folder_of(key) for key in self.keys}


@dataclass
class Recorder:
    """Records what happens below `root`, from what is there now. Use `hook` with `hooked`.

    unsynced: what lies in the drop box was put there without a sync.
    """

    root: Path
    unsynced: bool = False
    events: list[Event] = field(default_factory=list)
    tree: Tree = field(default_factory=dict)
    data: dict[int, bytes] = field(default_factory=dict)
    die_at: int | None = None

    def __post_init__(self) -> None:
        self._calls = 0
        self._folders = ROOT
        self._live: dict[str, object] = {}  # by path
        for path in sorted(self.root.rglob("*")):
            name = str(path.relative_to(self.root))
            self._live[name] = self._entry(path)
            dropped = path.parent.name == "new" and not name.endswith(".meta.json")
            if self.unsynced and dropped:
                inode = self._live[name]
                self._add(Event("data", (name,), inode, self.data[inode]))
                self.data[inode] = b""
        self.tree = {self._key(path): entry for path, entry in self._live.items()}

    def _entry(self, path: Path) -> object:
        if path.is_symlink():
            return os.readlink(path)
        if path.is_dir():
            return self._folder()
        self.data[len(self.data)] = path.read_bytes()
        return len(self.data) - 1

    def _folder(self) -> Folder:
        self._folders += 1
        return Folder(self._folders)

    def _key(self, path: str) -> str:
        """Return a path as the tree names it now."""
        parent, name = os.path.split(path)
        return f"{self._live[parent].number if parent else ROOT}/{name}"

    def _relative(self, path: str) -> str | None:
        base = str(self.root)
        if path == base:
            return ""
        return os.path.normpath(path[len(base) + 1 :]) if path.startswith(base + "/") else None

    def hook(self, call: str, real: Callable[..., object], args: tuple, kwargs: dict) -> object:
        """Make the call and record it; from call `die_at` on the process is dead."""
        self._calls += 1
        if self.die_at is not None and self._calls >= self.die_at:
            raise Killed
        path = os.readlink(f"/proc/self/fd/{args[0]}") if isinstance(args[0:1][0] if args else "",
                                                                     int) else None  # fmt: skip
        result = real(*args, **kwargs)
        self._record(call, args, path)
        return result

    def _record(self, call: str, args: tuple, opened: str | None) -> None:
        site = _site()
        names = [self._relative(os.fspath(a)) for a in args if isinstance(a, str)]
        where = self._relative(opened) if opened is not None else None
        if call == "open":
            if names[0] is not None and names[0] not in self._live:
                self._new(names[0], len(self.data), site)
                self.data[len(self.data)] = b""
        elif call in ("write", "pwrite", "copy_file_range"):
            self._data(call, args, opened, site)
        elif call in ("fsync", "fdatasync"):
            if where is not None:
                entry = self._live[where] if where else Folder(ROOT)
                folder = isinstance(entry, Folder)
                event = Event("sync folder" if folder else "sync file", site=site)
                event.inode = entry.number if folder else entry
                self._add(event)
        elif call in ("sync", "syncfs"):
            self._add(Event("sync all", site=site))
        elif call == "mkdir" and names[0] not in (None, ""):
            self._new(names[0], self._folder(), site)
        elif call == "symlink":
            self._new(names[1], str(args[0]), site)
        elif call == "link":
            # Whoever wrote the file that gets a second name here may not have synced it.
            inode = len(self.data)
            self.data[inode] = b""
            self._new(names[1], inode, site)
            self._add(Event("data", (names[1],), inode, Path(args[0]).read_bytes(), site))
        elif call in ("unlink", "rmdir") and names[0] is not None:
            self._add(Event(call, (self._key(names[0]),), site=site))
            del self._live[names[0]]
        elif call == "rename":
            self._add(Event("rename", (self._key(names[0]), self._key(names[1])), site=site))
            self._rename(*names)

    def _rename(self, source: str, target: str) -> None:
        for path in [p for p in self._live if p == source or p.startswith(source + "/")]:
            self._live[target + path[len(source) :]] = self._live.pop(path)

    def _data(self, call: str, args: tuple, opened: str | None, site: str) -> None:
        where = self._relative(opened if call != "copy_file_range" else
                               os.readlink(f"/proc/self/fd/{args[1]}"))  # fmt: skip
        if where is not None:
            self._add(Event("data", (where,), self._live[where], Path(self.root, where)
                            .read_bytes(), site))  # fmt: skip

    def _new(self, name: str, entry: object, site: str) -> None:
        self._live[name] = entry
        self._add(Event("new", (self._key(name),), value=entry, site=site))

    def _add(self, event: Event) -> None:
        self.events.append(event)

    def mark(self, kind: str, value: object = None) -> None:
        """Note that something was promised at this point of the record."""
        self.events.append(Event(kind, value=value))


_INNER = ("_closed", "_filled", "fill")
"""Parts of the functions of `durable`; each ends in the one that is meant."""


def _site() -> str:
    """Return which function of `durable` made the call, and who called that, or on which folder."""
    frame = sys._getframe(3)
    while "pq_cli" not in frame.f_code.co_filename or frame.f_code.co_name in _INNER:
        frame = frame.f_back
    name, caller = frame.f_code.co_name, frame.f_back
    if name == "sync_dir" and caller.f_code.co_name == "sync_now":  # of every verb
        return f"{name} of {frame.f_locals['path'].partition('/')[0]}"
    if name == "sync_dir" and caller.f_code.co_name == "link_text":  # of keys, and of marks
        return f"{name} for link_text in {frame.f_locals['path']}"
    while caller.f_code.co_name.startswith("_write") or caller.f_code.co_name in (name, "replace"):
        caller = caller.f_back
    return f"{name} for {caller.f_code.co_name}"


class Disk:
    """The disk of a record up to its first `count` events. drop: sites whose syncs do nothing."""

    def __init__(self, record: Recorder, count: int, drop: str | None = None) -> None:
        self._data = dict(record.data)
        self._base = record.tree
        self._now: dict[int, bytes] = dict(record.data)
        self._since: dict[int, list[bytes]] = {}  # contents that were overwritten since a sync
        self._events: list[Event] = []
        self._durable: set[int] = set()
        for event in record.events[:count]:
            self._take(event, drop)

    def _take(self, event: Event, drop: str | None) -> None:
        if event.kind == "data":
            self._since.setdefault(event.inode, []).append(self._now[event.inode])
            self._now[event.inode] = event.value
        elif event.kind.startswith("sync"):
            if event.site == drop:
                return
            if event.kind == "sync file":
                self._data[event.inode] = self._now[event.inode]
                self._since.pop(event.inode, None)
                return
            if event.kind == "sync all":
                self._data = dict(self._now)
                self._since.clear()
            for number, earlier in enumerate(self._events):
                if event.kind == "sync all" or event.inode in earlier.folders:
                    self._make_durable(number)
        elif event.keys:
            self._events.append(event)

    def _make_durable(self, number: int) -> None:
        if number not in self._durable:
            self._durable.add(number)
            for earlier in self._before(number):
                self._make_durable(earlier)

    def _before(self, number: int) -> list[int]:
        keys = set(self._events[number].keys)
        return [i for i in range(number) if keys & set(self._events[i].keys)]

    def states(
        self, dice: random.Random, most: int, few: int | None = None
    ) -> Iterator[dict[str, object]]:
        """Yield disk states, path -> None, text or bytes; all where few, else `most` samples.

        few: at most so many, drawn from these.
        """
        open_ = [n for n in range(len(self._events)) if n not in self._durable]
        seen: set[int] = set()
        choices = list(self._choices(open_, dice, most))
        if few is not None:
            choices = dice.choices(choices, k=few)
        for choice in choices:
            tree = self._replay(self._durable | self._closed(choice))
            for state in self._with_data(tree, dice, one=few is not None):
                key = hash(frozenset(state.items()))
                if key not in seen:
                    seen.add(key)
                    yield state

    def _choices(self, open_: list[int], dice: random.Random, most: int) -> Iterator[set[int]]:
        if 2 ** len(open_) <= most:
            for bits in product((True, False), repeat=len(open_)):
                yield {n for n, bit in zip(open_, bits, strict=True) if bit}
            return
        yield set()
        yield set(open_)
        for number in open_:
            yield set(open_) - {number}
        for _ in range(most):
            yield {n for n in open_ if dice.random() < 0.5}

    def _closed(self, choice: set[int]) -> set[int]:
        """Leave out what comes after a change to the same name that did not happen."""
        kept: set[int] = set()
        for number in sorted(choice):
            if all(i in kept or i in self._durable for i in self._before(number)):
                kept.add(number)
        return kept

    def _replay(self, chosen: set[int]) -> Tree:
        tree = dict(self._base)
        homes = {entry.number: key for key, entry in tree.items() if isinstance(entry, Folder)}
        for number in sorted(chosen):
            event = self._events[number]
            _replay_one(tree, homes, event, number in self._durable)
        return tree

    def _with_data(
        self, tree: Tree, dice: random.Random, *, one: bool
    ) -> Iterator[dict[str, object]]:
        dirty = sorted({i for i in tree.values()
                        if isinstance(i, int) and self._now[i] != self._data[i]})  # fmt: skip
        flavours: list[dict[int, bytes]] = [{}]
        if dirty:
            variants = {i: self._variants(i, dice) for i in dirty}
            flavours = [{i: variants[i][v] for i in dirty} for v in range(4)]
            for _ in range(2):
                flavours.append({i: dice.choice(variants[i]) for i in dirty})
        paths = list(_paths(tree))
        for flavour in [dice.choice(flavours)] if one else flavours:
            content = {**self._now, **flavour}
            yield {p: content[e] if isinstance(e, int) else e for p, e in paths}

    def _variants(self, inode: int, dice: random.Random) -> list[bytes]:
        old, new = self._data[inode], self._now[inode]
        if len(old) != len(new):
            return [new, old, new[: len(new) // 2], bytes(len(new))]
        written = [old, *(v for v in self._since[inode] if len(v) == len(new)), new]
        sectors = range(0, len(new), SECTOR)

        def mixed() -> bytes:
            return b"".join(dice.choice(written)[at : at + SECTOR] for at in sectors)

        return [new, old, mixed(), mixed(), mixed(), mixed()]


def _paths(tree: Tree) -> Iterator[tuple[str, object]]:
    """Yield (path, entry) of all that can be reached; the entry of a folder is None."""
    inside: dict[int, list[tuple[str, object]]] = {}
    for key, entry in tree.items():
        folder, _, name = key.partition("/")
        inside.setdefault(int(folder), []).append((name, entry))
    left = [(ROOT, "")]
    while left:
        number, above = left.pop()
        for name, entry in inside.get(number, ()):
            if isinstance(entry, Folder):
                left.append((entry.number, f"{above}{name}/"))
            yield above + name, None if isinstance(entry, Folder) else entry


def _replay_one(tree: Tree, homes: dict[int, str], event: Event, durable: bool) -> None:
    """Replay an event; `homes` are the names of the folders in the tree."""

    def there(key: str) -> bool:
        number = _folder_of(key)
        while number != ROOT:
            if homes.get(number) not in tree:
                return False
            number = _folder_of(homes[number])
        return True

    def enter(key: str, entry: object) -> None:
        tree[key] = entry
        if isinstance(entry, Folder):
            homes[entry.number] = key

    name = event.keys[0]
    if event.kind == "new":
        if there(name):
            enter(name, event.value)
    elif event.kind == "unlink":
        tree.pop(name, None)
    elif event.kind == "rmdir":
        number = getattr(tree.get(name), "number", None)
        if not any(_folder_of(key) == number for key in tree):
            tree.pop(name, None)
    elif event.kind == "rename" and name in tree:
        target = event.keys[1]
        if there(target):
            enter(target, tree.pop(name))
        elif durable:
            del tree[name]  # it went durably into a folder that nobody can reach


def build(state: dict[str, object], root: Path) -> None:
    """Make `root` hold a disk state."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(mode=0o700, parents=True)
    for path, content in sorted(state.items()):
        full = root / path
        if content is None:
            full.mkdir(mode=0o700, exist_ok=True)
        elif isinstance(content, str):
            full.symlink_to(content)
        else:
            full.write_bytes(content)
            full.chmod(0o600)
            os.utime(full, (verbs.MTIME, verbs.MTIME))


def record(world: Path, *steps: tuple[str, int | None], config: object = None) -> Recorder:
    """Record verbs one after the other in a world; each may die at a call."""
    recorder = Recorder(world, unsynced=any(verbs.VERBS[name].unsynced for name, _ in steps))
    for name, die_at in steps:
        recorder.die_at, recorder._calls = die_at, 0
        try:
            with crashlab.hooked(recorder.hook):
                told = verbs.act(name, world, config)
        except Killed:
            recorder.mark("died")
        else:
            recorder.mark("told", told)
    return recorder
