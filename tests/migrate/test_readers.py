"""The readers against real samples of every queue they know."""

from __future__ import annotations

import os
import random
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from pq_cli.migrate.detect import choose

READER_OF = {
    "v1": "pywats_persistent",
    "v1-torn": "pywats_persistent",
    "v2": "pywats_persistent",
    "v3-simplequeue": "simple_queue",
    "v4-async-pending": "async_pending",
    "v5-report-queue": "report_queue",
    "v6-ui-queue": "ui_queue",
    "plain-files": "plain",
    "maildir": "maildir",
    "dirq": "dirq",
}


def test_there_is_a_sample_of_every_format(sample: Any) -> None:
    """Each archive is read by the reader of its format, chosen by looking alone."""
    assert choose(sample.root).name == READER_OF[sample.expected["variant"]]


def test_items_are_as_expected(sample: Any, read: Callable[..., Any]) -> None:
    """Every item comes out in its order with its payload's bytes and every recorded fact."""
    result = read(sample.root)
    wanted = [
        {key: value for key, value in item.items() if key not in ("note", "custom")}
        for item in sample.expected["items"]
    ]
    assert [sample.as_expected(result, item) for item in result.items] == wanted
    assert len(wanted) == sample.expected["counts"]["items"] > 0


def test_own_metadata_is_kept(sample: Any, read: Callable[..., Any]) -> None:
    """What the old queue's user had put into an item is found again under its metadata."""
    items = read(sample.root).items
    for item, wanted in zip(items, sample.expected["items"], strict=True):
        assert item.legacy.get("custom", {}) == wanted.get("custom", {})


def test_reports_are_as_expected(sample: Any, read: Callable[..., Any]) -> None:
    """Exactly the files that could not be used are reported, once each, with the reason."""
    reported = read(sample.root).reported
    found = [{"path": sample.path(r.path), "reason": r.reason} for r in reported]
    assert found == sorted(sample.expected["reported"], key=lambda report: report["path"])


def test_warnings_are_as_expected(sample: Any, read: Callable[..., Any]) -> None:
    """Every value that gave way to a default is named with what it was, and no other."""
    found = [
        {"path": sample.path(w.path), "field": w.field, "value": w.value}
        for item in read(sample.root).items
        for w in item.warnings
    ]
    key = str
    assert sorted(found, key=key) == sorted(sample.expected["warnings"], key=key)


def test_every_file_is_a_source_or_reported(sample: Any, read: Callable[..., Any]) -> None:
    """No file of a source is passed over in silence, and none is both used and reported."""
    archive = sample.expected["archive"]
    with tarfile.open(f"{os.path.dirname(__file__)}/samples/{archive}") as tar:
        everything = {member.name for member in tar if not member.isdir()}
    result = read(sample.root)
    used = {sample.path(path) for item in result.items for path in item.source}
    left = {sample.path(report.path) for report in result.reported}
    assert used | left == everything
    assert not used & left


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_listing_order_does_not_matter(
    sample: Any, read: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """However the system lists a folder, items, their order and the reports are the same."""
    plain = read(sample.root)
    listed = os.scandir
    shuffler = random.Random(seed)
    calls = []

    @contextmanager
    def shuffled(path: str) -> Iterator[Iterator[os.DirEntry[str]]]:
        with listed(path) as entries:
            order = sorted(entries, key=lambda entry: entry.name)
            shuffler.shuffle(order)
            calls.append(path)
            yield iter(order)

    monkeypatch.setattr(os, "scandir", shuffled)
    again = read(sample.root)
    assert calls
    assert again.items == plain.items
    assert again.reported == plain.reported
