"""The rules of the formats that the samples do not show, and values one by one."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pq_cli.migrate.detect import FORMATS
from pq_cli.migrate.model import LegacyItem, Reported, Stamp, Warned
from pq_cli.migrate.order import Ordered
from pq_cli.migrate.readers import values

Fill = Callable[[dict[str, str | bytes]], Path]
Read = Callable[..., Any]
MTIME_US = 1_700_000_000_123_456


def _us(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1_000_000)


@pytest.mark.parametrize(
    ("meta", "wanted", "warned"),
    [
        ({}, 5, False),
        ({"priority": 1}, 1, False),
        ({"priority": 10}, 10, False),
        *(({"priority": bad}, 5, True) for bad in (0, 11, -1, 10**30, 2.5, True, "3", None, [3])),
    ],
)
def test_priority(meta: dict[str, Any], wanted: int, warned: bool) -> None:
    """Only a whole number from 1 to 10 is a priority; anything else is 5, and said so."""
    warnings: list[Warned] = []
    assert values.priority(meta, "m", warnings) == wanted
    assert warnings == ([Warned("m", "priority", meta["priority"])] if warned else [])


@pytest.mark.parametrize(
    ("recorded", "pending", "failed", "warned"),
    [
        (0, 0, 0, False),
        (7, 7, 7, False),
        (None, 0, 1, False),
        *((bad, 0, 1, True) for bad in (-1, True, "2", 1.0, 10**30)),
    ],
)
def test_attempts(recorded: Any, pending: int, failed: int, warned: bool) -> None:
    """Attempts are as recorded; without a usable record 1 if failed or done, else 0."""
    for state, wanted in (("pending", pending), ("held", pending), ("failed", failed)):
        warnings: list[Warned] = []
        assert values.attempts({"attempts": recorded}, state, "m", warnings) == wanted  # type: ignore[arg-type]
        assert bool(warnings) is warned
    assert values.attempts({}, "done", "m", []) == 1


@pytest.mark.parametrize(("bad"), [0, -1, True, "3", 1.5, 10**30])
def test_max_attempts(bad: Any) -> None:
    """A limit that is none leaves the spool's default, and is said."""
    warnings: list[Warned] = []
    assert values.max_attempts({"max_attempts": bad}, "m", warnings) is None
    assert warnings == [Warned("m", "max_attempts", bad)]
    assert values.max_attempts({"max_attempts": 1}, "m", warnings) == 1
    assert values.max_attempts({"max_attempts": None}, "m", []) is None


@pytest.mark.parametrize(
    ("error", "wanted"), [("x", "x"), (None, None), ("", ""), ({"å": 1}, '{"å": 1}'), (5, "5")]
)
def test_error_text(error: Any, wanted: str | None) -> None:
    """An error that is not a text is kept as its JSON."""
    assert values.error_text({"e": error}, "e") == wanted


@pytest.mark.parametrize(
    ("recorded", "utc"),
    [
        ("2025-10-26T02:30:00.000001", "2025-10-26T00:30:00.000001+00:00"),
        ("2025-10-26T01:59:59.999999", "2025-10-25T23:59:59.999999+00:00"),
        ("2025-10-26T03:00:00", "2025-10-26T02:00:00+00:00"),
        ("2025-03-30T02:30:00", "2025-03-30T01:30:00+00:00"),
        ("2025-07-01T12:00:00", "2025-07-01T10:00:00+00:00"),
        ("2025-07-01T12:00:00Z", "2025-07-01T12:00:00+00:00"),
        ("2025-07-01T12:00:00-05:00", "2025-07-01T17:00:00+00:00"),
    ],
)
def test_naive_times_are_local(fill: Fill, read: Read, recorded: str, utc: str) -> None:
    """A naive time is local in the given zone, the first one if it came twice."""
    meta = json.dumps({"created_at": recorded})
    item = read(fill({"a.failed.wsjf": "{}", "a.failed.meta.json": meta})).only()
    assert item.created_us == _us(utc)
    assert item.warnings == ()


@pytest.fixture
def in_new_york(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make New York this machine's zone."""
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("in_new_york")
def test_without_a_zone_it_is_this_machines(fill: Fill, read: Read) -> None:
    """Without `--tz` naive times are in the machine's own zone, ambiguous ones the first."""
    files = {"report_20251102_013000_000000.error.wsjf": "1"}
    assert read(fill(files), tz=None).only().created_us == _us("2025-11-02T05:30:00+00:00")


@pytest.mark.parametrize("bad", ["soon", "", 1700000000, True, {}, "0001-01-01T00:00:00+10:00"])
def test_unreadable_times_give_way_to_mtime(fill: Fill, read: Read, bad: Any) -> None:
    """A recorded time that is none is said, and the payload's mtime stands in."""
    meta = json.dumps({"created_at": bad})
    item = read(fill({"a.failed.wsjf": "{}", "a.failed.meta.json": meta})).only()
    assert item.created_us == MTIME_US
    assert item.warnings == (Warned("a.failed.meta.json", "created_at", bad),)


def test_mtime_is_rounded_down_and_held_to_real_years() -> None:
    """Nanoseconds are cut, not rounded up; times no date can name are moved to the edge."""
    assert values.mtime_us(Stamp(0, 1999, 0)) == 1
    assert values.mtime_us(Stamp(0, -1, 0)) == -1
    assert values.mtime_us(Stamp(0, 2**70, 0)) == values.MAX_US


def _persistent(updated: str, **more: Any) -> str:
    return json.dumps({"updated_at": updated, "status": "pending", **more})


@pytest.mark.parametrize(
    ("files", "state", "attempts"),
    [
        # The payload's own meta is readable: the newest of all decides.
        ({"pending": "2026-01-01", "completed": "2025-01-01"}, "pending", 0),
        ({"pending": "2025-01-01", "completed": "2026-01-01"}, "done", 4),
        ({"pending": "2026-01-01", "suspended": "2026-01-01"}, "held", 2),
        ({"pending": "2026-01-01", "failed": "2026-01-01", "suspended": "2026-01-01"}, "failed", 3),
        # It is not there: the payload's name decides, but completed is completed.
        ({"failed": "2026-01-01"}, "pending", 3),
        ({"failed": "2026-01-01", "completed": "2025-01-01"}, "done", 3),
        # A time that cannot be read counts as the meta's mtime, here 2023.
        ({"pending": "2022-01-01", "completed": "?"}, "done", 4),
        ({"pending": "2024-01-01", "completed": "?"}, "pending", 0),
    ],
)
def test_newest_meta_gives_the_state(
    fill: Fill, read: Read, files: dict[str, str], state: str, attempts: int
) -> None:
    """PersistentQueue: which meta decides state and attempts, and completed never runs again."""
    number = ("pending", "processing", "suspended", "failed", "completed").index
    metas = {
        f"a.{word}.meta.json": _persistent(updated, attempts=number(word))
        for word, updated in files.items()
    }
    item = read(fill({"a.pending.wsjf": "{}", **metas}), "pywats_persistent").only()
    assert (item.state, item.attempts) == (state, attempts)
    assert len(item.earlier) == len(files) - 1


def test_meta_of_no_state_with_two_payloads_is_an_orphan(fill: Fill, read: Read) -> None:
    """PersistentQueue: a meta that could belong to either of two payloads belongs to none."""
    root = fill({"a.pending.wsjf": "1", "a.failed.wsjf": "2", "a.suspended.meta.json": "{}"})
    result = read(root)
    assert result.reasons() == {"a.suspended.meta.json": "orphan-meta"}
    assert [item.state for item in result.items] == ["failed", "pending"]


def test_simple_queue_meta_without_a_failed_payload_serves_all(fill: Fill, read: Read) -> None:
    """SimpleQueue: without an `.error` payload the meta tells of whatever is there."""
    meta = '{"attempts": 3, "last_error": "e"}'
    root = fill({"a.pending.wsjf": "1", "a.completed.wsjf": "2", "a.error.meta.json": meta})
    items = read(root, "simple_queue").items
    assert [(i.state, i.attempts, i.last_error) for i in items] == [
        ("done", 3, "e"),
        ("pending", 3, "e"),
    ]


@pytest.mark.parametrize(
    "name", ["report_20260124_101501_250010\n", "xreport_20260124_101501_250010"]
)
def test_only_a_whole_name_is_a_time(fill: Fill, read: Read, name: str) -> None:
    """SimpleQueue: a name that merely contains a time has none."""
    assert read(fill({f"{name}.error.wsjf": "1"})).only().created_us == MTIME_US


@pytest.mark.parametrize(
    ("name", "us"),
    [
        ("17.M5P1.h", 17_000_005),
        ("17.P1Q2.h", 17_000_000),
        ("17.R1M250000P3.h", 17_250_000),
        ("17.h.M5", 17_000_000),
        ("17.M1234567.h", 17_000_000),
        ("17", MTIME_US),
        ("999999999999.x", MTIME_US),
    ],
)
def test_maildir_times(fill: Fill, read: Read, name: str, us: int) -> None:
    """Maildir: seconds and microseconds are those of the name where it has them."""
    assert read(fill({f"new/{name}": "x"}), "maildir").only().created_us == us


def test_dirq_name_without_microseconds(fill: Fill, read: Read) -> None:
    """dirq: five digits beyond a million microseconds are no time."""
    assert read(fill({"00000000/00000001fffff0": ""})).only().created_us == MTIME_US


def test_plain_sidecar_falls_back(fill: Fill, read: Read) -> None:
    """Plain: a sidecar that is no object counts for nothing, so the other name is looked at."""
    root = fill({"a.x": "", "a.x.meta.json": "[]", "a.meta.json": '{"priority": 2}'})
    result = read(root)
    assert result.reasons() == {"a.x.meta.json": "bad-meta"}
    assert (result.only().priority, result.only().source) == (2, ("a.x", "a.meta.json"))


def test_plain_bad_sidecar_of_two_files_is_reported_once(fill: Fill, read: Read) -> None:
    """Plain: a sidecar that is no object is reported once, however many files it is for."""
    result = read(fill({"a.x": "", "a.y": "", "a.meta.json": "[]"}))
    assert [report.path for report in result.reported] == ["a.meta.json"]
    assert [item.source for item in result.items] == [("a.x",), ("a.y",)]


def test_a_name_that_is_only_an_ending_is_no_item(fill: Fill, read: Read) -> None:
    """A file called `.queued` belongs to no item, and is reported."""
    result = read(fill({".queued": "x", ".meta.json": "{}", "a.queued": "x"}))
    assert result.reasons() == {".queued": "unknown-file", ".meta.json": "unknown-file"}
    assert result.only().legacy_id == "a"


NAMES = st.builds(
    "".join,
    st.lists(
        st.sampled_from(
            (
                *("a", "b", ".", ".pending", ".failed", ".completed", ".error", ".queued"),
                *(".wsjf", ".meta.json", ".json", ".info", ".tmp", ".lck", ":2,S"),
                *("69f88a57011d67", "\udcff"),
            )
        ),
        min_size=1,
        max_size=4,
    ),
).filter(lambda name: name not in (".", ".."))
FOLDERS = st.sampled_from(["", "pending/", "sent/", "completed/", "new/", "cur/", "69f88a40/"])
CONTENTS = st.sampled_from([b"", b"{}", b"[1]", b'{"report_data": 1, "data": 2, "priority": 3}'])


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.builds(str.__add__, FOLDERS, NAMES), CONTENTS, max_size=12))
def test_every_file_is_accounted_for(tree: dict[str, bytes]) -> None:
    """Whatever lies in a folder, each reader uses or reports each file, never both."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        made = set()
        for name, content in tree.items():
            path = root / name
            if path.parent.is_file() or path.is_dir():
                continue
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
            made.add(name)
        for reader in FORMATS.values():
            with Ordered(reader.read(root, None)) as ordered:
                items: list[LegacyItem] = list(ordered.items())
                reported: list[Reported] = list(ordered.reported())
            used = {path for item in items for path in item.source}
            assert used | {report.path for report in reported} == made
            assert len(reported) == len({report.path for report in reported})
            assert not used & {report.path for report in reported}
            assert sum(ordered.states.values()) == len(items)
            assert sum(ordered.reasons.values()) == len(reported)
