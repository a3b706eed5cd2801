"""Hostile input: whatever lies in a spool or comes in, one clear line, no traceback, no escape."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from verbs import NOW, body, fill, findings, repair

from pq_cli.commands.enqueue_records import parse_record
from pq_cli.core.item import parse_reference
from pq_cli.errors import PqError
from pq_cli.queue.request import Request
from pq_cli.spool.disk.state import read_config
from pq_cli.spool.spool import Spool

CORPUS = Path(__file__).parents[1] / "corpus"
LANE = "pending/05/0000000"
FUZZ = settings(
    max_examples=1000 if os.environ.get("PQ_LONG") else 60,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
FIELDS = st.sampled_from(
    ["id", "state", "priority", "created_at", "updated_at", "not_before", "attempts", "claims",
     "max_attempts", "key", "name", "size", "checksum", "holder", "lease_until", "history",
     "metadata", "last_error", "written_boot", "extra", "path", "claim"]
)  # fmt: skip
NASTY = st.sampled_from(
    [10**30, -1, "\ud800", "\0", "../../etc/passwd", "9999-12-31T23:59:59Z", "0001-01-01", "nan",
     1e308, {"host": "h", "pid": -1, "boot": None, "started": 10**40, "since": "1970-01-01"}]
)  # fmt: skip


def kept(kind: str) -> pytest.MarkDecorator:
    """Run a test on each kept input of a kind: what once broke something, and what is nasty."""
    paths = sorted((CORPUS / kind).iterdir())
    return pytest.mark.parametrize("data", [path.read_bytes() for path in paths],
                                   ids=[path.name for path in paths])  # fmt: skip


def spool_in(folder: Path) -> Path:
    """Make a spool of four items in a new folder."""
    root = folder / f"s{len(list(folder.iterdir()))}"
    with Spool(root, clock=lambda: NOW) as spool:
        fill(spool)
    return root


def pq(root: Path, *args: str, stdin: bytes = b"", **more: object) -> subprocess.CompletedProcess:
    """Run `pq`; whatever happens it ends without a traceback, each message on a line."""
    command = [sys.executable, "-m", "pq_cli", *args, "-s", str(root)]
    ran = subprocess.run(command, input=stdin, capture_output=True, timeout=60, check=False, **more)
    assert b"Traceback" not in ran.stderr and b"internal error" not in ran.stderr, ran.stderr
    assert ran.returncode != 70
    return ran


def outside(folder: Path, root: Path) -> dict[str, tuple]:
    """Return what lies beside a spool, to see that nobody touched it."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if root not in path.parents and path != root:
            info = path.lstat()
            found[str(path)] = (info.st_mode, info.st_size, info.st_mtime_ns)
    return found


def use(root: Path) -> None:
    """Use a spool as programs do; only the errors that pq documents may come."""
    with Spool(root, clock=lambda: NOW + 9) as spool:
        for act in (
            lambda: list(spool.items()),
            lambda: spool.get(1),
            lambda: spool.payload(1),
            lambda: spool.hold(1),
            lambda: spool.retry(1),
        ):
            try:
                act()
            except (PqError, OSError):
                pass
        served = set()
        while (item := spool.claim()) is not None:
            assert item.id not in served
            served.add(item.id)
            assert Spool(root).get(item.id).claim == item.claim, "others do not see the claim"
            spool.renew(item)
            if item.id % 2:
                spool.fail(item, "no", dead=True)
            else:
                spool.done(item)
        assert served >= {2, 3}, "one bad item blocked the good ones"
        try:
            spool.remove(1)
        except (PqError, OSError):
            pass
    findings(str(root))
    repair(str(root))
    assert not [f for f in findings(str(root)) if f.damage]


@FUZZ
@given(changes=st.dictionaries(FIELDS, JSON | NASTY, min_size=1, max_size=4))
def test_metas_with_any_fields(tmp_path_factory, changes: dict) -> None:
    """A meta with any JSON in any field harms no other item, and check deals with it."""
    root = spool_in(tmp_path_factory.getbasetemp())
    meta = root / LANE / "0000000001.meta.json"
    meta.write_bytes(json.dumps(json.loads(meta.read_bytes()) | changes).encode())
    use(root)


@FUZZ
@given(data=st.binary(max_size=200))
def test_metas_of_any_bytes(tmp_path_factory, data: bytes) -> None:
    """A meta of any bytes harms no other item."""
    root = spool_in(tmp_path_factory.getbasetemp())
    (root / LANE / "0000000001.meta.json").write_bytes(data)
    use(root)


@kept("meta")
def test_kept_metas(tmp_path: Path, data: bytes) -> None:
    """Each kept meta harms no other item."""
    root = spool_in(tmp_path)
    (root / LANE / "0000000001.meta.json").write_bytes(data)
    use(root)


@FUZZ
@given(data=st.binary(max_size=80))
def test_any_queue_toml(tmp_path_factory, data: bytes) -> None:
    """A queue.toml of any bytes is read, or refused with the file's name."""
    _read_toml(tmp_path_factory.getbasetemp(), data)


@kept("toml")
def test_kept_queue_tomls(tmp_path: Path, data: bytes) -> None:
    """Each kept queue.toml is read, or refused with the file's name."""
    _read_toml(tmp_path, data)


def _read_toml(folder: Path, data: bytes) -> None:
    (folder / "queue.toml").write_bytes(data)
    try:
        read_config(str(folder))
    except PqError as error:
        assert "queue.toml" in str(error)


RECORDS = st.dictionaries(
    st.sampled_from(
        ["payload", "key", "at", "delay", "priority", "metadata", "payload_base64", "max_attempts"]
    ),
    JSON | NASTY,
)


@FUZZ
@given(data=st.binary(max_size=80) | (JSON | RECORDS).map(lambda v: json.dumps(v).encode()))
def test_any_jsonl_record(data: bytes) -> None:
    """A --jsonl record is read or refused; nothing else comes of it."""
    _read_record(data)


@kept("jsonl")
def test_kept_jsonl_records(data: bytes) -> None:
    """Each kept record is read or refused."""
    _read_record(data)


def _read_record(data: bytes) -> None:
    try:
        payload, _ = parse_record(data, Request())
    except PqError:
        return
    assert isinstance(payload, bytes)


@FUZZ
@given(text=st.text())
@example(text="1.2.3")
@example(text="٣")
@example(text="9" * 30)
def test_any_item_argument(text: str) -> None:
    """An ITEM is an id or a claim, or refused."""
    try:
        item_id, _ = parse_reference(text)
    except PqError:
        return
    assert item_id >= 0


@FUZZ
@given(name=st.binary(min_size=1, max_size=60).filter(lambda b: not set(b) & {0, 47})
       .filter(lambda b: b not in (b".", b".."))
       | st.sampled_from([b"0000000001.1.meta.json", b"99999999999999999999.meta.json", b"-rf"]),
       place=st.sampled_from(["pending", "pending/05", LANE, "active", "delayed", "held", "keys",
                              "tmp", "failed", "new", "removed", "imports"]),
       what=st.sampled_from(["file", "folder", "link", "fifo"]))  # fmt: skip
def test_any_name_anywhere(tmp_path_factory, name: bytes, place: str, what: str) -> None:
    """A file, folder, link or fifo of any name anywhere harms no item and is not followed."""
    folder = tmp_path_factory.getbasetemp()
    root = spool_in(folder)
    (root / place).mkdir(mode=0o700, exist_ok=True)
    path = os.fsencode(root / place) + b"/" + name
    if os.path.lexists(path):
        return
    make: dict[str, Callable[[], object]] = {
        "file": lambda: open(path, "wb").close(),
        "folder": lambda: os.mkdir(path),
        "link": lambda: os.symlink(os.fsencode(folder), path),
        "fifo": lambda: os.mkfifo(path),
    }
    make[what]()
    use(root)


@pytest.mark.parametrize("place", ["pending", "pending/05", LANE, "active", "held",
                                   "tmp", "keys"])  # fmt: skip
def test_no_link_is_followed_out(place: str, tmp_path: Path) -> None:
    """A folder that is a link to elsewhere is neither read nor written through."""
    root = spool_in(tmp_path)
    victim = tmp_path / "victim"
    (root / place).rename(victim)
    (root / place).symlink_to(victim)
    before = outside(tmp_path, root)
    commands = "ls|next --claim|enqueue|hold 1|rm 1|show 4|retry 4|cat 1|check|check --repair"
    for args in map(str.split, commands.split("|")):
        pq(root, *args, stdin=b"x")
    assert outside(tmp_path, root) == before
    assert pq(root, "enqueue", stdin=b"x").returncode == 0


@pytest.mark.parametrize("name", ["state.json", "counter", "lock", "queue.toml", "log", "spare"])
def test_no_file_of_pq_is_followed_out(name: str, tmp_path: Path) -> None:
    """A link in place of one of pq's own files is not written through."""
    root = spool_in(tmp_path)
    victim = tmp_path / "victim"
    victim.write_bytes((root / name).read_bytes() if (root / name).exists() else b"mine")
    (root / name).unlink(missing_ok=True)
    (root / name).symlink_to(victim)
    before = outside(tmp_path, root)
    for args in (["ls"], ["next", "--claim"], ["enqueue"], ["hold", "1"], ["check"]):
        pq(root, *args, stdin=b"x")
    assert outside(tmp_path, root) == before


@pytest.mark.parametrize("name", [f"{LANE}/0000000001.meta.json", "state.json", "queue.toml",
                                  "counter"])  # fmt: skip
@pytest.mark.parametrize("what", ["huge", "fifo", "folder"])
def test_sparse_gigabytes_fifos_and_folders(name: str, what: str, tmp_path: Path) -> None:
    """A meta or own file of a gigabyte, a fifo or a folder: bounded memory, no hanging."""
    root = spool_in(tmp_path)
    (root / name).unlink(missing_ok=True)
    if what == "huge":
        with open(root / name, "wb") as file:
            file.truncate(1 << 30)
    elif what == "fifo":
        os.mkfifo(root / name)
    else:
        (root / name).mkdir()

    def little_memory() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (400 << 20, 400 << 20))

    for args in (["ls"], ["show", "1"], ["next", "--claim"], ["check"]):
        ran = pq(root, *args, preexec_fn=little_memory)
        assert b"out of memory" not in ran.stderr
        assert ran.stderr.count(b"\n") <= 3


def test_umask_and_setgid(tmp_path: Path) -> None:
    """With umask 000 and a setgid parent everything is still only the owner's."""
    parent = tmp_path / "shared"
    parent.mkdir()
    parent.chmod(0o2777)
    root = parent / "s"
    for args in (["enqueue", "--key", "k"], ["enqueue", "--delay", "5m"], ["init"]):
        assert pq(root, *args, stdin=b"x", preexec_fn=lambda: os.umask(0)).returncode == 0
    claim = pq(root, "next", "--claim", preexec_fn=lambda: os.umask(0)).stdout.decode().strip()
    assert pq(root, "fail", claim, preexec_fn=lambda: os.umask(0)).returncode == 0
    for path in [root, *root.rglob("*")]:
        if not path.is_symlink():
            assert not path.lstat().st_mode & 0o077, path
    assert pq(root, "check").stdout == b""


root_only = pytest.mark.skipif(
    os.geteuid() != 0 and not os.environ.get("CI"), reason="only root can be another user"
)


@root_only
def test_root_in_a_spool_of_somebody_else(tmp_path: Path) -> None:
    """What root writes in a spool belongs to the spool's owner, who can go on using it."""
    root = spool_in(tmp_path)
    for path in [root, *root.rglob("*")]:
        os.chown(path, 12345, 12345, follow_symlinks=False)
    for args in (["enqueue", "--key", "k"], ["enqueue", "-p", "9"], ["enqueue", "--delay", "5m"],
                 ["hold", "1"], ["rm", "2"], ["next", "--claim"], ["init"], ["pause"]):  # fmt: skip
        assert pq(root, *args, stdin=b"x").returncode == 0
    wrong = [str(p) for p in root.rglob("*") if p.lstat().st_uid != 12345]
    assert wrong == []


@root_only
def test_another_user_changes_nothing() -> None:
    """In a spool of another user, even one that is open to all, nothing can be changed: 77."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:  # where another user gets to
        os.chmod(folder, 0o755)
        _try_as_another_user(spool_in(Path(folder)))


def _try_as_another_user(root: Path) -> None:
    for path in [root, *root.rglob("*")]:
        path.chmod(0o777 if path.is_dir() else 0o666)
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.setuid(12345)
            spool = Spool(root, create=False)
            for act in (lambda: spool.enqueue(b"x"), spool.claim, lambda: spool.remove(1)):
                try:
                    act()
                except PqError as error:
                    assert error.exit_code == 77 and "another user" in str(error)
                else:
                    raise AssertionError("it was allowed")
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0


def test_a_link_in_a_sticky_folder_is_refused(tmp_path: Path) -> None:
    """In a folder where all may write, a link to a spool is not followed: exit 77."""
    root = spool_in(tmp_path)
    shared = tmp_path / "tmp"
    shared.mkdir()
    shared.chmod(0o1777)
    (shared / "spool").symlink_to(root)
    assert pq(shared / "spool", "enqueue", stdin=b"x").returncode == 77
    assert len(list(Spool(root).items())) == 4


def test_payloads_are_served_as_they_are(tmp_path: Path) -> None:
    """An item beside all this is still served byte for byte."""
    root = spool_in(tmp_path)
    assert pq(root, "next", "--ack").stdout == body(3)
