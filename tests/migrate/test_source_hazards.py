"""Sources that are damaged, hostile or alive: reported or refused, never a traceback."""

from __future__ import annotations

import errno
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pq_cli.migrate import files
from pq_cli.migrate.detect import FORMATS, choose
from pq_cli.migrate.files import check_unchanged, open_payload
from pq_cli.migrate.model import (
    FileProblemError,
    SourceChangedError,
    SourceUnreadableError,
)
from pq_cli.migrate.order import Ordered
from pq_cli.transfer.scratch import Scratch, ScratchError

Fill = Callable[[dict[str, str | bytes]], Path]
Read = Callable[..., Any]

# A folder of each format with one item; its payload's file first.
ONE_OF_EACH: dict[str, dict[str, str]] = {
    "pywats_persistent": {"a.failed.wsjf": "{}", "a.failed.meta.json": "{}"},
    "simple_queue": {"a.error.wsjf": "{}", "a.error.meta.json": "{}"},
    "async_pending": {"a.queued": "x", "a.error.info": "{}", "a.meta.json": "{}"},
    "report_queue": {"pending/a.json": '{"report_data": 1}'},
    "ui_queue": {"pending/a.json": '{"data": 1, "operation_type": "x"}'},
    "plain": {"a.txt": "x", "a.meta.json": "{}"},
    "maildir": {"new/1.M2.x": "x", "cur/.keep": "", "tmp/.keep": ""},
    "dirq": {"69f88a40/69f88a57011d67": "x", "69f88a40/69f88a57011d67.lck": "x"},
}


@pytest.fixture(params=sorted(ONE_OF_EACH))
def one(request: pytest.FixtureRequest, fill: Fill) -> tuple[str, Path, str]:
    """Give each format's name, a folder with one item of it, and its payload's file."""
    return (
        request.param,
        fill(dict(ONE_OF_EACH[request.param])),
        next(iter(ONE_OF_EACH[request.param])),
    )


def test_links_and_special_files_are_reported(
    one: tuple[str, Path, str], read: Read, tmp_path: Path
) -> None:
    """A link, a pipe and a linked folder lie there untouched, by name, in every format."""
    name, root, payload = one
    target = tmp_path / "elsewhere"
    target.mkdir()
    (target / "secret.queued").write_text("{}")
    folder = (root / payload).parent
    (folder / "link.pending.wsjf").symlink_to(target / "secret.queued")
    (folder / "linked").symlink_to(target)
    (root / "failed").symlink_to(target)
    os.mkfifo(folder / "pipe.queued")
    result = read(root, name)
    where = folder.relative_to(root)
    expected = {str(where / n) for n in ("link.pending.wsjf", "linked", "pipe.queued")}
    found = {path for path, reason in result.reasons().items() if reason == "not-a-file"}
    assert found == expected | {"failed"}
    assert len(result.items) == 1


def _alarm(*_: Any) -> None:
    raise TimeoutError("waits for ever")


def test_what_took_a_files_place_is_not_read(tmp_path: Path) -> None:
    """A link or pipe put in a file's place after the listing is noticed, without waiting."""
    (tmp_path / "real").write_text("secret")
    (tmp_path / "link").symlink_to("real")
    os.mkfifo(tmp_path / "pipe")
    previous = signal.signal(signal.SIGALRM, _alarm)
    signal.setitimer(signal.ITIMER_REAL, 3)
    try:
        for name in ("link", "pipe"):
            with pytest.raises(FileProblemError, match="not-a-file"):
                files.read_file(tmp_path, name, 10)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    assert files.read_file(tmp_path, "real", 10)[0] == b"secret"


def test_subfolders_are_reported_file_by_file(one: tuple[str, Path, str], read: Read) -> None:
    """Every file in a folder that no rule names is reported, however deep."""
    name, root, _ = one
    (root / "sub" / "deeper").mkdir(parents=True)
    (root / "sub" / "a.queued").write_text("{}")
    (root / "sub" / "deeper" / "b.json").write_text("{}")
    found = {p for p, r in read(root, name).reasons().items() if r == "in-a-subfolder"}
    assert found == {"sub/a.queued", "sub/deeper/b.json"}


@pytest.mark.parametrize("code", [errno.EACCES, errno.ENOENT, errno.EIO, errno.ELOOP])
@pytest.mark.parametrize("which", [0, -1])
def test_unreadable_files_are_reported(
    one: tuple[str, Path, str], read: Read, monkeypatch: pytest.MonkeyPatch, code: int, which: int
) -> None:
    """A file that cannot be opened or vanished is reported; all others are accounted for."""
    name, root, _ = one
    victim = [file for file in ONE_OF_EACH[name] if not file.endswith((".keep", ".lck"))][which]
    reader = choose(root, name)
    really = os.open

    def broken(path: Any, flags: int, *rest: Any, **more: Any) -> int:
        if os.fspath(path) == str(root / victim):
            raise OSError(code, os.strerror(code), path)
        return really(path, flags, *rest, **more)

    monkeypatch.setattr(os, "open", broken)
    with Ordered(reader.read(root, None)) as ordered:
        reported = {report.path: report.reason for report in ordered.reported()}
        used = {path for item in ordered.items() for path in item.source}
    assert reported[victim] == ("not-a-file" if code == errno.ELOOP else "unreadable")
    assert used | set(reported) == set(ONE_OF_EACH[name])
    assert not used & set(reported)


def test_unlistable_folder_is_refused(
    one: tuple[str, Path, str], read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A source that cannot be listed is an error of its own, not a queue with no items."""
    name, root, _ = one
    monkeypatch.setattr(os, "scandir", _denied)
    with pytest.raises(SourceUnreadableError, match="cannot list"):
        read(root, name)


def _denied(path: Any) -> Any:
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)


ODD_NAMES = [
    b"caf\xe9 \xff",
    b"two\nlines",
    b"-rf",
    b"a.tmp",
    "\U0001f4be \u8a66".encode(),
    b"'\";",
]


@pytest.mark.parametrize("odd", ODD_NAMES)
def test_odd_names(fill: Fill, read: Read, odd: bytes) -> None:
    """A name may hold any bytes: invalid UTF-8, line breaks, quotes; it comes back exactly."""
    root = fill({"z.queued": "other"})
    for ending in (b".queued", b".meta.json"):
        with open(os.path.join(os.fsencode(root), odd + ending), "wb") as stream:
            stream.write(b'{"priority": 3}')
    result = read(root)
    item = next(item for item in result.items if item.legacy_id != "z")
    assert [os.fsencode(path) for path in item.source] == [odd + b".queued", odd + b".meta.json"]
    assert (item.priority, os.fsencode(item.legacy_id)) == (3, odd)
    assert result.payload(item) == b'{"priority": 3}'


def test_ties_go_by_name_as_text(fill: Fill, read: Read) -> None:
    """Items of one instant come in the order of their names' characters, invalid ones too."""
    root = fill({})
    names = [b"b", b"a", b"B", "\u00e9".encode(), b"\xff", "\U0001f4be".encode(), "\uffee".encode()]
    for name in names:
        path = os.path.join(os.fsencode(root), name)
        os.close(os.open(path, os.O_CREAT))
        os.utime(path, (1, 1))
    found = [item.source[0] for item in read(root).items]
    assert found == sorted(map(os.fsdecode, names))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b" " * (files.MAX_META + 1), "too-large"),
        (b'{"a": ' + b"[" * 200 + b"]" * 200 + b"}", "bad-meta"),
        (b"[" * 100_000, "bad-meta"),
        (b'{"priority": 1' + b"0" * 5000 + b"}", "bad-meta"),
        ('{"priority": 3}'.encode("utf-16"), "bad-meta"),
        (b'{"priority": 3, "\xff": 1}', "bad-meta"),
        (b"null", "bad-meta"),
    ],
)
def test_hostile_sidecars_are_reported(fill: Fill, read: Read, content: bytes, reason: str) -> None:
    """A sidecar that is huge, bottomless or no JSON object is reported, its item imported."""
    result = read(fill({"a.queued": "x", "a.meta.json": content}))
    assert result.reasons() == {"a.meta.json": reason}
    assert (result.only().priority, result.only().source) == (5, ("a.queued",))


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff", "{}".encode("utf-16"), b"[" * 100_000, b"1" * 5000]
)
def test_wsjf_must_be_json(fill: Fill, read: Read, content: bytes) -> None:
    """A `.wsjf` that Python's json cannot read is reported together with its meta."""
    root = fill({"a.failed.wsjf": content, "a.failed.meta.json": "{}", "b.failed.wsjf": "NaN"})
    result = read(root)
    assert result.reasons() == {
        "a.failed.wsjf": "bad-payload",
        "a.failed.meta.json": "meta-of-bad-payload",
    }
    assert result.payload(result.only()) == b"NaN"


def test_documents_over_the_limit_are_reported(
    fill: Fill, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A payload too large to be parsed safely is reported, not half read."""
    monkeypatch.setattr("pq_cli.migrate.readers.flat.MAX_DOCUMENT", 10)
    root = fill({"a.failed.wsjf": " " * 9 + "11", "b.failed.wsjf": " " * 9 + "1"})
    result = read(root)
    assert result.reasons() == {"a.failed.wsjf": "too-large"}
    assert result.only().legacy_id == "b"


@pytest.mark.parametrize(
    ("data", "canonical"),
    [
        ("123456789012345678901234567890", b"123456789012345678901234567890"),
        ("1e-07", b"1e-07"),
        ("1.0", b"1.0"),
        ('[NaN, Infinity, -Infinity, "\\u00e6\\u0001"]', '[NaN,Infinity,-Infinity,"æ\\u0001"]'),
        ('{"b": 1, "a": {"d": 0, "c": []}}', b'{"a":{"c":[],"d":0},"b":1}'),
        ("null", b"null"),
    ],
)
def test_envelope_payloads_keep_their_values(
    fill: Fill, read: Read, data: str, canonical: bytes | str
) -> None:
    """The canonical JSON of an envelope loses no digit, no NaN and no character."""
    envelope = f'{{"id": "a", "operation_type": "x", "data": {data}, "status": "sending"}}'
    result = read(fill({"pending/a.json": envelope}))
    wanted = canonical.encode() if isinstance(canonical, str) else canonical
    assert result.payload(result.only()) == wanted
    assert result.only().payload_size == len(wanted)
    assert result.only().legacy == {"id": "a", "operation_type": "x", "status": "sending"}


@pytest.mark.parametrize("data", ['"\\ud800"', "[" * 300_000 + "]" * 300_000])
def test_envelope_payload_that_cannot_be_written(fill: Fill, read: Read, data: str) -> None:
    """A payload that UTF-8 cannot hold, or that nests without end, is reported."""
    good = '{"operation_type": "x", "data": 1}'
    root = fill({"pending/a.json": f'{{"data": {data}}}', "pending/b.json": good})
    result = read(root)
    assert result.reasons() == {"pending/a.json": "bad-envelope"}
    assert result.only().legacy_id == "b"


def test_losing_copy_with_another_payload_is_told(fill: Fill, read: Read) -> None:
    """Of one id in several folders the strongest counts; another payload is not dropped mutely."""
    copies = {"sent": "1", "failed": "1", "pending": "2"}
    item = read(
        fill(
            {
                f"{folder}/a.json": json.dumps({"operation_type": folder, "data": data})
                for folder, data in copies.items()
            }
        )
    ).only()
    assert item.state == "done"
    assert item.source == ("sent/a.json", "failed/a.json", "pending/a.json")
    assert [(w.path, w.field) for w in item.warnings] == [("pending/a.json", "data")]
    assert [each["operation_type"] for each in item.earlier] == ["failed", "pending"]


def test_a_changed_payload_is_noticed(one: tuple[str, Path, str], read: Read) -> None:
    """A payload that was changed, replaced or removed after reading is never taken."""
    name, root, payload = one
    result = read(root, name)
    item = result.only()
    check_unchanged(root, item)
    with open(root / payload, "ab") as stream:
        stream.write(b" ")
    for look in (open_payload, check_unchanged):
        with pytest.raises(SourceChangedError, match="changed"):
            look(root, item)
    os.unlink(root / payload)
    for look in (open_payload, check_unchanged):
        with pytest.raises(SourceChangedError, match="vanished"):
            look(root, item)


def test_reading_changes_nothing(one: tuple[str, Path, str], read: Read) -> None:
    """The source is left exactly as it was: names, bytes, times."""
    name, root, _ = one

    def picture() -> list[Any]:
        paths = sorted(root.rglob("*"))
        return [(p, p.lstat().st_mtime_ns, p.lstat().st_ino, p.lstat().st_size) for p in paths]

    before = picture()
    result = read(root, name)
    result.payload(result.only())
    assert picture() == before


def test_trouble_with_the_scratch_is_its_own_error() -> None:
    """A temporary index that cannot be written says so, and names the way out."""
    with Scratch(()) as scratch, pytest.raises(ScratchError, match="TMPDIR"):
        list(scratch.select("SELECT * FROM missing"))
    with Scratch(()) as scratch:
        scratch.insert("INSERT INTO missing VALUES (?)", (1,))
        with pytest.raises(ScratchError, match="TMPDIR"):
            list(scratch.select("SELECT 1"))


def test_there_is_a_source_of_every_format() -> None:
    """The tests above run on every reader there is."""
    assert set(ONE_OF_EACH) == set(FORMATS)
