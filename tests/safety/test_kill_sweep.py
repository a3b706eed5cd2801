"""The kill sweep: every change dies before each of its system calls, and at random moments."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import crashlab
import pytest
import verbs
from support import need_tool
from survived import TALLY
from verbs import BIG, NOW, VERBS, body

from pq_cli.commands.table import COMMANDS
from pq_cli.core.item import State
from pq_cli.errors import (
    ConflictError,
    DamagedItemError,
    NoSuchItemError,
    QueueFullError,
)
from pq_cli.spool.check.check import Check
from pq_cli.spool.check.findings import DAMAGE
from pq_cli.spool.spool import Spool

LATER = NOW + 30 * 86400


def _refuse(error: DamagedItemError) -> None:
    raise AssertionError(f"damage: {error}")


def taken_all_room(spool: Spool, root: Path) -> None:
    """Assert that the limit counts what is there: exactly that many are too many."""
    limited = Spool(root, config=spool.config.replace(max_items=len(spool)))
    with limited, pytest.raises(QueueFullError, match=f"{len(spool)} items"):
        limited.enqueue(b"one too many")


def verify(world: Path, name: str, told: list[int], died: bool) -> None:
    """Assert that a world is whole, that nothing told is lost, and that it goes on working."""
    verb, root = VERBS[name], world / "spool"
    template_ids = known_ids(world.parent / "template" / "spool")
    harmful = [f for f in verbs.findings(str(root)) if f.kind in DAMAGE]
    assert not harmful
    assert verb.source <= verbs.somewhere(world) or name == "import", "a payload is lost"
    with Spool(root, config=verb.config, clock=lambda: LATER, report=_refuse) as spool:
        before = crashlab.live_and_ended(spool)
        assert crashlab.counted(spool) == crashlab.listed(spool), "counted is what is listed"
        missing = (template_ids | set(told)) - set(before) - verb.may_go
        assert not missing, f"lost: {missing}"
        if verb.config.max_items and len(spool):
            taken_all_room(spool, root)
        if verb.again:
            verb.act(spool)
        spool.resume()
        extra = spool.enqueue(b"one more").id
        assert extra not in template_ids | set(before), "an id was given twice"
        served = crashlab.served_until_empty(spool)
        assert not (left := crashlab.forgotten(spool)), f"wait for nothing: {left}"
    ids = [item_id for item_id, _ in served]
    assert len(set(ids)) == len(ids), f"served twice: {ids}"
    payloads = Counter(payload for _, payload in served)
    for item_id, payload in served:
        assert payload in {body(item_id), body(5) * BIG, body(5), b"one more"} | verb.source
    if verb.again or verb.unsynced:
        assert {payloads[payload] for payload in verb.source} == {1}, "once, and only once"
        assert not verb.takes or not verb.source & verbs.left_outside(world)
    still = (State.HELD, State.FAILED, State.DONE)
    waiting = {item_id for item_id, state in before.items() if state not in still} | verb.served
    if verb.rivals:
        # Cut short, the old one may be served first, and then the new one, never told, too.
        rivals = verb.rivals & (set(ids) | {i for i in before if before[i] == State.FAILED})
        assert len(rivals) == 1 or (died and rivals), "both or none of the rivals"
        waiting -= verb.rivals
    assert waiting - {4} - verb.spent <= set(ids), "something was not served"
    verbs.repair(str(root))
    assert verbs.findings(str(root)) == []


def known_ids(root: Path) -> set[int]:
    """Return the ids in a spool, if it is one."""
    return {item.id for item in Spool(root, create=False).items()} if root.exists() else set()


@pytest.mark.parametrize("name", VERBS)
def test_death_before_every_call(name: str, scratch: Path) -> None:
    """Whatever call a verb dies before: nothing is lost, torn or twice, and the next verbs work."""
    template, world = scratch / "template", scratch / "world"
    verbs.prepare(name, template)
    for call in range(1, 500):
        verbs.copy(name, template, world)
        died, told = crashlab.killed_before(name, world, call)
        TALLY["deaths before a system call"] += died
        if (world / "spool" / "state.json").exists():
            verify(world, name, told, died)
        else:
            assert died, "a verb that came to its end left no spool"
        if not died:
            assert call > 1, "the verb changed nothing"
            return
    pytest.fail("the verb never came to its end")


def test_the_sweep_can_fail(scratch: Path) -> None:
    """The sweep notices a payload that goes before its meta: the order that erase must not have."""
    template, world = scratch / "template", scratch / "world"
    verbs.prepare("done", template)
    verbs.copy("done", template, world)
    next((world / "spool").glob("active/*.1")).unlink()
    with pytest.raises(AssertionError):
        verify(world, "done", [], True)


@pytest.mark.parametrize("name", ["migrate --move", "next dropped", "enqueue --move"])
def test_the_sweep_sees_what_is_lost_outside(name: str, scratch: Path) -> None:
    """The sweep notices a source that goes before its items are in, and one that enters twice."""
    template, world = scratch / "template", scratch / "world"
    verbs.prepare(name, template)
    verbs.copy(name, template, world)
    lost = next(p for p in world.rglob("*") if p.is_file() and p.read_bytes() == body(5))
    lost.unlink()
    with pytest.raises(AssertionError, match="a payload is lost"):
        verify(world, name, [], True)
    if VERBS[name].again:
        verbs.copy(name, template, world)
        verbs.act(name, world)
        for ledger in (world / "spool" / "imports").glob("*.taken"):
            ledger.unlink()
        VERBS[name].lay_out(world)
        with pytest.raises(AssertionError, match="only once"):
            verify(world, name, [], True)


LOOKS = {
    "ls": ["ls"], "show": ["show", "1"], "cat": ["cat", "1"], "stats": ["stats"],
    "wait": ["wait", "1", "--timeout", "0"],
    "explain": ["explain", "1"], "log": ["log"], "workers": ["workers"], "doctor": ["doctor"],
    "completion": ["completion", "bash"], "selftest": ["selftest"],
}  # fmt: skip
"""The commands that change no spool."""


def test_every_command_is_here() -> None:
    """A new command cannot be forgotten: its changes are swept, or it is said to make none."""
    assert {name.split()[0] for name in VERBS} == set(COMMANDS) - set(LOOKS)


@pytest.mark.parametrize("name", LOOKS)
def test_looking_changes_nothing(name: str, tmp_path: Path, monkeypatch) -> None:
    """strace sees no call of the other commands that would change the spool, or lock it."""
    need_tool("strace")
    verbs.prepare("purge", tmp_path)
    root = tmp_path / "spool"
    monkeypatch.setenv("PQ_SPOOL", str(root))
    monkeypatch.chdir(tmp_path)
    # `wait` says by its status that the item has not ended, `workers` that there are none.
    log = strace(
        tmp_path, ["-m", "pq_cli", *LOOKS[name]], "flock", check=name not in ("wait", "workers")
    )
    assert dict(strace_counts(log, str(root))) == {}


STRACE_NAMES = {
    "mkdir": "mkdir", "rmdir": "rmdir", "openat": "open", "write": "write", "pwrite64": "pwrite",
    "fsync": "fsync", "fdatasync": "fdatasync", "rename": "rename", "unlink": "unlink",
    "symlink": "symlink", "link": "link", "linkat": "link", "chmod": "chmod", "fchmod": "fchmod",
    "fchown": "fchown", "chown": "chown", "lchown": "chown", "fchownat": "chown",
    "fchmodat": "chmod", "syncfs": "syncfs", "sync": "sync", "copy_file_range": "copy_file_range",
    "truncate": "?", "ftruncate": "?", "mknodat": "?", "renameat2": "?", "renameat": "rename",
    "unlinkat": "unlink", "symlinkat": "symlink", "mkdirat": "mkdir", "fallocate": "?",
}  # fmt: skip


@pytest.mark.parametrize(
    "name", ["enqueue first", "enqueue many", "enqueue replace", "enqueue --move",
             "enqueue big file", "next due", "next due lane", "next dropped",
             "next dropped with two names", "run", "done", "fail --dead", "undo",
             "purge --state removed", "migrate --move", "import", "export --move",
             "check --repair"],
)  # fmt: skip
def test_the_hooks_see_what_strace_sees(name: str, tmp_path: Path) -> None:
    """No change to a world escapes the sweeps: strace counts the same calls as the hooks do."""
    need_tool("strace")
    template, world = tmp_path / "template", tmp_path / "world"
    verbs.prepare(name, template)
    verbs.copy(name, template, world)
    seen: Counter[str] = Counter()

    def hook(call: str, real: object, args: tuple, kwargs: dict) -> object:
        seen[call] += 1
        return real(*args, **kwargs)

    with crashlab.hooked(hook):
        verbs.act(name, world)
    verbs.copy(name, template, world)
    log = strace(tmp_path, [crashlab.__file__, name, str(world)])
    assert strace_counts(log, str(tmp_path)) == seen  # what the world lies in is synced, too


def strace(folder: Path, arguments: list[str], *more: str, check: bool = True) -> Path:
    """Run Python with these arguments; return the log of the calls that change files, and more.

    check: whether it must end with status 0.
    """
    log = folder / "strace.log"
    trace = "--trace=" + ",".join((*STRACE_NAMES, *more))
    command = ["strace", "-f", "-y", "-o", str(log), trace, sys.executable, *arguments]
    subprocess.run(command, check=check, timeout=60, stdout=subprocess.DEVNULL)
    return log


def strace_counts(log: Path, root: str) -> Counter[str]:
    """Return how often each call of a strace log changed something at `root` or below."""
    counts: Counter[str] = Counter()
    for line in log.read_text(errors="replace").splitlines():
        match = re.match(r"\d+ +(\w+)\((.*)", line)
        if match is None:
            continue
        call, rest = match.groups()
        if (call, "O_CREAT" in rest) == ("openat", False):
            continue
        if (call, "LOCK_EX" in rest) == ("flock", False):
            continue
        if call == "sync" or any(f"{root}{end}" in rest for end in ("/", '"', ">")):
            counts[STRACE_NAMES.get(call, call)] += 1
    return counts


def _busy(root: Path, seed: int, out: int) -> None:
    """Enqueue, claim, finish, fail, hold for ever; tell of each promise as it is made."""
    dice = random.Random(seed)
    with Spool(root, clock=time.time) as spool:
        while True:
            choice = dice.random()
            if choice < 0.5:
                item = spool.enqueue(b"x" * dice.randrange(3000), priority=dice.randrange(1, 11))
                os.write(out, b"in %d\n" % item.id)
                continue
            item = spool.claim(lease=60)
            if item is None:
                continue
            if choice < 0.7:
                os.write(out, b"ending %d\n" % item.id)
                spool.done(item)
            elif choice < 0.8:
                spool.fail(item, "no")
            elif choice < 0.9:
                with contextlib.suppress(ConflictError, NoSuchItemError):  # the other one took it
                    spool.hold(spool.release(item))
            else:
                spool.release(item)


def test_sigkill_at_random_moments_under_load(tmp_path: Path) -> None:
    """SIGKILL at any moment of a busy process loses no id it had told, and damages nothing."""
    root = tmp_path / "spool"
    seed = int(os.environ.get("PQ_SEED", "7"))
    rounds = 400 if os.environ.get("PQ_LONG") else 40
    dice = random.Random(seed)
    told: set[int] = set()
    for number in itertools.count():
        if number >= rounds and told:  # on a slow machine it takes longer until one is told
            break
        read_end, write_end = os.pipe()
        pids = []
        for child in range(2):
            pid = os.fork()
            if pid == 0:
                try:
                    _busy(root, seed + 10 * number + child, write_end)
                finally:
                    os._exit(99)
            pids.append(pid)
        os.close(write_end)
        time.sleep(dice.uniform(0.001, 0.06))
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        with os.fdopen(read_end, "rb") as stream:
            lines = [line.split() for line in stream if line.endswith(b"\n")]
        for pid in pids:
            assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGKILL
            TALLY["kills at random moments"] += 1
        fresh = [int(number) for word, number in lines if word == b"in"]
        assert len(set(fresh)) == len(fresh) and not told & set(fresh), "an id was told twice"
        told |= set(fresh)
        told -= {int(number) for word, number in lines if word == b"ending"}
    findings = list(Check(str(root), 5.0, stale_after=-1e9, patience=0.0).run(repair=False))
    assert [f for f in findings if f.kind in DAMAGE] == []
    with Spool(root, report=_refuse) as spool:
        assert told <= set(crashlab.live_and_ended(spool)), f"lost (PQ_SEED={seed})"
        for item_id in told:
            spool.payload(item_id)
    assert told
