"""Payloads as files: what comes out is what went in, or damage that is named."""

from __future__ import annotations

import os

import pytest

from pq_cli import DamagedItemError, QueueConfig, Spool
from pq_cli.spool.disk import payload


@pytest.fixture(params=["full", "fast"])
def spool(request, tmp_path):
    """An empty spool of each durability."""
    with Spool(tmp_path / "spool", config=QueueConfig(durability=request.param)) as spool:
        yield spool


def both(spool, item):
    """Return what the two doors to a payload say of its damage: the whole bytes, and the file."""
    said = []
    for door in (spool.payload, spool.open_payload):
        with pytest.raises(DamagedItemError) as caught:
            door(item)
        said.append(str(caught.value))
    return said


@pytest.mark.parametrize("claimed", [True, False])
def test_a_byte_that_changed_is_found(spool, claimed):
    """Of the same size, but not what was enqueued."""
    item = spool.enqueue(b"payload")
    item = spool.claim() if claimed else item
    with open(item.path, "r+b") as file:
        file.write(b"P")
    assert all("item 1: " in s and s.endswith("fails its checksum") for s in both(spool, item))


@pytest.mark.parametrize("content", [b"payloa", b"payload!", b""])
def test_another_size_is_found(spool, content):
    """It says how many bytes there are, and how many there should be."""
    item = spool.enqueue(b"payload")
    with open(item.path, "wb") as file:
        file.write(content)
    wanted = f"has {len(content)} bytes, should have 7"
    assert all(said.endswith(wanted) for said in both(spool, item))


def test_what_is_no_file_is_not_waited_for(spool):
    """A named pipe in the place of an empty payload, which has its size."""
    item = spool.enqueue(b"")
    os.unlink(item.path)
    os.mkfifo(item.path)
    assert all(said.endswith("is not a regular file") for said in both(spool, item))


@pytest.mark.parametrize("checksum", [True, False])
def test_a_payload_that_shrinks_while_it_is_read_is_found(spool, monkeypatch, checksum):
    """Also where there is no checksum to tell."""
    item = spool.enqueue(b"payload")
    item = spool.claim() if checksum else spool.claim().replace(checksum=None)
    read = os.read

    def shrunk(fd, size):
        os.truncate(item.path, 3)
        return read(fd, size)

    monkeypatch.setattr(payload.os, "read", shrunk)
    with pytest.raises(DamagedItemError, match="has 3 bytes, should have 7"):
        spool.payload(item)


def test_a_payload_comes_in_pieces(spool, monkeypatch):
    """A read that returns less than it was asked for is followed by another."""
    item = spool.enqueue(bytes(range(256)) * 10)
    read = os.read
    monkeypatch.setattr(payload.os, "read", lambda fd, size: read(fd, min(size, 100)))
    assert spool.payload(item) == bytes(range(256)) * 10
