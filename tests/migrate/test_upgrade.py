"""Upgrading a spool of an older format in place: the frame, for the day there is one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from test_import import pq, tree

from pq_cli import ConfigError, Spool
from pq_cli.spool import layout
from pq_cli.spool.durable import Disk
from pq_cli.spool.upgrade import upgrade


def test_a_spool_of_todays_format_stays_as_it_is(tmp_path: Path) -> None:
    """`pq migrate SPOOL` says that there is nothing to do, and does nothing."""
    Spool(tmp_path / "q").enqueue(b"x")
    before = tree(tmp_path / "q")
    done = pq("migrate", tmp_path / "q")
    assert done.returncode == 0 and "nothing to do" in done.stderr
    assert tree(tmp_path / "q") == before


def test_an_older_format_is_upgraded_step_by_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each step runs once, and the format on disk is the last one that was reached."""
    root = tmp_path / "q"
    Spool(root).enqueue(b"x")
    monkeypatch.setattr(layout, "FORMAT", 3)
    ran: list[int] = []

    def first(disk: Disk) -> None:
        ran.append(1)
        disk.write_new("queue.toml", b"# two\n")

    def second(_: Disk) -> None:
        ran.append(2)
        if len(ran) == 2:
            raise OSError(28, "No space left on device")

    steps = {1: first, 2: second}
    assert upgrade(str(root), "1s", dry_run=True, steps=steps) == (1, 3)
    assert not ran
    with pytest.raises(OSError, match="No space"):
        upgrade(str(root), "1s", steps=steps)
    assert json.loads((root / "state.json").read_text())["format"] == 2
    assert upgrade(str(root), "1s", steps=steps) == (2, 3)
    assert ran == [1, 2, 2]
    assert json.loads((root / "state.json").read_text())["format"] == 3
    queue = Spool(root)
    assert [queue.payload(item) for item in queue.items()] == [b"x"]
    assert upgrade(str(root), "1s", steps=steps) == (3, 3)


def test_a_missing_step_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the step for its format a spool is refused, untouched."""
    Spool(tmp_path / "q").close()
    before = tree(tmp_path / "q")
    monkeypatch.setattr(layout, "FORMAT", 3)
    with pytest.raises(ConfigError, match="cannot upgrade format 1"):
        upgrade(str(tmp_path / "q"), "1s", steps={2: lambda _: None})
    assert tree(tmp_path / "q") == before
