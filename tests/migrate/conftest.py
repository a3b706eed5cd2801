"""Shared by the tests of the readers: the sample archives, unpacked, and running a reader."""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from support import unpack

from pq_cli.migrate.detect import choose
from pq_cli.migrate.files import open_payload
from pq_cli.migrate.model import LegacyItem, Reported
from pq_cli.migrate.order import Ordered

SAMPLES = Path(__file__).parent / "samples"
OSLO = ZoneInfo("Europe/Oslo")


@dataclass
class Result:
    """What reading a folder gave, in order."""

    root: Path
    items: list[LegacyItem]
    reported: list[Reported]

    def reasons(self) -> dict[str, str]:
        """Return path -> reason of everything reported."""
        return {report.path: report.reason for report in self.reported}

    def only(self) -> LegacyItem:
        """Return the one item."""
        (item,) = self.items
        return item

    def payload(self, item: LegacyItem) -> bytes:
        """Return an item's payload."""
        with open_payload(self.root, item) as stream:
            return stream.read()


@dataclass
class Sample:
    """An unpacked archive and what a lossless import makes of it."""

    root: Path
    expected: dict[str, Any]

    def path(self, relative: str) -> str:
        """Return a reader's path as expected.json writes it."""
        return f"{self.expected['root']}/{relative}"

    def as_expected(self, result: Result, item: LegacyItem) -> dict[str, Any]:
        """Return an item in the terms of expected.json, all fields but `custom` and `note`."""
        data = result.payload(item)
        assert len(data) == item.payload_size
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=item.created_us)
        return {
            "source": [self.path(each) for each in item.source],
            "payload_sha256": hashlib.sha256(data).hexdigest(),
            "payload_size": len(data),
            "priority": item.priority,
            "state": item.state,
            "created_at": moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "attempts": item.attempts,
            "max_attempts": item.max_attempts,
            "last_error": item.last_error,
            "legacy_id": item.legacy_id,
        }


def read_folder(root: Path, name: str | None = None, tz: Any = OSLO) -> Result:
    """Choose a reader (or take the named one), read a folder, return everything in order."""
    with Ordered(choose(root, name).read(root, tz)) as ordered:
        return Result(root, list(ordered.items()), list(ordered.reported()))


@pytest.fixture
def read() -> Callable[..., Result]:
    """Give `read_folder`."""
    return read_folder


SAMPLE_NAMES = sorted(p.name.removesuffix(".expected.json") for p in SAMPLES.glob("*.json"))


@pytest.fixture(scope="session", params=SAMPLE_NAMES)
def sample(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Sample:
    """Give each sample archive in turn, unpacked with its modification times."""
    name = request.param
    folder = tmp_path_factory.mktemp(name)
    with tarfile.open(SAMPLES / f"{name}.tar.gz") as archive:
        unpack(archive, folder)
    expected = json.loads((SAMPLES / f"{name}.expected.json").read_text("utf-8"))
    return Sample(folder / expected["root"], expected)


@pytest.fixture
def fill(tmp_path: Path) -> Callable[[dict[str, str | bytes]], Path]:
    """Give a function that makes a folder with files, all of one age, and returns it."""

    def make(files: dict[str, str | bytes]) -> Path:
        root = tmp_path / "source"
        root.mkdir(exist_ok=True)
        for name, content in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
            os.utime(path, ns=(0, 1_700_000_000_123_456_789))
        return root

    return make
