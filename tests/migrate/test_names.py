"""Names: a reader takes what the program of that queue would take, and nothing else."""

from __future__ import annotations

import mailbox
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import read_folder
from hypothesis import given, settings
from hypothesis import strategies as st

from pq_cli.migrate.detect import choose
from pq_cli.migrate.model import MigrateError

Fill = Callable[[dict[str, str | bytes]], Path]
Read = Callable[..., Any]
CASES = settings(max_examples=60, deadline=None)

DIGITS = st.text("0123456789abcdefABCDEFg", min_size=1, max_size=16)
SMALL = st.text("0123456789abcdef", min_size=14, max_size=14)
DIRQ_FOLDERS = st.sampled_from(
    ["69f88a40", "00000000", "FFFFFFFF", "69F88A40", "69f88a4", "69f88a400", "69f88a4g", "tmp"]
)
DIRQ_ELEMENTS = st.builds(
    str.__add__,
    st.sampled_from(["ffffffffffffff", "FFFFFFFFFFFFFF", "69f88a57011d6A"]) | SMALL | DIGITS,
    st.sampled_from(["", "", "", ".tmp", ".lck", ".LCK", "0", " ", "\udcff"]),
)


@CASES
@given(st.sets(st.tuples(DIRQ_FOLDERS, DIRQ_ELEMENTS), min_size=1, max_size=10))
def test_dirq_elements_are_those_that_dirq_lists(names: set[tuple[str, str]]) -> None:
    """Of whatever lies in the folder dirq's own program and the reader see the same elements."""
    simple = _dirq()
    with tempfile.TemporaryDirectory() as folder:
        for inside, name in names:
            os.makedirs(f"{folder}/{inside}", exist_ok=True)
            Path(folder, inside, name).write_bytes(b"x")
        listed = set(simple.QueueSimple(folder))
        result = read_folder(Path(folder), "dirq")
        assert {item.legacy_id for item in result.items} == listed
        used = [path for item in result.items for path in item.source]
        left = [report.path for report in result.reported]
        assert sorted(used + left) == sorted("/".join(name) for name in names)


def _dirq() -> Any:
    if os.environ.get("CI"):
        import dirq.QueueSimple
    else:
        pytest.importorskip("dirq.QueueSimple", reason="the test extra has dirq")
        import dirq.QueueSimple
    return dirq.QueueSimple


def test_dirq_is_not_seen_in_capital_digits(fill: Fill, read: Read) -> None:
    """`FFFFFFFFFFFFFF` is no element: it stays, is named, and does not make a folder a dirq."""
    root = fill({"dirq/69f88a40/FFFFFFFFFFFFFF": "x", "dirq/69f88a40/69f88a57011d67": "y",
                 "other/FFFFFFFF/69f88a57011d67": "x"})  # fmt: skip
    assert read(root / "dirq").reasons() == {"69f88a40/FFFFFFFFFFFFFF": "unknown-file"}
    with pytest.raises(MigrateError, match="no queue known here"):
        choose(root / "other")


MAIL_NAMES = st.builds(
    "".join,
    st.lists(
        st.sampled_from(
            ["1769000000", ".M5P7", ".host", ":2,", ":1,", "S", "D", ",S=3", "a", "\n", "\udcff"]
        ),
        min_size=1,
        max_size=5,
    ),
)


@CASES
@given(st.sets(st.tuples(st.sampled_from(["new", "cur", "tmp"]), MAIL_NAMES), max_size=10))
def test_messages_are_those_that_a_mail_program_lists(names: set[tuple[str, str]]) -> None:
    """Python's own Maildir and the reader see the same messages, but hidden ones: those are no
    messages to any other program."""
    with tempfile.TemporaryDirectory() as folder:
        for inside in ("new", "cur", "tmp"):
            os.mkdir(f"{folder}/{inside}")
        for inside, name in names:
            Path(folder, inside, name).write_bytes(b"x")
        listed = set(mailbox.Maildir(folder, create=False).keys())
        result = read_folder(Path(folder), "maildir")
        seen = {item.legacy_id for item in result.items}
        assert seen == {name for name in listed if not name.startswith(".")}
        hidden = {report.path for report in result.reported if report.reason == "hidden-file"}
        assert all(Path(path).name.startswith(".") for path in hidden)


STATES = {
    "pywats_persistent": ("pending", "processing", "suspended", "failed", "completed"),
    "simple_queue": ("pending", "submitting", "error", "completed"),
    "async_pending": ("queued", "processing", "error", "completed"),
}
PATTERNS = {
    name: tuple(f"*.{state}" + ("" if name == "async_pending" else ".wsjf") for state in states)
    for name, states in STATES.items()
} | {
    "report_queue": ("pending/*.json", "failed/*.json", "completed/*.json"),
    "ui_queue": ("pending/*.json", "failed/*.json", "sent/*.json"),
}
"""What the programs of pyWATS list, as they spell it (0.1.0b38, 0.5.0b6)."""
PYWATS_NAMES = st.builds(
    "".join,
    st.lists(
        st.sampled_from(
            (
                *("a", ".", "B ", ".pending", ".Pending", ".failed", ".completed", ".error"),
                *(".queued", ".processing", ".suspended", ".submitting", ".wsjf", ".WSJF"),
                *(".json", ".JSON", ".tmp", ".info", "~", "\n", "\udcff"),
            )
        ),
        min_size=1,
        max_size=4,
    ),
).filter(lambda name: name not in (".", ".."))
PYWATS_FOLDERS = st.sampled_from(["", "", "pending/", "failed/", "sent/", "completed/", "Sent/"])


@pytest.mark.parametrize("reader", PATTERNS)
@CASES
@given(names=st.sets(st.builds(str.__add__, PYWATS_FOLDERS, PYWATS_NAMES), max_size=10))
def test_items_are_those_that_pywats_lists(reader: str, names: set[str]) -> None:
    """Each reader of a queue of pyWATS and the program's own patterns find the same files, but
    for those whose whole name is an ending: they have no id."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name in names:
            path = root / name
            if path.parent.is_file() or path.is_dir():
                continue
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b'{"report_data": 1, "data": 2}')
        listed = {
            str(path.relative_to(root))
            for pattern in PATTERNS[reader]
            for path in root.glob(pattern)
            if path.name != Path(pattern).name.removeprefix("*")
        }
        taken = {path for item in read_folder(root, reader).items for path in item.source}
        assert {path for path in taken if not path.endswith((".meta.json", ".info"))} == listed


@pytest.mark.parametrize(
    "name", ["a.part", "a.CRDOWNLOAD", "a~", "#a#", "a.swp", "a.aria2", "a.tmp", "a.lock"]
)
def test_a_plain_folder_keeps_what_looks_unfinished(fill: Fill, read: Read, name: str) -> None:
    """A name that the drop box takes for unfinished is none for `migrate`, either."""
    result = read(fill({name: "half", "b": "whole"}), "plain")
    assert [item.legacy_id for item in result.items] == ["b"]
    assert result.reasons() == {name: "tmp-leftover"}


def test_a_plain_folder_keeps_what_another_file_marks(fill: Fill, read: Read) -> None:
    """`x.iso` beside `x.iso.aria2` is half a download, `y` beside a backup `y~` is whole."""
    result = read(fill({"x.iso": "half", "x.iso.aria2": "", "y": "", "y~": "old"}), "plain")
    assert [item.legacy_id for item in result.items] == ["y"]
    assert set(result.reasons()) == {"x.iso", "x.iso.aria2", "y~"}
