"""A spool under people's hands: empty folders swept away while a process has it open."""

from __future__ import annotations

import os
import shutil

import pytest
from queues import Clock, make_queue

from pq_cli import PqError
from pq_cli.queue.request import Request


def sweep(path):
    """Do what `find SPOOL -type d -empty -delete` does."""
    for folder, _, _ in os.walk(path, topdown=False):
        if folder != str(path) and not os.listdir(folder):
            os.rmdir(folder)


def patiently(verb, *args, **fields):
    """Do a verb; the first time it may find a folder gone that was there just now."""
    try:
        return verb(*args, **fields)
    except OSError:
        return verb(*args, **fields)


@pytest.mark.parametrize("durability", ["full", "fast"])
def test_empty_folders_may_be_swept_away(tmp_path, durability):
    """One verb at most is refused, unchanged; then the open Spool makes again what it needs."""
    spool = make_queue(f"spool-{durability}", tmp_path, Clock())

    def do(verb, *args, **fields):
        sweep(tmp_path / "spool")
        return patiently(verb, *args, **fields)

    for _ in range(3):
        number = do(spool.enqueue, b"x", key="k").id
        do(spool.fail, do(spool.claim))
        do(spool.hold, number)
        do(spool.retry, number)
        assert do(spool.payload, number) == b"x"
        do(spool.done, do(spool.claim))
    assert list(spool.items()) == []


@pytest.mark.parametrize("durability", ["full", "fast"])
def test_a_spool_that_was_deleted_is_not_made_up_again(tmp_path, durability):
    """`rm -r SPOOL` under an open Spool: every change is refused, and nothing appears there."""
    spool = make_queue(f"spool-{durability}", tmp_path, Clock())
    claim = spool.enqueue(b"x") and spool.claim()
    shutil.rmtree(spool.path)
    for verb in (spool.claim, lambda: spool.enqueue(b"y"), lambda: spool.done(claim), spool.pause):
        with pytest.raises((OSError, PqError)):
            verb()
    assert os.listdir(tmp_path) == []


def test_an_empty_folder_is_removed_when_it_is_come_upon(tmp_path):
    """A block that a crash left empty before one with items is listed once and gone."""
    spool = make_queue("spool-fast", tmp_path, Clock())
    spool.enqueue_many([(b"x", Request(priority=1))] * 1001)
    for _ in range(999):
        spool.done(spool.claim())
    lane = tmp_path / "spool/pending/01"
    assert os.listdir(lane) == ["0000001"]
    (lane / "0000000").mkdir()
    again = make_queue("spool-fast", tmp_path, Clock())
    assert again.claim().id == 1000
    assert os.listdir(lane) == ["0000001"]
