"""The power-loss sweep: every disk state that a crash of the machine may leave is opened."""

from __future__ import annotations

import json
import os
import random
import shutil
from contextlib import nullcontext, suppress
from pathlib import Path

import crashlab
import powerloss
import pytest
import verbs
from powerloss import Disk, Recorder, record
from survived import TALLY
from verbs import BIG, NOW, VERBS, body

from pq_cli import host
from pq_cli.core import meta
from pq_cli.core.item import LIVE, Item, State
from pq_cli.core.policy import QueueConfig
from pq_cli.errors import DamagedItemError, KeyTakenError, NoSuchItemError, PqError
from pq_cli.spool.spool import Spool

LONG = bool(os.environ.get("PQ_LONG"))
SAMPLES = 64 if LONG else 6
MOST_STATES = 5000 if LONG else 60
SEED = int(os.environ.get("PQ_SEED", "3"))
UNSYNCED = {name for name in VERBS if name.split()[0] in ("next", "renew")}
"""Verbs whose effect a power loss may take back, as pq-spool(5) says."""
WHOLE = {body(i) for i in range(1, 40)} | {body(5) * BIG, b"one more"}
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
    return (spool.paused, json.loads(Path(spool.path, "state.json").read_bytes())["aged_at"], text)


def _torn(spool: Spool, item_id: int) -> bool:
    """Tell whether an item is damaged: those behind it wait until somebody has dealt with it."""
    try:
        spool.get(item_id)
    except DamagedItemError:
        return True
    except NoSuchItemError:
        pass
    return False


def _facts(item: Item) -> tuple:
    return (item.state, item.priority, item.not_before, item.key, item.attempts)


@pytest.fixture
def other_boot():
    """Return a function that makes this process believe in another boot, or in its own again."""
    own = host.boot_id()

    def set_boot(name: str | None) -> None:
        host.known_boot = (os.getpid(), own if name is None else f"{name}/pid:[1]")

    yield set_boot
    set_boot(None)


class Sweep:
    """Opens the disk states of one record and holds them to the promises."""

    def __init__(self, recorder: Recorder, world: Path, names: list[str], config: QueueConfig,
                 before: View, after: View, set_boot) -> None:  # fmt: skip
        self.recorder, self.world, self.names, self.config = recorder, world, names, config
        self.root, self.verb = world / "spool", VERBS[names[0]]
        self.before, self.after = before, after
        self.set_boot = set_boot
        self.full = config.durability == "full"
        self.opened = 0
        self.ends_only = False
        """Whether one of the verbs was cut short, so that only what has ended was promised."""

    def given(self, count: int) -> set[int]:
        """Return the ids under which anything ever lay in the spool up to this event."""
        names = [Path(key).name for e in self.recorder.events[:count] for key in e.keys]
        return {int(n[:10]) for n in names if n[:10].isdigit() and len(n) >= 10} | set(self.before)

    def run(self, drop: str | None = None, most: int | None = MOST_STATES,
            counts: list[int] | None = None) -> None:  # fmt: skip
        """Open about `most` states, or all, after each event of `counts` (default: all events)."""
        dice = random.Random(SEED)
        counts = counts or list(range(len(self.recorder.events), -1, -1))
        few = None if LONG or most is None else max(4, most // max(1, len(counts)))
        for count in counts:
            for state in Disk(self.recorder, count, drop).states(dice, SAMPLES, few):
                if self.verb.fresh and "spool/state.json" not in state:
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
            # In one boot nothing that was written is forgotten, but ids depend on this file only.
            powerloss.build(state if boot else state | self._counter(count), self.world)
            self.set_boot(boot)
            self.booted = boot is not None
            try:
                self._check(count)
            finally:
                self.set_boot(None)

    def _counter(self, count: int) -> dict[str, object]:
        """Return the counter as it was written last."""
        for event in reversed(self.recorder.events[:count]):
            if event.kind == "data" and event.keys == ("spool/counter",):
                return {"spool/counter": event.value}
        return {}

    def _check(self, count: int) -> None:
        done = [e for e in self.recorder.events[:count] if e.kind == "told"]
        finished = sum(e.kind in ("told", "died") for e in self.recorder.events[:count])
        damaged: list[str] = []
        report = lambda error: damaged.append(str(error))  # noqa: E731
        clock = NOW + 11
        with Spool(self.root, config=self.config, clock=lambda: clock, report=report) as spool:
            found: View = {0: _about(spool)}
            if self.booted and self.full:
                self._counts_agree(spool)
            for item in spool.items():
                if item.id in found:
                    raise Broken(f"item {item.id} is there twice")
                found[item.id] = _facts(item)
            if self.full:
                over = finished == len(self.names)
                self._promised(found, [i for e in done for i in e.value], over)
                promised = set(self.before) | {i for e in done for i in e.value}
                self._keys_hold(
                    spool, {i: facts for i, facts in found.items() if i in promised},
                    set() if over and done else self._rivals(),
                )  # fmt: skip
                if self.verb.again:
                    self.verb.act(spool)
            spool.resume()
            clock = NOW + 30 * 86400
            extra = spool.enqueue(b"one more").id
            if self.booted and self.full:
                self._counts_agree(spool)  # also who has cleared away what was rolled back
            if extra in self.given(count):
                raise Broken(f"id {extra} is given a second time")
            served = crashlab.served_until_empty(spool)
            told = {i for e in done for i in e.value} if self.full else set()
            self._kept_whole(spool, told)
            self._nobody_is_forgotten(spool, told)
        ids = [item_id for item_id, _ in served]
        if len(set(ids)) != len(ids):
            raise Broken(f"served twice: {ids}")
        torn = self._torn_before_pq_came(bool(done))
        for item_id, payload in served:
            if payload not in WHOLE and payload not in torn:
                raise Broken(f"torn bytes of item {item_id} were served")
        if self.full:
            self._served(found, ids, [i for e in done for i in e.value])
            self._source_is_once([payload for _, payload in served], torn)

    def _counts_agree(self, spool: Spool) -> None:
        """Who goes by names counts what is there."""
        counted, listed = crashlab.counted(spool), crashlab.listed(spool)
        if counted != listed:
            raise Broken(f"counted are {counted}, listed {listed}")

    def _torn_before_pq_came(self, told: bool) -> set[bytes]:
        """Return what a dropped file may hold that its owner has not synced, and pq not yet."""
        if not self.verb.unsynced or (told and self.full):
            return set()
        return {t for p in self.verb.source for t in (b"", p[: len(p) // 2], bytes(len(p)))}

    def _source_is_once(self, payloads: list[bytes], torn: set[bytes]) -> None:
        """What came from outside was served once; it is nowhere twice, and still there if not."""
        fresh = [p for p in payloads if p in self.verb.source | torn]
        if self.verb.again or self.verb.unsynced:
            if len(fresh) != len(self.verb.source) or (not torn and set(fresh) != self.verb.source):
                raise Broken(f"from outside were served: {fresh}")
            if self.verb.takes and self.verb.source & verbs.left_outside(self.world):
                raise Broken("what has been taken is still there")
        elif lost := self.verb.source - set(fresh) - verbs.left_outside(self.world):
            raise Broken(f"lost from outside: {lost}")

    def _promised(self, found: View, told: list[int], finished: bool) -> None:
        """What was told is there; what was done before and after the verbs stays so."""
        may_go = set().union(*(VERBS[name].may_go for name in self.names))
        lost = (set(self.before) | set(told)) - set(found) - may_go
        if self.ends_only:
            lost &= set(self.after)
        if lost:
            raise Broken(f"lost: {lost}")
        if self.ends_only:
            if finished and (back := set(found) - set(self.after)):
                raise Broken(f"they had ended: {back}")
            return
        if finished and not UNSYNCED & set(self.names) and found != self.after:
            raise Broken(f"taken back: {found} instead of {self.after}")
        for item_id, facts in found.items():
            stays = self.before.get(item_id) == self.after.get(item_id)
            if stays and item_id in self.before and facts != self.before[item_id]:
                raise Broken(f"item {item_id} became {facts}")

    def _kept_whole(self, spool: Spool, told: set[int]) -> None:
        """What was told and is served to nobody, as it failed or is held, has its payload."""
        for item in list(spool.items()):
            if item.id in told and (payload := spool.payload(item)) not in WHOLE:
                raise Broken(f"item {item.id} holds {payload[:40]!r}")

    def _nobody_is_forgotten(self, spool: Spool, told: set[int]) -> None:
        """Those that come after others are told how these end, and of those that are retried."""
        for retry in (False, True):
            for item in list(spool.items([State.FAILED])) if retry else []:
                # A rival may be back in "fast", and has its key.
                with suppress(KeyTakenError) if item.id in self._rivals() else nullcontext():
                    if not item.follows:
                        spool.retry(item)
            left = set(crashlab.forgotten(spool)) & (set(self.before) | told)
            if not self.full:
                left = {i for i in left if not any(_torn(spool, p) for p in spool.get(i).after)}
            if left:
                raise Broken(f"wait for nothing: {left}")

    def _rivals(self) -> set[int]:
        return set().union(*(VERBS[name].rivals for name in self.names))

    def _keys_hold(self, spool: Spool, found: View, rivals: set[int]) -> None:
        """Nobody gets the key of an item that was promised and lives."""
        for item_id, facts in found.items():
            if item_id and facts[3] is not None and facts[0] in LIVE and item_id not in rivals:
                owner = spool.enqueue(b"one more", key=facts[3]).id
                if owner != item_id:
                    raise Broken(f"key {facts[3]} of item {item_id} was given to {owner}")

    def _served(self, found: View, ids: list[int], told: list[int]) -> None:
        rivals = self._rivals()
        for item_id in (set(self.before) | set(told)) & set(found) - rivals - self.verb.spent - {0}:
            if found[item_id][0] in ("pending", "delayed", "active") and item_id not in ids:
                raise Broken(f"item {item_id} was promised and is not served")
        ended = {i for i in rivals & set(found) if found[i][0] == State.FAILED}
        if rivals and not self.ends_only and not (rivals | set(told)) & set(ids) | ended:
            raise Broken("neither of the rivals was served")


def sweep_of(scratch: Path, steps: list[tuple[str, int | None]], durability: str, set_boot):
    """Record verbs in a spool of this durability; return the sweep over that record."""
    first = steps[0][0]
    config = VERBS[first].config.replace(durability=durability)
    template, world = scratch / "template", scratch / "world"
    shutil.rmtree(template, ignore_errors=True)
    verbs.prepare(first, template, config)
    verbs.copy(first, template, world)
    before = {} if VERBS[first].fresh else view(world / "spool", config)
    recorder = record(world, *steps, config=config)
    after = view(world / "spool", config)
    names = [name for name, _ in steps]
    return Sweep(recorder, world, names, config, before, after, set_boot)


SWEPT = [name for name in VERBS if name != "check --repair"]


@pytest.mark.parametrize("name", SWEPT)
def test_full(name: str, scratch: Path, other_boot) -> None:
    """In "full" no power loss loses a told id, takes back what was acknowledged, or tears."""
    sweep = sweep_of(scratch, [(name, None)], "full", other_boot)
    sweep.run()
    assert sweep.opened


@pytest.mark.parametrize("name", SWEPT)
def test_fast(name: str, scratch: Path, other_boot) -> None:
    """In "fast" a power loss may lose the last items, but tears, doubles and reuses nothing."""
    sweep = sweep_of(scratch, [(name, None)], "fast", other_boot)
    sweep.run()
    assert sweep.opened


@pytest.mark.parametrize(
    "name", ["enqueue", "enqueue lane", "enqueue delayed", "enqueue many", "enqueue keyed",
             "enqueue first lane", "enqueue reserving", "enqueue --after", "next due lane",
             "enqueue replace", "next dropped", "next dropped with two names", "import",
             "migrate --move", "export --move fails", "next lost awaited"],
)  # fmt: skip
def test_a_kill_and_then_a_power_loss(name: str, scratch: Path, other_boot) -> None:
    """Who is killed half way leaves nothing unsynced that the next one builds a promise on."""
    at_each = LONG or name in ("enqueue first lane", "enqueue reserving")
    for call in range(1, 200, 1 if at_each else 3):
        sweep = sweep_of(scratch, [(name, call), (name, None)], "full", other_boot)
        whole = not any(event.kind == "died" for event in sweep.recorder.events)
        if not (whole and sweep.verb.rivals):  # done twice, the second takes the first one's place
            sweep.run(most=MOST_STATES // 5, counts=[len(sweep.recorder.events)])
        if whole:
            return
    pytest.fail("the verb never came to its end")


@pytest.mark.parametrize("name", ["enqueue replace", "enqueue replace first"])
def test_one_of_two_is_left_and_not_the_old_one_of_a_new_one_at_work(
    name: str, scratch: Path, other_boot
) -> None:
    """When a claim has been told, nothing brings back what its item has taken the place of.

    And who passes the old one over does not end it before the new one is durable.
    """
    for call in range(1, 200):
        steps = [(name, call), ("next", None)]
        sweep = sweep_of(scratch, steps, "full", other_boot)
        events = sweep.recorder.events
        with Spool(sweep.root) as spool:
            claimed = 6 in [item.id for item in spool.items([State.ACTIVE])]
        for state in Disk(sweep.recorder, len(events)).states(random.Random(SEED), SAMPLES * 8):
            powerloss.build(state, sweep.world)
            left = set(view(sweep.root, sweep.config)) & {5, 6}
            assert left == {6} if claimed else left
        if not any(event.kind == "died" for event in events):
            assert claimed or name != "enqueue replace"
            return
    pytest.fail("the verb never came to its end")


@pytest.mark.parametrize("name", ["release", "retry", "undo", "enqueue", "enqueue replace"])
def test_an_end_lasts_whoever_died_before(name: str, scratch: Path, other_boot) -> None:
    """What is done stays done, also where another process had changed the item, unsynced."""
    for call in range(1, 200):
        sweep = sweep_of(scratch, [(name, call), ("done next", None)], "full", other_boot)
        sweep.ends_only = True
        sweep.run(most=MOST_STATES // 2, counts=[len(sweep.recorder.events)])
        if not any(event.kind == "died" for event in sweep.recorder.events):
            return
    pytest.fail("the verb never came to its end")


@pytest.mark.parametrize("name", ["done awaited", "done awaited kept", "fail --dead awaited"])
def test_who_comes_after_is_told_whoever_died_before(name: str, scratch: Path, other_boot) -> None:
    """By the next claim, of an end that may still be taken back, or was only made ready."""
    for call in range(1, 200):
        steps = [(name, call), ("next lost awaited", None)]
        sweep = sweep_of(scratch, steps, "full", other_boot)
        sweep.run(most=MOST_STATES // 2, counts=[len(sweep.recorder.events)])
        if not any(event.kind == "died" for event in sweep.recorder.events):
            return
    pytest.fail("the verb never came to its end")


def sites(scratch: Path, set_boot) -> dict[str, list[str]]:
    """Return the places in pq that sync, each with the verbs that come by there."""
    found: dict[str, list[str]] = {}
    for name in SWEPT:
        sweep = sweep_of(scratch, [(name, None)], "full", set_boot)
        for event in sweep.recorder.events:
            if event.kind.startswith("sync") and name not in found.setdefault(event.site, []):
                found[event.site].append(name)
    del found["set_mode for open_drop_box"]  # the model knows no modes
    return found


def goes_red(site: str, names: list[str], scratch: Path, set_boot) -> bool:
    """Tell whether some promise is broken when the syncs of a site do nothing."""
    scenarios: list[list[tuple[str, int | None]]] = [[(name, None)] for name in names]
    if "enqueue keyed" in names or "enqueue skip" in names:
        keyed = "enqueue keyed"
        scenarios += [[(keyed, call), (keyed, None)] for call in range(12, 26)]
    if "cancel replaced" in names:  # by a person, right after the other process died
        scenarios += [[("enqueue replace", n), ("cancel replaced", None)] for n in range(26, 30)]
    for most, at_the_end in ((None, True), (MOST_STATES, False), (None, False)):
        for steps in scenarios:
            sweep = sweep_of(scratch, steps, "full", set_boot)
            counts = [len(sweep.recorder.events)] if at_the_end else None
            try:
                sweep.run(drop=site, most=most, counts=counts)
            except (Broken, PqError, OSError):
                return True
    return False


def test_the_padding_is_needed(scratch: Path, other_boot, monkeypatch) -> None:
    """Without it a claim would share a sector with what must survive, and tear it."""
    real = meta.whole_sectors

    def unpadded(text: bytes, end: bytes) -> bytes:
        return text + end if end == b"\n" else real(text, end)

    monkeypatch.setattr(meta, "whole_sectors", unpadded)
    sweep = sweep_of(scratch, [("next", None)], "full", other_boot)
    with pytest.raises((Broken, PqError)):
        sweep.run(most=None)


def test_every_sync_is_needed(scratch: Path, other_boot) -> None:
    """The model can fail: without any one of the syncs that pq makes, some promise is broken."""
    found = sites(scratch, other_boot)
    assert len(found) > 10
    needless = [site for site in found if not goes_red(site, found[site], scratch, other_boot)]
    assert needless == []
