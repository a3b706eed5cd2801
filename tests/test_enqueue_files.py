"""`pq enqueue FILE...`: many small FILEs share a commit, and nobody notices but by the time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support import Pq


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Five small FILEs, numbered."""
    made = [tmp_path / f"file{number}" for number in range(5)]
    for path in made:
        path.write_text(path.name)
    return made


def test_one_that_cannot_be_read_stops_no_other(pq: Pq, files: list[Path]) -> None:
    """It is named, and the others are queued in their order, whatever batch they were in."""
    files[2].unlink()
    ran = pq("enqueue", *files, expect=74)
    assert ran.words == ["1", "2", "3", "4"]
    assert str(files[2]) in ran.err and "4 of 5 FILEs were queued" in ran.err
    with pq.api() as spool:
        assert [item.name for item in spool.items()] == ["file0", "file1", "file3", "file4"]


def test_those_that_find_no_room_are_counted(pq: Pq, files: list[Path]) -> None:
    """A queue that is full in the middle of a batch has what fitted; with --move the rest stays."""
    pq.spool.mkdir(mode=0o700)
    (pq.spool / "queue.toml").write_text("max_items = 3\n")
    ran = pq("enqueue", "--move", *files, expect=75)
    assert ran.words == ["1", "2", "3"] and ran.err.count("the queue is full") == 2
    assert [path.name for path in files if path.exists()] == ["file3", "file4"]
    assert os.listdir(pq.spool / "tmp") == []


def test_who_must_be_waited_for_keeps_no_id_back(pq: Pq, files: list[Path], tmp_path: Path) -> None:
    """What was read before a FILE that comes slowly has its id before that one comes."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pq.start("enqueue", *files[:2], pipe, files[2]) as process:
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(2)] == [b"1\n", b"2\n"]
        pipe.write_bytes(b"at last")
        assert process.stdout.read().split() == [b"3", b"4"]
        assert process.wait(timeout=60) == 0
    with pq.api() as spool:
        assert spool.payload(3) == b"at last"


SLOWLY = """
import itertools, sys
from pq_cli import Spool
from pq_cli.cli import main
from pq_cli.commands import enqueue

enqueue.monotonic = itertools.count(0, 0.03).__next__
commit = Spool.commit
Spool.commit = lambda self, batch: print(len(batch), file=sys.stderr) or commit(self, batch)
main()
"""
"""Whenever it looks, 30 ms have passed; it tells how many FILEs each commit has."""


def test_who_is_read_slowly_has_an_id_soon(pq: Pq, files: list[Path]) -> None:
    """A commit waits for no FILE after 50 ms, however few they are by then."""
    argv = [sys.executable, "-c", SLOWLY, "enqueue", *map(str, files)]
    ran = subprocess.run(argv, env=pq.env, check=True, capture_output=True, text=True)
    assert ran.stdout.split() == ["1", "2", "3", "4", "5"]
    assert ran.stderr.split() == ["2", "2", "1"]
