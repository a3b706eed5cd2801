"""A glance at a folder: what comes into it is seen at once, and looking costs one stat."""

from __future__ import annotations

import os

import pytest

from pq_cli.spool import glance
from pq_cli.spool.glance import Glance
from pq_cli.spool.reader import Reader


class Counting(Reader):
    """A reader that counts how often it lists a folder."""

    listed = 0

    def names(self, folder):
        """List it, and count."""
        self.listed += 1
        return super().names(folder)


@pytest.fixture
def folder(tmp_path):
    """An empty folder that has been still for a minute."""
    path = tmp_path / "new"
    path.mkdir()
    os.utime(path, (path.stat().st_mtime - 60,) * 2)
    return path


@pytest.fixture
def reader(tmp_path):
    """A counting reader of the folder above it."""
    return Counting(str(tmp_path))


def test_a_still_and_empty_folder_is_listed_once(folder, reader):
    """A hundred glances at an empty folder list it once."""
    look = Glance(reader, "new")
    assert not any(look() for _ in range(100)) and reader.listed == 1


def test_what_comes_is_seen_at_the_next_glance(folder, reader):
    """A name that appears is seen at once, as long as it is there, and its going is seen too."""
    look = Glance(reader, "new")
    assert not look()
    (folder / "x").touch()
    assert look() and look()
    (folder / "x").unlink()
    assert not look()


@pytest.mark.parametrize(("changed", "age"), [(1_700_000_000_123, 0.05), (1_700_000_000_000, 1.9)])
def test_a_folder_that_just_changed_is_not_believed(folder, reader, monkeypatch, changed, age):
    """What comes within the same time stamp as the look is seen: young stamps are not trusted.

    Whole seconds are what a file system writes that knows no fractions, or two seconds at a time.
    """
    stamp = changed * 10**6
    os.utime(folder, ns=(stamp, stamp))
    monkeypatch.setattr(glance.time, "time", lambda: changed / 1000 + age)
    look = Glance(reader, "new")
    assert not look()
    (folder / "x").touch()
    os.utime(folder, ns=(stamp, stamp))
    assert look()


@pytest.mark.parametrize(("changed", "age"), [(1_700_000_000_123, 0.15), (1_700_000_000_000, 2.1)])
def test_a_still_folder_is_believed_soon(folder, reader, monkeypatch, changed, age):
    """One step of the file system's clock after the change there is nothing more to wait for."""
    os.utime(folder, ns=(changed * 10**6,) * 2)
    monkeypatch.setattr(glance.time, "time", lambda: changed / 1000 + age)
    look = Glance(reader, "new")
    assert not any(look() for _ in range(10)) and reader.listed == 1


def test_a_stamp_is_not_believed_for_long(folder, reader, monkeypatch):
    """Where the stamp never changes (another clock, a broken server) a second is the most."""
    look, stamp = Glance(reader, "new"), folder.stat().st_mtime_ns
    assert not look()
    (folder / "x").touch()
    os.utime(folder, ns=(stamp, stamp))
    assert not look()
    later = glance.time.time() + 1.5
    monkeypatch.setattr(glance.time, "time", lambda: later)
    assert look()


def test_no_folder_is_an_empty_one(reader):
    """A drop box that was removed holds nothing."""
    assert not Glance(reader, "new")()
