"""The drop box: what is renamed into `new/` becomes an item, once, whatever happens."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from support import HANG, die_at

from pq_cli import Spool
from pq_cli.core.unfinished import looks_unfinished
from pq_cli.errors import UsageError
from pq_cli.spool.check.check import Check
from pq_cli.spool.disk import layout
from pq_cli.spool.disk.durable import Disk
from pq_cli.spool.doors.dropbox import priority_in
from pq_cli.spool.doors.resting import Resting

NOBODY = 65534
WRITES = (
    (os, ("rename", "unlink", "rmdir", "mkdir", "fsync", "chmod", "symlink")),
    (Disk, ("write_new", "copy_in")),
)
"""Every write of a pick-up."""
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="giving files to others needs root")


def pq(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run the real command."""
    command = [sys.executable, "-m", "pq_cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Give the folder of a new spool."""
    Spool(tmp_path / "q").close()
    return tmp_path / "q"


def drop(root: Path, name: str, content: bytes = b"x") -> Path:
    """Write a file elsewhere and rename it into the drop box, as the manual says."""
    elsewhere = root.parent / "elsewhere"
    elsewhere.write_bytes(content)
    os.rename(elsewhere, root / "new" / name)
    return root / "new" / name


def served(root: Path, **options: Any) -> list[tuple[str | None, int, bytes]]:
    """Claim everything; return (name, priority, payload) in order."""
    with Spool(root, **options) as queue:
        out = []
        while (item := queue.claim()) is not None:
            out.append((item.name, item.priority, queue.payload(item)))
            queue.done(item)
        return out


def test_a_dropped_file_is_the_next_item(root: Path) -> None:
    """The next command that looks for work gets it: bytes and name as they were, mode 0600."""
    drop(root, "report.xml", b"\x00\xff").chmod(0o644)
    done = pq("next", "-s", root, "--json")
    item = json.loads(done.stdout)
    assert item["name"] == "report.xml" and item["priority"] == 5
    assert Path(item["path"]).read_bytes() == b"\x00\xff"
    assert stat.S_IMODE(os.stat(item["path"]).st_mode) == 0o600
    assert not os.listdir(root / "new")


def test_waiting_commands_notice_within_a_second(root: Path) -> None:
    """`next --wait` gets a file that is dropped while it waits."""
    command = [sys.executable, "-m", "pq_cli", "next", "-s", str(root), "--wait=60", "--ack"]
    waiting = subprocess.Popen(command, stdout=subprocess.PIPE)
    time.sleep(0.5)  # most likely it waits by then; it has to get the file in any case
    drop(root, "late", b"late")
    assert waiting.communicate(timeout=HANG)[0] == b"late"


def test_files_come_in_the_order_they_were_dropped(root: Path) -> None:
    """First dropped, first served, whatever the names and the times inside."""
    for name in ("b", "a", "c"):
        path = drop(root, name)
        os.utime(path, (0, 1_000_000_000 + ord(name)))
        time.sleep(0.02)
    assert [name for name, _, _ in served(root)] == ["b", "a", "c"]


@pytest.mark.parametrize(
    "name",
    [".hidden", "a.tmp", "a.TMP", "a.part", "a.xml.filepart", "a~", "#a#", "a.crdownload", "x.swp",
     "a.aria2", "a.!ut", "a.!qB", "a.!bt", "a.bc!", "a.opdownload", "a.lftp-pget-status"],
)  # fmt: skip
def test_what_looks_unfinished_is_left_alone(root: Path, name: str) -> None:
    """Such a name stays in `new/`, untouched and without a word, until it gets its own."""
    drop(root, name)
    assert looks_unfinished(name)
    assert served(root, report=lambda error: pytest.fail(str(error))) == []
    os.rename(root / "new" / name, root / "new" / "final")
    assert [each[0] for each in served(root)] == ["final"]


@pytest.mark.parametrize("mark", [".aria2", ".lftp-pget-status", ".part", ".lock", ".AriA2"])
def test_what_another_file_marks_is_left_alone(root: Path, mark: str) -> None:
    """`x.iso` is half a download while `x.iso.aria2` lies beside it; a backup says nothing."""
    drop(root, f"x.iso{mark}")
    drop(root, "x.iso", b"half")
    drop(root, "y~")
    drop(root, "y")
    assert [name for name, _, _ in served(root)] == ["y"]
    os.unlink(root / "new" / f"x.iso{mark}")
    assert served(root) == [("x.iso", 5, b"half")]


@pytest.mark.parametrize(
    ("name", "priority"),
    [("3.report.xml", 3), ("10.x", 10), ("1.a", 1), ("0.x", None), ("11.x", None), ("03.x", None),
     ("3", None), ("3.", None), ("report.3", None), ("³.x", None)],
)  # fmt: skip
def test_a_number_in_front_is_the_priority(root: Path, name: str, priority: int | None) -> None:
    """`3.report.xml` has priority 3 and keeps its name; only 1 to 10 and a dot count."""
    assert priority_in(name) == priority
    drop(root, name)
    assert served(root) == [(name, priority or 5, b"x")]


def test_a_sidecar_says_more(root: Path) -> None:
    """`NAME.meta.json`, there before NAME, gives priority, key, attempts, metadata, and goes."""
    sidecar = {"priority": 2, "key": "k", "max_attempts": 9, "metadata": {"a": [1]}}
    drop(root, "7.r.xml.meta.json", json.dumps(sidecar).encode())
    assert served(root) == []
    drop(root, "7.r.xml")
    queue = Spool(root)
    item = queue.claim()
    assert item is not None
    assert (item.priority, item.key, item.max_attempts, item.metadata) == (2, "k", 9, {"a": [1]})
    assert not os.listdir(root / "new")


def test_a_sidecar_that_comes_late_still_counts(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is renamed in while its file is being picked up is read, not left behind."""
    real = Resting.is_whole

    def slow(self: Resting, name: str, fd: int, now: float) -> bool:
        if not (root / "new/a.meta.json").exists():
            drop(root, "a.meta.json", b'{"priority": 1}')
        return real(self, name, fd, now)

    monkeypatch.setattr(Resting, "is_whole", slow)
    drop(root, "a")
    assert served(root) == []
    assert served(root) == [("a", 1, b"x")]
    assert not os.listdir(root / "new")


@pytest.mark.parametrize(
    ("sidecar", "words"),
    [("{", "not JSON"), ("[]", "not a JSON object"), ('{"priority": 11}', "'11'"),
     ('{"priority": "3"}', "whole number"), ('{"prio": 3}', "'prio'"), ('{"key": ""}', "key"),
     ('{"metadata": 3}', "metadata"), ("[" * 100_000, "nested too deep"),
     ('{"priority": 1, "priority": 2}', "'priority' comes twice"),
     ('{"metadata": {"n": NaN}}', "NaN"), ('{"metadata": {"n": 1e-400}}', "'1e-400'")],
)  # fmt: skip
def test_a_bad_sidecar_leaves_both_and_says_why(root: Path, sidecar: str, words: str) -> None:
    """Such a file stays with its sidecar, is named once, and does not keep others waiting."""
    drop(root, "a.meta.json", sidecar.encode())
    drop(root, "a")
    drop(root, "b")
    said: list[str] = []
    assert [name for name, _, _ in served(root, report=lambda e: said.append(str(e)))] == ["b"]
    assert len(said) == 1 and "new/a" in said[0] and words in said[0]
    assert sorted(os.listdir(root / "new")) == ["a", "a.meta.json"]


def test_links_and_special_files_are_reported_not_followed(root: Path) -> None:
    """A link, folder, pipe or socket in `new/` is named and stays; what it points to is safe."""
    secret = root.parent / "secret"
    secret.write_text("secret")
    (root / "new" / "link").symlink_to(secret)
    (root / "new" / "folder").mkdir()
    os.mkfifo(root / "new" / "pipe")
    said: list[str] = []
    assert served(root, report=lambda e: said.append(str(e))) == []
    assert len(said) == 3 and all("left there" in line for line in said)
    assert sorted(os.listdir(root / "new")) == ["folder", "link", "pipe"]
    assert secret.read_text() == "secret"


def test_a_file_that_is_open_for_writing_waits(root: Path) -> None:
    """A file copied straight into `new/` is left alone until its writer closes it."""
    with open(root / "new" / "growing", "wb") as file:
        file.write(b"first half, ")
        file.flush()
        assert served(root) == []
        file.write(b"second half")
    assert served(root) == [("growing", 5, b"first half, second half")]


def test_a_file_with_a_second_name_is_copied(root: Path) -> None:
    """Whoever keeps another hard link to a dropped file cannot change the item by it."""
    path = drop(root, "a", b"before")
    os.link(path, root.parent / "mine")
    queue = Spool(root)
    item = queue.claim()
    assert item is not None
    (root.parent / "mine").write_bytes(b"after!")
    assert queue.payload(item) == b"before"
    assert not os.listdir(root / "new")


def test_hostile_names_become_items(root: Path) -> None:
    """Names with line breaks, escapes or bytes that are not UTF-8 are kept as they are."""
    names = [b"a\nb", b"\x1b[31m", b"no\xffutf8", b"-rf", b"a b", b"a.meta.json.x"]
    for name in names:
        drop(root, os.fsdecode(name))
    assert sorted(os.fsencode(name or "") for name, _, _ in served(root)) == sorted(names)


def test_a_taken_key_or_a_full_queue_lets_files_wait(root: Path) -> None:
    """Nothing is lost for want of room or a free key: the file waits in `new/` until there is."""
    (root / "queue.toml").write_text("max_items = 2\n")
    first = Spool(root).enqueue(b"first", key="k")
    drop(root, "same.meta.json", b'{"key": "k"}')
    drop(root, "same", b"same")
    drop(root, "b", b"b")
    drop(root, "c", b"c")
    queue = Spool(root)
    claimed = queue.claim()
    assert claimed is not None and claimed.id == first.id
    assert sorted(os.listdir(root / "new")) == ["c", "same", "same.meta.json"]
    queue.done(claimed)
    assert sorted(payload for _, _, payload in served(root)) == [b"b", b"c", b"same"]


def test_one_call_takes_a_bounded_number(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks for work does not wait for thousands of files; the next calls take the rest."""
    monkeypatch.setattr("pq_cli.spool.doors.dropbox.MOST", 3)
    for number in range(7):
        drop(root, f"f{number}")
        time.sleep(0.01)
    queue = Spool(root)
    assert queue.claim() is not None
    assert len(os.listdir(root / "new")) == 4
    assert [name for name, _, _ in served(root)] == [f"f{n}" for n in range(1, 7)]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("check", [False, True])
def test_killed_at_any_step_each_file_is_one_item(scratch: Path, after: bool, check: bool) -> None:
    """Killed at each single write of the pick-up, every file is served once, with its sidecar.

    check: `pq check --repair` looks at what the crash left before anybody else does.
    """
    step, died = 0, True
    while died:
        step += 1
        root = scratch / f"q{step}"
        Spool(root).pause()  # so that a look for work picks up, and claims nothing
        drop(root, "own", b"own")
        drop(root, "2.side.meta.json", b'{"priority": 9, "key": "k"}')
        drop(root, "2.side", b"side")
        os.link(drop(root, "linked", b"linked"), scratch / f"mine{step}")
        died = die_at(step, after, lambda at=root: Spool(at).claim(), *WRITES)
        if check:
            looked = {finding.kind for finding in Check(str(root), 1.0).run(repair=False)}
            assert looked <= {"handover", "tmp", "key"}, (step, looked)
            kinds = {finding.kind for finding in Check(str(root), 1.0).run(repair=True)}
            assert kinds <= {"handover", "tmp", "key"}, (step, kinds)
        Spool(root).resume()
        assert sorted(served(root)) == [
            ("2.side", 9, b"side"), ("linked", 5, b"linked"), ("own", 5, b"own")
        ], step  # fmt: skip
        assert not os.listdir(root / "new") and not list((root / "imports").glob("*/*")), step
    assert step > 15


def test_a_new_file_under_a_name_just_taken_is_another_item(root: Path) -> None:
    """The name in `new/` is free again as soon as its file was picked up."""
    for content in (b"one", b"two"):
        drop(root, "same", content)
        assert served(root) == [("same", 5, content)]


@pytest.mark.parametrize("linked", [False, True])
@pytest.mark.parametrize("sidecar", [b"", b'{"priority": 2}'])
def test_a_new_file_while_the_name_is_being_taken_is_what_is_read(
    root: Path, monkeypatch: pytest.MonkeyPatch, linked: bool, sidecar: bytes
) -> None:
    """It took the place of the one that was looked at; the item is the new one, and whole."""
    real, rivals = os.rename, [b"two and more"]
    if sidecar:
        drop(root, "same.meta.json", sidecar)
    first = drop(root, "same", b"one")
    if linked:
        os.link(first, root.parent / "mine")

    def rename(source: str, target: str) -> None:
        if str(source) == str(first) and rivals:
            drop(root, "same", rivals.pop())
        real(source, target)

    monkeypatch.setattr(os, "rename", rename)
    assert served(root) + served(root) == [("same", 2 if sidecar else 5, b"two and more")]
    assert not os.listdir(root / "new") and not os.path.lexists(root / "imports" / "handover")


def killed_when(root: Path, ending: str) -> None:
    """Pick up in a process that dies when it has moved what has this ending in handover/."""

    class Moves:
        real = staticmethod(os.rename)

        @classmethod
        def rename(cls, source: str, target: str) -> None:
            (cls.last if target.endswith(ending) else cls.real)(source, target)

        last = real

    def work() -> None:
        os.rename = Moves.rename  # type: ignore[assignment]
        Spool(root).claim()

    assert die_at(1, True, work, (Moves, ("last",)))


@pytest.mark.parametrize("name", ["3.a", "n" * 240])
@pytest.mark.parametrize("sidecar", [b"", b'{"priority": 2}'])
def test_a_new_file_of_a_name_that_a_crash_left_half_taken(
    root: Path, name: str, sidecar: bytes
) -> None:
    """Both are served: the one that has to go back to `new/` takes no other's place there."""
    own = 3 if name == "3.a" else 5
    if sidecar:
        drop(root, f"{name}.meta.json", sidecar)
    os.link(drop(root, name, b"one"), root.parent / "mine")
    killed_when(root, ".original")
    drop(root, name, b"two")
    got = {(content, priority) for _, priority, content in served(root) + served(root)}
    assert got == {(b"one", 2 if sidecar else own), (b"two", own)}
    assert not os.listdir(root / "new") and not os.path.lexists(root / "imports" / "handover")


def test_a_new_sidecar_for_a_file_that_a_crash_left_counts(root: Path) -> None:
    """Of two the newer one does, as when nobody had begun to take the older one."""
    drop(root, "a.meta.json", b'{"priority": 2}')
    drop(root, "a", b"x")
    killed_when(root, ".sidecar")
    drop(root, "a.meta.json", b'{"priority": 9}')
    assert served(root) == [("a", 9, b"x")]
    assert not os.listdir(root / "new")


def test_looking_never_picks_up(root: Path) -> None:
    """`pq ls` and `pq show` leave the drop box as it is."""
    drop(root, "a")
    assert pq("ls", "-s", root).stdout == ""
    assert os.listdir(root / "new") == ["a"]


@pytest.mark.parametrize(
    ("text", "mode"), [("1730", 0o1730), ("0730", 0o1730), ("700", 0o700), ("3770", 0o3770)]
)
def test_drop_modes(text: str, mode: int) -> None:
    """Octal digits are taken; where others may write the sticky bit is added."""
    assert layout.parse_drop_mode(text) == mode


@pytest.mark.parametrize("text", ["", "rwx", "0630", "77777", "4700", "8", "-1", "0o"])
def test_bad_drop_modes_are_refused(text: str) -> None:
    """Anything else, or what takes the owner's own rights, is a usage error."""
    with pytest.raises(UsageError, match="--drop-mode"):
        layout.parse_drop_mode(text)


def test_the_drop_mode_opens_only_the_way_to_new(root: Path) -> None:
    """--drop-mode 1730 gives the group `new/` and the way there; check agrees; 0700 closes it."""
    Spool(root).enqueue(b"x")
    assert pq("init", "-s", root, "--drop-mode", "1730").returncode == 0
    modes = {p.name: stat.S_IMODE(p.lstat().st_mode) for p in root.iterdir()}
    assert modes.pop("new") == 0o1730
    assert stat.S_IMODE(root.stat().st_mode) == 0o710
    assert all(mode & 0o077 == 0 for mode in modes.values()), modes
    assert list(Check(str(root), 1.0).run(repair=True)) == []
    assert stat.S_IMODE((root / "new").stat().st_mode) == 0o1730
    pq("init", "-s", root, "--drop-mode", "0700")
    assert stat.S_IMODE(root.stat().st_mode) == 0o700


_OTHER = """
import os, sys
root, gid = sys.argv[1], int(sys.argv[2])
os.setgroups([gid]); os.setgid(gid); os.setuid(65534)
os.rename(sys.argv[3], root + "/new/theirs")
def refused(work, *arguments):
    try:
        work(*arguments)
    except PermissionError:
        return True
    return False
pending = root + "/pending"
print(refused(os.listdir, root), refused(os.listdir, root + "/new"), refused(os.listdir, pending),
      refused(os.remove, root + "/new/ours"), refused(open, root + "/state.json"))
"""


@as_root
@pytest.mark.others
def test_the_group_can_drop_but_not_read(root: Path, tmp_path: Path) -> None:
    """One of the group drops a file, and can neither list, read nor remove anything."""
    gid = 54321
    os.chown(root, -1, gid)
    os.chown(root / "new", -1, gid)
    Spool(root).enqueue(b"secret")
    Spool(root).open_drop_box(0o1730)
    drop(root, "ours")
    folder = tmp_path / "theirs"
    folder.mkdir()
    (folder / "file").write_bytes(b"theirs")
    for path in (folder, folder / "file"):
        os.chown(path, NOBODY, gid)
    done = subprocess.run(
        [sys.executable, "-c", _OTHER, str(root), str(gid), str(folder / "file")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.split() == ["True"] * 5, done.stderr
    assert {name for name, _, _ in served(root)} == {None, "ours", "theirs"}


@as_root
def test_a_file_of_another_owner_becomes_ours(root: Path) -> None:
    """The item of a foreign file belongs to the spool's owner, 0600: the other cannot change it."""
    path = drop(root, "theirs", b"theirs")
    os.chown(path, NOBODY, NOBODY)
    queue = Spool(root)
    item = queue.claim()
    assert item is not None and item.path is not None
    info = os.stat(item.path)
    assert (info.st_uid, stat.S_IMODE(info.st_mode)) == (os.stat(root).st_uid, 0o600)
    assert queue.payload(item) == b"theirs" and not os.listdir(root / "new")


def test_what_waits_in_the_drop_box_is_counted(root: Path) -> None:
    """`ls` and `stats` say how many finished files wait; none is taken for an item, or opened."""
    for name in ("a", "b.xml", ".hidden", "c.part"):
        drop(root, name)
    (root / "new" / "b.xml.meta.json").write_text("{}")
    (root / "new" / "folder").mkdir()
    said = "pq: 2 files wait in new/: the next claim makes items of them"
    for words in (("ls",), ("ls", "--json")):
        ran = pq(*words, "-s", root)
        assert (ran.stdout, ran.stderr.splitlines()) == ("", [said])
    assert json.loads(pq("stats", "--json", "-s", root).stdout)["dropped"] == 2
    assert "2 files wait in new/" in pq("stats", "-s", root).stdout
    assert "pq_drop_box_files" in pq("stats", "--prometheus", "-s", root).stdout
    assert len(served(root)) == 2 and not pq("ls", "-s", root).stderr
