"""Payloads on their way into rows, and as files for the commands that work on them."""

from __future__ import annotations

import errno
import fcntl
import os
import tempfile

import pytest
from database import server

from pq_cli import Request, TryAgainError, open_queue
from pq_cli.errors import KeyTakenError, SpoolIOError
from pq_cli.postgres import payloads


@pytest.fixture
def queue(url):
    """The queue, opened."""
    with open_queue(url) as opened:
        yield opened


@pytest.fixture
def meanwhile(monkeypatch):
    """Let something happen when a payload has been read, and before it has an item."""

    def let(happen):
        real = payloads.stage

        def stage(link, *what):
            staged = real(link, *what)
            happen(link)
            return staged

        monkeypatch.setattr(payloads, "stage", stage)

    return let


def rows(url):
    """Return how many rows of payloads a queue has."""
    count = "select count(*) from pq.payload join pq.queue on queue = number where name = %s"
    return server().sql(count, url.partition("#")[2])[0][0]


def test_no_payload_outlives_its_item(queue, url):
    """Replaced, or done with others behind it; nor is anything left of one that was refused."""
    content = bytes(2_500_000)
    queue.enqueue(content, key="k")
    queue.enqueue(content, key="k", if_exists="replace")
    with pytest.raises(KeyTakenError):
        queue.enqueue(content, key="k", if_exists="fail")
    assert rows(url) == 3
    queue.enqueue(b"", after=[2])
    assert queue.done(queue.claim()).id == 2
    assert rows(url) == 0


def test_a_file_that_changes_while_it_is_read_is_not_taken(queue, url, tmp_path, meanwhile):
    """It is named, and nothing of it stays in the tables."""
    file = tmp_path / "report"
    file.write_bytes(bytes(3_000_000))
    meanwhile(lambda link: file.write_bytes(b"new"))
    with pytest.raises(SpoolIOError, match="report: it changed"):
        queue.stage_file(str(file), Request())
    assert rows(url) == 0


def test_a_payload_that_was_taken_for_left_behind_makes_no_item(queue, meanwhile):
    """It came too slowly and was cleared away: to be sent again, and no item lacks its payload."""
    meanwhile(lambda link: link.rows("delete from pq.staging"))
    with pytest.raises(TryAgainError, match="cleared away"):
        queue.enqueue(bytes(3_000_000))
    assert list(queue.items()) == []


def test_what_a_killed_worker_left_goes_with_the_next(pq, tmp_path):
    """Its copy of the payload; not what somebody has locked, is young, or is called otherwise."""
    pq.env["TMPDIR"] = str(tmp_path)
    left, held, other = (
        tmp_path / f"pq-{name}"
        for name in ("payload-7-abcdefgh", "payload-8-abcdefgh", "9-abcdefgh")
    )
    for file in (left, held, other):
        file.write_bytes(b"x")
        os.utime(file, (1, 1))
    young = tmp_path / "pq-payload-6-abcdefgh"
    young.touch()
    pq("enqueue", stdin=b"payload")
    with held.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        assert pq("run", "--", "sh", "-c", "cat; ls").out.startswith(b"payload")
    there = {file.name for file in tmp_path.iterdir() if file.name.startswith("pq-")}
    assert there == {held.name, other.name, young.name}


def test_a_copy_is_locked_as_long_as_it_is_open(queue):
    """So nobody sweeps it, however long its command takes; then it is gone."""
    queue.enqueue(b"x")
    with (
        queue.file_of(1) as copy,
        open(copy.name, "rb") as again,
        pytest.raises(BlockingIOError),
    ):
        fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert not os.path.exists(copy.name)


def test_a_folder_that_may_not_be_listed_takes_a_copy(queue, tmp_path, monkeypatch):
    """As a shared one of mode 1733: what others left there stays, and the work goes on."""

    def closed(_):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    queue.enqueue(b"x")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(os, "scandir", closed)
    with queue.file_of(1) as copy:
        assert copy.read() == b"x"
