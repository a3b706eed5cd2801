"""`pq check`: every kind of finding is found, judged and mended; no payload byte is deleted."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from verbs import NOW, body, fill, findings, repair

from pq_cli.errors import DamagedItemError
from pq_cli.spool.check.check import Check
from pq_cli.spool.check.findings import DAMAGE, KINDS
from pq_cli.spool.spool import Spool

LANE = "pending/05/0000000"


def _meta(root: Path, change: Callable[[dict], object], path: str = f"{LANE}/0000000001") -> None:
    meta = root / f"{path}.meta.json"
    values = json.loads(meta.read_bytes())
    change(values)
    meta.write_text(json.dumps(values))


def _write(root: Path, path: str, data: bytes) -> None:
    (root / path).write_bytes(data)
    (root / path).chmod(0o600)


def _copy_item(root: Path, source: str, target: str) -> None:
    (root / target).parent.mkdir(mode=0o700, exist_ok=True, parents=True)
    for end in ("", ".meta.json"):
        _write(root, target + end, (root / (source + end)).read_bytes())


def _misplace(root: Path) -> None:
    (root / "held/0000007").mkdir(mode=0o700)
    for end in ("", ".meta.json"):
        (root / f"held/0000000/0000000004{end}").rename(root / f"held/0000007/0000000004{end}")


def _hand_over(root: Path) -> None:
    (root / "imports").mkdir(mode=0o700, exist_ok=True)
    _copy_item(root, f"{LANE}/0000000001", "imports/handover/0000000006")
    _meta(root, lambda m: m.update(id=6), "imports/handover/0000000006")


def _waits(root: Path) -> None:
    with Spool(root, clock=lambda: NOW) as spool:
        assert spool.enqueue(body(6), after=[1]).id == 6


def _link(root: Path, path: str, text: str = "77") -> None:
    for parent in reversed(Path(path).parents):
        (root / parent).mkdir(mode=0o700, exist_ok=True)
    (root / path).symlink_to(text)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "tmp": lambda root: (
        _write(root, "tmp/meta-999999999-00", b"x"),
        _write(root, "tmp/in-999999999-00", b"part of a payload"),
    ),
    "orphan": lambda root: _write(root, f"{LANE}/0000000900", b"bytes"),
    "handover": _hand_over,
    "behind": lambda root: (root / f"{LANE}/0000000001").rename(root / "held/0000000/0000000001"),
    "ahead": lambda root: _meta(root, lambda m: m.update(state="held")),
    "key": lambda root: (root / "keys/gone").symlink_to("77"),
    "unmarked": lambda root: (root / "keys/k").unlink(),
    "superseded": lambda root: _meta(root, lambda m: m.update(key="k")),
    "follower": lambda root: _link(root, "after/0000000001/0000000077"),
    "untold": lambda root: (_waits(root), _link(root, "after/untold/0000000001", "failed.x")),
    "unlinked": lambda root: (_waits(root), (root / "after/0000000001/0000000006").unlink()),
    "empty": lambda root: (root / "held/0000009").mkdir(mode=0o700),
    "meta": lambda root: _write(root, f"{LANE}/0000000001.meta.json", b"{"),
    "missing": lambda root: (root / f"{LANE}/0000000001").unlink(),
    "torn": lambda root: _write(root, f"{LANE}/0000000001", bytes(len(body(1)))),
    "twice": lambda root: _copy_item(root, f"{LANE}/0000000001", "failed/0000000/0000000001"),
    "misplaced": _misplace,
    "foreign": lambda root: _write(root, f"{LANE}/notes.txt", b"mine"),
    "folder": lambda root: (root / "done").rmdir(),
    "mode": lambda root: (root / f"{LANE}/0000000001").chmod(0o644),
    "owner": lambda root: os.chown(root / f"{LANE}/0000000001", 12345, 12345),
    "counter": lambda root: _write(root, "state.json", b"?"),
    "log": lambda root: _in_annex(root, "logs/0000000/0000000900/1.log", b"{}"),
    "ended": lambda root: Path(root, "active", "0000000099.1.done").write_bytes(b"done"),
    "worker": lambda root: _in_annex(root, "workers/999999999-00", b""),
    "config": lambda root: _write(root, "queue.toml", b"nonsense = 1\n"),
}


def _removed(root: Path) -> Path:
    """Remove item 1; return where its payload lies now."""
    with Spool(root, clock=lambda: NOW) as spool:
        spool.remove(1)
    (payload,) = (root / "removed").glob("*/*/0000000001")
    return payload


def _in_annex(root: Path, path: str, data: bytes = b"mine") -> None:
    _folder(root, str(Path(path).parent))
    _write(root, path, data)


def _folder(root: Path, path: str) -> None:
    for parent in (*reversed(Path(path).parents), Path(path)):
        (root / parent).mkdir(mode=0o700, exist_ok=True)


ANNEXES: dict[str, tuple[str, Callable[[Path], object]]] = {
    "torn and removed": ("torn", lambda root: _removed(root).write_bytes(bytes(len(body(1))))),
    "payload gone though removed": ("missing", lambda root: _removed(root).unlink()),
    "meta gone though removed": ("orphan", lambda r: Path(f"{_removed(r)}.meta.json").unlink()),
    "damaged meta and removed": (
        "meta", lambda root: Path(f"{_removed(root)}.meta.json").write_bytes(b"{"),
    ),
    "no state and removed": (
        "meta",
        lambda root: _meta(root, lambda m: m.update(state="?"),
                           str(_removed(root).relative_to(root))),
    ),
    "removed and there": (
        "twice",
        lambda root: _copy_item(root, str(_removed(root).relative_to(root)), f"{LANE}/0000000001"),
    ),
    "empty batch": (
        "empty", lambda root: _folder(root, "removed/0000001/001"),
    ),
    "made ahead and ended": (
        "untold",
        lambda root: (_waits(root), _link(root, "after/untold/0000000077.soon", "done.x")),
    ),
    "foreign mark": ("foreign", lambda root: _link(root, "after/untold/mine.soon")),
    "foreign and removed": ("foreign", lambda r: _in_annex(r, "removed/0000001/001/x")),
    "foreign second": ("foreign", lambda root: _in_annex(root, "removed/mine/0000000001")),
    "open to others": ("mode", lambda root: _removed(root).chmod(0o644)),
    "foreign log": ("foreign", lambda root: _in_annex(root, "logs/0000000/0000000001/notes")),
    "foreign block of logs": ("foreign", lambda root: _in_annex(root, "logs/mine/1.log")),
    "foreign in imports": ("foreign", lambda root: _in_annex(root, "imports/notes.txt")),
    "batch cut short": ("tmp", lambda root: _in_annex(root, "imports/batch/payload-0")),
    "foreign worker": ("foreign", lambda root: _in_annex(root, "workers/a worker")),
    "logs are a link": ("foreign", lambda root: (root / "logs").symlink_to("held")),
}  # fmt: skip


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """A spool of five items, one held, one with a key."""
    with Spool(tmp_path / "s", clock=lambda: NOW) as made:
        fill(made)
        made.enqueue(body(5), key="k")
    return tmp_path / "s"


def payloads(root: Path) -> list[bytes]:
    """Return what every file holds that is neither a meta nor pq's own."""
    own = (
        ".meta.json",
        ".log",
        ".reason",
        "state.json",
        "counter",
        "lock",
        "log",
        "spare",
        "queue.toml",
    )
    files = [p for p in root.rglob("*") if p.is_file() and not p.is_symlink()]
    return sorted(
        p.read_bytes()
        for p in files
        if not p.name.endswith(own) and p.stat().st_size and not p.name.startswith("meta-")
    )


def test_a_good_spool_has_no_findings(spool: Path) -> None:
    """Nothing is found where nothing is wrong, and looking changes nothing."""
    before = sorted((str(p), p.lstat().st_mtime_ns) for p in spool.rglob("*"))
    assert findings(str(spool)) == []
    assert sorted((str(p), p.lstat().st_mtime_ns) for p in spool.rglob("*")) == before


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_found_and_mended(kind: str, spool: Path) -> None:
    """Each kind is found by its name; repair mends it and keeps every payload byte."""
    if kind == "owner" and os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    DAMAGES[kind](spool)
    before = [payload for payload in payloads(spool) if payload != b"done"]
    found = findings(str(spool))
    assert kind in {f.kind for f in found}
    assert any(f.damage for f in found) is (kind in DAMAGE)
    mended = repair(str(spool))
    assert all(f.mended for f in mended) or kind == "config"
    assert payloads(spool) == before
    left = findings(str(spool))
    assert [f.kind for f in left] == (["config"] if kind == "config" else [])
    if kind == "config":
        return
    with Spool(spool, clock=lambda: NOW + 1) as again:
        known = {item.id for item in again.items()}
        assert again.enqueue(b"new").id not in known | {1, 2, 3, 4, 5}
        for item in again.items():
            again.payload(item)


@pytest.mark.parametrize("name", ANNEXES)
def test_removed_items_logs_imports_and_workers_are_looked_at(name: str, spool: Path) -> None:
    """What lies beside the items is found and mended likewise, and no payload byte is deleted."""
    kind, damage = ANNEXES[name]
    damage(spool)
    before = payloads(spool)
    assert [f.kind for f in findings(str(spool))] == [kind]
    assert all(f.mended for f in repair(str(spool)))
    assert findings(str(spool)) == []
    assert payloads(spool) == before
    with Spool(spool, clock=lambda: NOW) as again:
        assert {item.id for item in again.items()} >= {2, 3, 4, 5}


def test_what_works_is_no_finding(spool: Path) -> None:
    """A lock, the log of an attempt, an end and an import under way are as they should be."""
    with Spool(spool, clock=lambda: NOW) as queue, queue.arrivals() as arrivals:
        attendance = queue.attend()
        queue.keep_log(queue.claim() or 0, 1, b"what it wrote")
        arrivals.receive(io.BytesIO(b"a payload"))
        _link(spool, "after/untold/0000000003.soon", "done.x")  # it is about to end
        assert repair(str(spool)) == []
        attendance.close()
    assert findings(str(spool)) == []


def test_a_payload_that_is_gone_cannot_be_restored(spool: Path) -> None:
    """`undo` of an item whose payload is gone is refused, and leaves everything as it was."""
    _removed(spool).unlink()
    with Spool(spool, clock=lambda: NOW) as queue:
        with pytest.raises(DamagedItemError, match="its payload is missing"):
            queue.restore(1)
        assert {item.id for item in queue.items()} == {2, 3, 4, 5}


def test_what_is_set_aside_says_why(spool: Path) -> None:
    """Beside what lies in quarantine, under one name, stands when, from where and why."""
    DAMAGES["torn"](spool)
    (finding,) = repair(str(spool))
    (name,) = finding.aside
    assert {p.name for p in (spool / "quarantine").iterdir()} == {
        name, f"{name}.meta.json", f"{name}.reason"
    }  # fmt: skip
    reason = (spool / "quarantine" / f"{name}.reason").read_text()
    when, where, why = reason.strip().split("\t")
    assert when.endswith("Z") and where == f"{LANE}/0000000001" and "checksum" in why


@pytest.mark.parametrize(("kind", "status"), [("torn", 5), ("orphan", 0)])
def test_the_command(kind: str, status: int, spool: Path) -> None:
    """Exit 5 for damage, 0 for leftovers; --json tells the kinds; --repair mends once."""
    DAMAGES[kind](spool)

    def pq(*args: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "pq_cli", "check", "-s", str(spool), *args]
        return subprocess.run(command, capture_output=True, timeout=60, check=False)

    ran = pq("--json")
    records = [json.loads(line) for line in ran.stdout.splitlines()]
    assert ran.returncode == status and [r["kind"] for r in records] == [kind]
    assert pq().stdout.split(b"\t")[1] == kind.encode()
    assert pq("--repair").returncode == 0
    left = pq()
    assert left.returncode == 0
    assert left.stdout.startswith(b"aside\tquarantine\t") and left.stdout.count(b"\n") == 1


def test_what_is_on_the_move_is_no_finding(spool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What looks wrong is told if it stays so; what was between two steps of a move is not."""
    _hand_over(spool)
    payload, away = spool / f"{LANE}/0000000001", spool / "held/0000000/0000000099"
    payload.rename(away)
    _write(spool, f"{LANE}/0000000002", b"?")
    slept = []

    def the_moves_go_on(seconds: float) -> None:
        slept.append(seconds)
        if away.exists():
            away.rename(payload)
            for end in ("", ".meta.json"):
                handed = spool / f"imports/handover/0000000006{end}"
                handed.rename(handed.with_name(f"0000000007{end}"))

    monkeypatch.setattr("time.sleep", the_moves_go_on)
    found = list(Check(str(spool), 1.0, patience=8.0).run(repair=False))
    assert [(f.kind, f.id) for f in found] == [("torn", 2)]
    assert sum(slept) == 8.0


@pytest.mark.parametrize("repair", [True, False], ids=["repair", "look"])
def test_check_while_others_work(tmp_path: Path, repair: bool) -> None:
    """Items on the move are never taken for damage, nor harmed by a repair."""
    root = tmp_path / "s"
    Spool(root).close()
    pids = []
    for seed in range(2):
        pid = os.fork()
        if pid == 0:
            status = 99
            try:
                with Spool(root) as spool:
                    for number in range(150):
                        spool.enqueue(b"x" * number, priority=1 + seed)
                        item = spool.claim()
                        if item is not None:
                            spool.payload(item)
                            spool.done(spool.claim() or item) if number % 2 else spool.fail(item)
                status = 0
            finally:
                os._exit(status)
        pids.append(pid)
    running = set(pids)
    while running:
        damage = [f for f in Check(str(root), 30.0).run(repair=repair) if f.damage]
        assert damage == []
        running -= {pid for pid in running if os.waitpid(pid, os.WNOHANG)[0]}
    assert [f for f in findings(str(root)) if f.damage] == []
    assert not (root / "quarantine").exists()


def test_the_manual_lists_the_same_kinds() -> None:
    """pq-spool(5) documents every kind that check can find, and no other."""
    manual = (Path(__file__).parents[2] / "man" / "pq-spool.5").read_text()
    section = manual[manual.index(".Sh LEGAL STATES") : manual.index(".Sh ASSUMPTIONS")]
    listed = {w for line in re.findall(r"^\.It Li (.*)$", section, re.M) for w in line.split(" , ")}
    assert listed == set(KINDS)


def test_who_works_meanwhile_sees_what_was_mended(tmp_path: Path) -> None:
    """A process that remembers the spool learns of a repair: it serves what came back in order."""
    with Spool(tmp_path / "s", clock=lambda: NOW) as spool:
        fill(spool)
        block = Path(spool.path, "pending/05/0000007")
        block.mkdir(mode=0o700)
        for end in ("", ".meta.json"):
            os.rename(f"{spool.path}/{LANE}/0000000002{end}", block / f"0000000002{end}")
        assert spool.claim().id == 3  # from now on it knows the lanes
        assert {finding.kind for finding in repair(spool.path)} >= {"misplaced"}
        assert [spool.claim().id, spool.claim().id] == [1, 2]


def test_what_a_hand_over_cannot_read_is_set_aside_with_its_reason(tmp_path: Path) -> None:
    """A damaged meta on its last step stops nobody: it and its payload wait in the quarantine."""
    told: list[Exception] = []
    with Spool(tmp_path / "s", clock=lambda: NOW, report=told.append) as spool:
        fill(spool)
        root = Path(spool.path)
        _hand_over(root)
        _write(root, "imports/handover/0000000006.meta.json", b'{"id": 6')
        assert spool.claim().id == 3 and len(told) == 1
        aside = {p.name.partition("-")[2]: p.read_bytes() for p in (root / "quarantine").iterdir()}
        assert aside["0000000006"] == body(1) and aside["0000000006.meta.json"] == b'{"id": 6'
        reason = aside["0000000006.reason"]
        assert b"item 6: imports/handover/0000000006.meta.json is not JSON" in reason
