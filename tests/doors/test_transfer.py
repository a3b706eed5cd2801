"""export and import: the same items on the other side, each once, and none gone before it is."""

from __future__ import annotations

import io
import json
import os
import shlex
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from pq_cli import Spool, State

PQ = [sys.executable, "-m", "pq_cli"]
KEPT = ("priority", "key", "name", "created_at", "attempts", "max_attempts", "last_error",
        "history", "metadata", "not_before", "size", "checksum")  # fmt: skip


def pq(*arguments: object, **options: Any) -> subprocess.CompletedProcess[bytes]:
    """Run the real command."""
    return subprocess.run([*PQ, *map(str, arguments)], capture_output=True, check=False, **options)


def by_id(root: Path) -> list[Any]:
    """Return the items of a spool by id."""
    return sorted(Spool(root, create=False).items(), key=lambda item: item.id)


def facts(root: Path) -> list[dict[str, Any]]:
    """Return what must be the same on both sides, in the order of the ids."""
    queue = Spool(root, create=False)
    return [
        {name: getattr(item, name) for name in KEPT}
        | {"state": str(item.state), "payload": queue.payload(item)}
        for item in by_id(root)
    ]


@pytest.fixture
def a(tmp_path: Path) -> Path:
    """Give a spool with items of every state but active and done."""
    root = tmp_path / "a"
    queue = Spool(root)
    queue.enqueue(b"\x00\xff" * 10, priority=2, key="the key", name="a\nb", metadata={"n": 10**30})
    failing = queue.enqueue(b"failing", priority=1, max_attempts=1)
    queue.fail(queue.claim() or failing, "no such host")
    queue.enqueue(b"", delay=3600.0, name=os.fsdecode(b"no\xffutf8"))
    queue.hold(queue.enqueue(b"held", metadata={"not": 1e-7}))
    queue.enqueue(b"y" * 300_000, priority=9)
    return root


@pytest.fixture
def b(tmp_path: Path) -> Path:
    """Give the path of the spool on the other side; ids are others there."""
    queue = Spool(tmp_path / "b")
    for _ in range(3):
        queue.remove(queue.enqueue(b"gone"))
    return tmp_path / "b"


@pytest.mark.parametrize("form", [[], ["--tar"]])
def test_everything_arrives_as_it_was(a: Path, b: Path, form: list[str]) -> None:
    """Bytes, key, priority, times, attempts, history, state and order are the same over there."""
    sent = pq("export", "-s", a, *form)
    before = facts(a)
    done = pq("import", "-s", b, input=sent.stdout)
    assert done.returncode == 0, done.stderr
    assert facts(b) == before == facts(a)
    assert [int(line) for line in done.stdout.split()] == [item.id for item in by_id(b)]
    assert by_id(b)[0].id > 3


@pytest.mark.parametrize("form", [[], ["--tar"]])
def test_the_same_stream_twice_adds_nothing(a: Path, b: Path, form: list[str]) -> None:
    """Also when the items have been served and are gone by then."""
    stream = pq("export", "-s", a, *form).stdout
    pq("import", "-s", b, input=stream)
    queue = Spool(b)
    while (item := queue.claim()) is not None:
        queue.done(item)
    left = [item.id for item in by_id(b)]
    again = pq("import", "-s", b, input=stream)
    assert again.returncode == 0 and again.stdout == b""
    assert b"0 items imported; 5 had come before" in again.stderr
    assert [item.id for item in by_id(b)] == left


def test_a_stream_within_itself_adds_each_item_once(a: Path, b: Path) -> None:
    """Two copies of a stream one behind the other are one import."""
    stream = pq("export", "-s", a).stdout
    assert pq("import", "-s", b, input=stream * 2).returncode == 0
    assert len(by_id(b)) == 5


def test_values_that_strict_json_lacks_come_through(a: Path, b: Path, tmp_path: Path) -> None:
    """NaN in the metadata of an older queue's item survives both ways."""
    stream = _changed(pq("export", "-s", a).stdout, 1, metadata={"legacy": {"x": float("nan")}})
    pq("import", "-s", b, input=stream)
    done = pq("import", "-s", tmp_path / "c", input=pq("export", "-s", b, "--tar").stdout)
    assert done.returncode == 0, done.stderr
    assert str(by_id(tmp_path / "c")[0].metadata) == "{'legacy': {'x': nan}}"


def test_states_can_be_chosen(a: Path, b: Path) -> None:
    """--state sends these only."""
    pq("import", "-s", b, input=pq("export", "-s", a, "--state", "failed,held").stdout)
    assert sorted(item.state for item in by_id(b)) == [State.FAILED, State.HELD]


def test_an_active_item_arrives_pending(a: Path, b: Path) -> None:
    """A backup holds what is being worked at, to be done again; a move leaves it alone."""
    Spool(a).claim(bound=False)
    pq("import", "-s", b, input=pq("export", "-s", a).stdout)
    assert by_id(b)[0].state is State.PENDING
    assert pq("export", "-s", a, "--move", "--", "cat").returncode == 0
    assert [item.state for item in by_id(a)] == [State.ACTIVE]
    assert pq("export", "-s", a, "--move", "--state", "active").returncode == 2


def test_move_through_a_command(a: Path, b: Path) -> None:
    """`pq export --move -- CMD` removes what it sent when CMD ends well; undo brings it back."""
    before = facts(a)
    done = pq("export", "-s", a, "--move", "--", *PQ, "import", "-s", b)
    assert done.returncode == 0, done.stderr
    assert done.stdout == b"4\n5\n6\n7\n8\n" and by_id(a) == [] and facts(b) == before
    assert pq("undo", "-s", a).returncode == 0
    assert facts(a) == before and not any("leaving" in item.extra for item in by_id(a))


def test_move_asks_for_a_command(a: Path) -> None:
    """Without CMD nobody could say that the items arrived: how to write it, and nothing is done."""
    before = facts(a)
    done = pq("export", "-s", a, "--move")
    assert done.returncode == 2 and b"pq export --move -- ssh HOST pq import" in done.stderr
    assert done.stdout == b"" and facts(a) == before


@pytest.mark.parametrize("cmd", [["false"], ["head", "-c", "1000"], ["sh", "-c", "cat; exit 3"]])
def test_a_move_to_nowhere_keeps_everything(a: Path, b: Path, cmd: list[str]) -> None:
    """If CMD fails, all stand as they were: state, due time and no mark; sent again they leave."""
    before = facts(a)
    done = pq("export", "-s", a, "--move", "--", *cmd)
    assert done.returncode == 6 and facts(a) == before, done.stderr
    assert not any("leaving" in item.extra for item in by_id(a))
    done = pq("export", "-s", a, "--move", "--", *PQ, "import", "-s", b)
    assert done.returncode == 0 and by_id(a) == [] and facts(b) == before


def test_nobody_works_at_what_is_being_sent(a: Path) -> None:
    """While CMD runs, what is on its way is held, and its meta says in which state it was."""
    look = f"cat >/dev/null; {shlex.join([*PQ, 'ls', '-s', str(a), '--json'])}"
    done = pq("export", "-s", a, "--move", "--", "sh", "-c", look)
    seen = {each["id"]: each for each in map(json.loads, done.stdout.splitlines())}
    assert [seen[n]["state"] for n in (1, 2, 3, 4, 5)] == ["held", "failed", *["held"] * 3]
    assert [seen[n]["leaving"]["state"] for n in (1, 3, 4)] == ["pending", "delayed", "held"]


def _crash(a: Path) -> None:
    """Kill an export after all was sent and before its command ended."""
    kill = "cat >/dev/null; kill -9 $PPID"
    assert pq("export", "-s", a, "--move", "--", "sh", "-c", kill).returncode == -9
    assert Spool(a).claim() is None


@pytest.mark.parametrize("arrives", [True, False])
def test_a_crash_is_made_good_by_the_next_export(a: Path, b: Path, arrives: bool) -> None:
    """What a killed export left held is sent by the next one, and leaves or stands as it was."""
    before = facts(a)
    _crash(a)
    cmd = [*PQ, "import", "-s", b] if arrives else ["false"]
    done = pq("export", "-s", a, "--move", "--", *cmd)
    assert done.returncode == (0 if arrives else 6), done.stderr
    assert facts(b if arrives else a) == before
    assert not arrives or by_id(a) == []


def test_what_a_crash_left_is_retried(a: Path) -> None:
    """`pq retry` puts an item back to work that a killed export left held."""
    _crash(a)
    assert pq("retry", "-s", a, "1").returncode == 0
    item = Spool(a).claim()
    assert item is not None and item.id == 1 and "leaving" not in item.extra


def test_an_item_put_back_to_work_is_not_removed(a: Path) -> None:
    """An item that was retried while it was sent stays, and pq says that it is in both places."""
    retry = f"cat >/dev/null; {shlex.join([*PQ, 'retry', '-s', str(a), '1'])}"
    done = pq("export", "-s", a, "--move", "--", "sh", "-c", retry)
    assert done.returncode == 4 and b"item 1 was put back to work" in done.stderr
    assert [(item.id, item.state) for item in by_id(a)] == [(1, State.PENDING)]


def test_another_export_takes_over(a: Path, b: Path) -> None:
    """Of two exports at once the later decides; the earlier neither removes nor puts back."""
    later = shlex.join([*PQ, "export", "-s", str(a), "--move", "--", *PQ, "import", "-s", str(b)])
    before = facts(a)
    done = pq("export", "-s", a, "--move", "--", "sh", "-c", f"cat >/dev/null; {later}; exit 1")
    assert done.returncode == 6 and by_id(a) == [] and facts(b) == before


def test_what_was_taken_over_is_not_put_back(a: Path) -> None:
    """An export that fails leaves alone what a later one, still under way, has marked."""
    queue = Spool(a)
    earlier, later = queue.departures(), queue.departures()
    earlier.mark([1])
    later.mark([1])
    earlier.put_back([1])
    assert queue.get(1).state is State.HELD
    later.put_back([1])
    assert queue.get(1).state is State.PENDING


def test_what_leaves_a_spool_without_a_uuid_is_known_wherever_it_lies(a: Path) -> None:
    """A spool of before there were uuids gets one for ever when something is about to leave it."""
    state = json.loads((a / "state.json").read_bytes())
    del state["uuid"]
    (a / "state.json").write_text(json.dumps(state))
    uuid = Spool(a).uuid()
    Spool(a).departures().mark([1])
    elsewhere = a.rename(a.with_name("elsewhere"))
    assert Spool(elsewhere).uuid() == uuid


def test_a_command_that_cannot_be_run(a: Path) -> None:
    """127 or 126, one line as of `pq run`, and nothing was marked."""
    done = pq("export", "-s", a, "--move", "--", "/no/such/command")
    assert done.returncode == 127 and len(done.stderr.splitlines()) == 1
    script = a.with_name("script")
    script.write_bytes(b"")
    for mode, why in ((0o600, b"Permission denied"), (0o700, b"Exec format error")):
        script.chmod(mode)
        done = pq("export", "-s", a, "--move", "--", script)
        name = bytes(script)
        told = b"pq: %b: %b; `ls -l %b` tells who may run it\n" % (name, why, name)
        assert (done.returncode, done.stderr) == (126, told)
    assert Spool(a).claim() is not None


@pytest.mark.parametrize("form", [[], ["--tar"]])
def test_a_stream_cut_anywhere_is_noticed(a: Path, b: Path, form: list[str]) -> None:
    """What came whole enters, the cut is an error, and the whole stream sent again completes it."""
    stream = pq("export", "-s", a, *form).stdout
    before = facts(a)
    for cut in (0, 1, 60, 700, 1500, len(stream) // 2, len(stream) * 3 // 4, len(stream) - 12_000):
        done = pq("import", "-s", b, input=stream[: max(cut, 0)])
        assert done.returncode == 65, (cut, done.stderr)
        assert len(done.stderr.splitlines()) == 2, (cut, done.stderr)
    assert pq("import", "-s", b, input=stream).returncode == 0
    assert facts(b) == before


def _changed(stream: bytes, index: int, **changes: Any) -> bytes:
    lines = stream.splitlines(keepends=True)
    values = json.loads(lines[index]) | changes
    lines[index] = json.dumps(values).encode() + b"\n"
    return b"".join(lines)


@pytest.mark.parametrize(
    "changes",
    [{"priority": 99}, {"priority": "3"}, {"state": "active"}, {"state": "../x"}, {"id": -1},
     {"id": "1"}, {"key": "a\nb"}, {"created_at": "soon"}, {"metadata": []}, {"size": 5},
     {"payload_base64": "AAAA"}, {"checksum": "crc32:00000000"}, {"history": [1]},
     {"name": "x" * 5000}, {"max_attempts": 0}],
)  # fmt: skip
def test_a_bad_item_is_refused_and_the_others_enter(
    a: Path, b: Path, changes: dict[str, Any]
) -> None:
    """An item that is not what it should be is named; it does not harm the others."""
    stream = pq("export", "-s", a).stdout
    done = pq("import", "-s", b, input=_changed(stream, 1, **changes))
    assert done.returncode == 65 and b"item 1 of the stream" in done.stderr, done.stderr
    assert len(by_id(b)) == 4 and len(done.stdout.splitlines()) == 4


@pytest.mark.parametrize(
    "stream",
    [b"", b"\n", b"hello\n", b"{}\n", b"[1]\n", b"\x1f\x8b\x08", b"\x00" * 10240,
     b'{"pq_export": 2, "spool": "x"}\n'],
)  # fmt: skip
def test_what_is_no_stream_is_refused(b: Path, stream: bytes) -> None:
    """Anything else on stdin is an error in one line and changes nothing."""
    done = pq("import", "-s", b, input=stream)
    assert done.returncode == 65, done.stderr
    assert len(done.stderr.splitlines()) == 2 and by_id(b) == []


def test_a_tar_that_wants_to_write_elsewhere(b: Path, tmp_path: Path) -> None:
    """A member with a path, a link or a device is refused; nothing is ever extracted by name."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        header = json.dumps({"pq_export": 1, "spool": "x"}).encode()
        info = tarfile.TarInfo("pq-export.json")
        info.size = len(header)
        tar.addfile(info, io.BytesIO(header))
        evil = tarfile.TarInfo("../../evil")
        evil.type, evil.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(evil)
    done = pq("import", "-s", b, input=out.getvalue(), cwd=tmp_path)
    assert done.returncode == 65 and b"does not belong" in done.stderr


def test_a_key_that_is_taken_over_there(a: Path, b: Path) -> None:
    """What the other side did not take whole stays whole here; what it has it takes once."""
    taken = Spool(b).enqueue(b"mine", key="the key")
    before = facts(a)
    done = pq("export", "-s", a, "--move", "--", *PQ, "import", "-s", b)
    assert b"key 'the key' is taken" in done.stderr and done.returncode == 6
    assert facts(a) == before and len(by_id(b)) == 5
    Spool(b).remove(taken)
    done = pq("export", "-s", a, "--move", "--", *PQ, "import", "-s", b)
    assert done.returncode == 0 and by_id(a) == [] and len(by_id(b)) == 5


def test_a_damaged_payload_stays_and_the_others_go(a: Path, b: Path) -> None:
    """What cannot be read whole is not sent, not marked, and named."""
    Path(by_id(a)[0].path).write_bytes(b"torn")
    done = pq("export", "-s", a, "--move", "--", *PQ, "import", "-s", b)
    assert done.returncode == 74 and b"item 1" in done.stderr
    assert [(item.id, item.state) for item in by_id(a)] == [(1, State.PENDING)]
    assert len(by_id(b)) == 4


def test_copies_of_a_spool_are_told_apart(a: Path, b: Path, tmp_path: Path) -> None:
    """Two copies of one spool that went on counting: the new items of both arrive."""
    pq("export", "-s", a)  # the uuid is there before the copy is made
    subprocess.run(["cp", "-a", a, tmp_path / "copy"], check=True)
    Spool(a).enqueue(b"new in a")
    Spool(tmp_path / "copy").enqueue(b"new in the copy")
    for root in (a, tmp_path / "copy"):
        pq("import", "-s", b, input=pq("export", "-s", root).stdout)
    queue = Spool(b)
    payloads = [queue.payload(item) for item in by_id(b)]
    assert len(payloads) == 7 and {b"new in a", b"new in the copy"} <= set(payloads)


def test_a_full_queue_over_there(a: Path, b: Path) -> None:
    """With max_items on the other side all stay here, and go the next time, none twice."""
    (b / "queue.toml").write_text("max_items = 2\n")
    done = pq("export", "-s", a, "--move", "--", *PQ, "import", "-s", b)
    assert done.returncode == 6 and b"the queue is full" in done.stderr
    assert len(by_id(a)) == 5
    (b / "queue.toml").unlink()
    done = pq("export", "-s", a, "--move", "--", *PQ, "import", "-s", b)
    assert done.returncode == 0 and by_id(a) == [] and len(by_id(b)) == 5
