"""The power-loss sweep: every disk state that a crash of the machine may leave is opened."""

from __future__ import annotations

import os
import random
from pathlib import Path

import crashlab
import powerloss
import pytest
from crashlab import NOW, TALLY, VERBS, body
from powerloss import Disk, Recorder, record

from pq_cli.core.item import Item
from pq_cli.core.policy import QueueConfig
from pq_cli.errors import PqError
from pq_cli.spool import holder
from pq_cli.spool.spool import Spool

LONG = bool(os.environ.get("PQ_LONG"))
SAMPLES = 64 if LONG else 6
MOST_STATES = 5000 if LONG else 60
SEED = int(os.environ.get("PQ_SEED", "3"))
UNSYNCED = {"claim", "claim due", "claim lost", "renew"}
"""Verbs whose effect a power loss may take back, as pq-spool(5) says."""
WHOLE = {body(i) for i in range(1, 40)} | {body(5) * 100_000, b"one more"}
View = dict[int, tuple]


class Broken(AssertionError):
    """A promise was not kept."""


def view(root: Path, config: QueueConfig) -> View:
    """Return what each item is, as far as verbs promise it."""
    with Spool(root, config=config, clock=lambda: NOW + 10, create=False) as spool:
        return {item.id: _facts(item) for item in spool.items()} | {0: _about(spool)}


def _about(spool: Spool) -> tuple:
    """Return what verbs promise about the spool itself; it stands under the id 0, never given."""
    config = Path(spool.path, "queue.toml")
    text = config.read_bytes() if config.exists() else None
    return (spool.paused, spool._store.present_state().aged_at, text)


def _facts(item: Item) -> tuple:
    return (item.state, item.priority, item.not_before, item.key, item.attempts)


@pytest.fixture
def other_boot():
    """Return a function that makes this process believe in another boot, or in its own again."""
    own = holder.boot_id()

    def set_boot(name: str | None) -> None:
        holder._boot = (os.getpid(), own if name is None else f"{name}/pid:[1]")

    yield set_boot
    set_boot(None)


class Sweep:
    """Opens the disk states of one record and holds them to the promises."""

    def __init__(self, recorder: Recorder, root: Path, names: list[str], config: QueueConfig,
                 before: View, after: View, set_boot) -> None:  # fmt: skip
        self.recorder, self.root, self.names, self.config = recorder, root, names, config
        self.before, self.after = before, after
        self.set_boot = set_boot
        self.full = config.durability == "full"
        self.opened = 0

    def given(self, count: int) -> set[int]:
        """Return the ids under which anything ever lay in the spool up to this event."""
        names = [Path(key).name for e in self.recorder.events[:count] for key in e.keys]
        return {int(n[:10]) for n in names if n[:10].isdigit() and len(n) >= 10} | set(self.before)

    def run(self, drop: str | None = None, most: int = MOST_STATES,
            counts: list[int] | None = None) -> None:  # fmt: skip
        """Open states, about `most`, after each event of `counts` (default: all, last first)."""
        dice = random.Random(SEED)
        counts = counts or list(range(len(self.recorder.events), -1, -1))
        share = max(4, most // max(1, len(counts)))
        for count in counts:
            states = list(Disk(self.recorder, count, drop).states(dice, SAMPLES))
            if not LONG and drop is None and len(states) > share:
                states = dice.sample(states, share)
            for state in states:
                if self.names[0] == "first" and "state.json" not in state:
                    if any(e.kind == "told" for e in self.recorder.events[:count]):
                        raise Broken("the spool is gone")
                    continue
                self.check(state, count)

    def check(self, state: dict[str, object], count: int) -> None:
        """Raise Broken if the promises made in the first `count` events are not kept."""
        self.opened += 1
        TALLY["disk states after a power loss"] += 1
        boots = (None, "another") if self.full else ("another",)
        for boot in boots:
            powerloss.build(state, self.root)
            self.set_boot(boot)
            try:
                self._check(count)
            finally:
                self.set_boot(None)

    def _check(self, count: int) -> None:
        done = [e for e in self.recorder.events[:count] if e.kind == "told"]
        finished = sum(e.kind in ("told", "died") for e in self.recorder.events[:count])
        damaged: list[str] = []
        report = lambda error: damaged.append(str(error))  # noqa: E731
        clock = NOW + 11
        with Spool(self.root, config=self.config, clock=lambda: clock, report=report) as spool:
            found: View = {0: _about(spool)}
            for item in spool.items():
                if item.id in found:
                    raise Broken(f"item {item.id} is there twice")
                found[item.id] = _facts(item)
            if self.full:
                self._promised(found, [i for e in done for i in e.value],
                               finished == len(self.names))  # fmt: skip
                self._keys_hold(spool, found)
            spool.resume()
            clock = NOW + 30 * 86400
            extra = spool.enqueue(b"one more").id
            if extra in self.given(count):
                raise Broken(f"id {extra} is given a second time")
            served = crashlab.served_until_empty(spool)
        ids = [item_id for item_id, _ in served]
        if len(set(ids)) != len(ids):
            raise Broken(f"served twice: {ids}")
        for item_id, payload in served:
            if payload not in WHOLE:
                raise Broken(f"torn bytes of item {item_id} were served")
        if self.full:
            self._served(found, ids, [i for e in done for i in e.value])

    def _promised(self, found: View, told: list[int], finished: bool) -> None:
        """What was told is there; what was done before and after the verbs stays so."""
        may_go = set().union(*(VERBS[name].may_go for name in self.names))
        lost = (set(self.before) | set(told)) - set(found) - may_go
        if lost:
            raise Broken(f"lost: {lost}")
        if finished and not UNSYNCED & set(self.names) and found != self.after:
            raise Broken(f"taken back: {found} instead of {self.after}")
        for item_id, facts in found.items():
            stays = self.before.get(item_id) == self.after.get(item_id)
            if stays and item_id in self.before and facts != self.before[item_id]:
                raise Broken(f"item {item_id} became {facts}")

    def _keys_hold(self, spool: Spool, found: View) -> None:
        """Nobody gets the key of an item that was promised and lives."""
        rivals = set().union(*(VERBS[name].rivals for name in self.names))
        for item_id, facts in found.items():
            if item_id and facts[3] is not None and item_id not in rivals:
                owner = spool.enqueue(b"one more", key=facts[3]).id
                if owner != item_id:
                    raise Broken(f"key {facts[3]} of item {item_id} was given to {owner}")

    def _served(self, found: View, ids: list[int], told: list[int]) -> None:
        rivals = set().union(*(VERBS[name].rivals for name in self.names))
        for item_id in (set(self.before) | set(told)) & set(found) - rivals - {0}:
            if found[item_id][0] in ("pending", "delayed", "active") and item_id not in ids:
                raise Broken(f"item {item_id} was promised and is not served")
        if rivals and not rivals & set(ids):
            raise Broken("neither of the rivals was served")


def scratch(tmp_path: Path) -> Path:
    """Return a folder in memory where there is one: only the model's disk matters here."""
    memory = Path("/dev/shm")
    return memory / tmp_path.parent.name / tmp_path.name if memory.is_dir() else tmp_path


def sweep_of(tmp_path: Path, steps: list[tuple[str, int | None]], durability: str, set_boot):
    """Record verbs in a spool of this durability; return the sweep over that record."""
    first = steps[0][0]
    config = VERBS[first].config.replace(durability=durability)
    root = scratch(tmp_path) / "recorded"
    root.parent.mkdir(exist_ok=True, parents=True)
    crashlab.copy(tmp_path / "none", root)
    crashlab.prepare(first, root, config)
    before = view(root, config) if root.exists() else {}
    root.mkdir(exist_ok=True, mode=0o700)
    recorder = record(root, *steps, config=config)
    after = view(root, config)
    names = [name for name, _ in steps]
    return Sweep(recorder, scratch(tmp_path) / "opened", names, config, before, after, set_boot)


SWEPT = [name for name in VERBS if name != "repair"]


@pytest.mark.parametrize("name", SWEPT)
def test_full(name: str, tmp_path: Path, other_boot) -> None:
    """In "full" no power loss loses a told id, takes back what was acknowledged, or tears."""
    sweep = sweep_of(tmp_path, [(name, None)], "full", other_boot)
    sweep.run()
    assert sweep.opened


@pytest.mark.parametrize("name", SWEPT)
def test_fast(name: str, tmp_path: Path, other_boot) -> None:
    """In "fast" a power loss may lose the last items, but tears, doubles and reuses nothing."""
    sweep = sweep_of(tmp_path, [(name, None)], "fast", other_boot)
    sweep.run()
    assert sweep.opened


@pytest.mark.parametrize("name", ["enqueue", "lane", "delayed", "many", "keyed"])
def test_a_kill_and_then_a_power_loss(name: str, tmp_path: Path, other_boot) -> None:
    """Who is killed half way leaves nothing unsynced that the next one builds a promise on."""
    for call in range(1, 40, 1 if LONG else 3):
        sweep = sweep_of(tmp_path, [(name, call), (name, None)], "full", other_boot)
        sweep.run(most=MOST_STATES // 5, counts=[len(sweep.recorder.events)])


def sites(tmp_path: Path, set_boot) -> dict[str, list[str]]:
    """Return the places in pq that sync, each with the verbs that come by there."""
    found: dict[str, list[str]] = {}
    for name in SWEPT:
        sweep = sweep_of(tmp_path, [(name, None)], "full", set_boot)
        for event in sweep.recorder.events:
            if event.kind.startswith("sync") and name not in found.setdefault(event.site, []):
                found[event.site].append(name)
    return found


def goes_red(site: str, names: list[str], tmp_path: Path, set_boot) -> bool:
    """Tell whether some promise is broken when the syncs of a site do nothing."""
    scenarios: list[list[tuple[str, int | None]]] = [[(name, None)] for name in names]
    if "keyed" in names or "skip" in names:
        scenarios += [[("keyed", call), ("keyed", None)] for call in range(12, 26)]
    for steps in scenarios:
        try:
            sweep_of(tmp_path, steps, "full", set_boot).run(drop=site, most=10**9)
        except (Broken, PqError, OSError):
            return True
    return False


def test_every_sync_is_needed(tmp_path: Path, other_boot) -> None:
    """The model can fail: without any one of the syncs that pq makes, some promise is broken."""
    found = sites(tmp_path, other_boot)
    assert len(found) > 10
    needless = [site for site in found if not goes_red(site, found[site], tmp_path, other_boot)]
    assert not needless, needless
