"""What does not fit into memory goes through all the same: payloads, listings."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys

import pytest
from database import server

LONG = bool(os.environ.get("PQ_LONG"))
SIZE = (4 * 1024**3 if LONG else 64 * 1024**2) + 5
ITEMS = 100_000 if LONG else 20_000
ROOM = 24 * 1024
"""KiB that a command may have above what the smallest needs."""
PEAK = """
import resource, subprocess, sys
status = subprocess.call(sys.argv[1:])
print("peak", resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(status)
"""
"""Runs a command and tells the most memory that it had, in KiB: of a process that has little
itself, since a child begins with what its parent had."""


def peak(pq, *args, script="{}"):
    """Run `pq ARGS` in a shell script, in the place of `{}`; return (stdout, KiB at the most)."""
    whole = script.format('"$@"')
    argv = ["bash", "-c", f"set -o pipefail; {whole}", "bash", sys.executable, "-c", PEAK,
            *pq.argv(*args)]  # fmt: skip
    ran = subprocess.run(argv, env=pq.env, capture_output=True, check=True)
    return ran.stdout.decode(), int(re.search(r"peak (\d+)", ran.stderr.decode())[1])


def zeros(size):
    """Return the SHA-256 of so many zeros, as sha256sum prints it."""
    found, block = hashlib.sha256(), bytes(1024**2)
    for _ in range(size // len(block)):
        found.update(block)
    found.update(bytes(size % len(block)))
    return found.hexdigest()


@pytest.mark.timeout(3600 if LONG else 300)
def test_a_payload_larger_than_memory(pq):
    """From a pipe into the database, out of it, and to a command of `run`: memory stays bounded.

    PQ_LONG: 4 GiB.
    """
    _, small = peak(pq, "enqueue", script="echo x | {}")
    _, went_in = peak(pq, "enqueue", script=f"head -c {SIZE} /dev/zero | {{}}")
    wanted = zeros(SIZE)
    out, came_out = peak(pq, "cat", "2", script="{} | sha256sum")
    assert out.startswith(wanted)
    pq("rm", "1")
    out, was_run = peak(pq, "run", "--", "sha256sum")
    assert out.startswith(wanted)
    assert max(went_in, came_out, was_run) < small + ROOM, (small, went_in, came_out, was_run)


def test_a_listing_longer_than_memory(pq):
    """`ls` shows twenty thousand items (PQ_LONG: a hundred) in the memory that a hundred take."""
    pq("enqueue", "--name", "n" * 200, "-m", f"k={'v' * 800}", stdin=b"x")
    name = pq.env["PQ_SPOOL"].partition("#")[2]
    more = (
        "insert into pq.item select (jsonb_populate_record(item, jsonb_build_object('id', n))).*"
        " from pq.item, generate_series(%s::int, %s::int) as n where id = 1"
        " and queue = (select number from pq.queue where name = %s)"
    )
    server().sql(more, 2, 100, name)
    out, few = peak(pq, "ls", script="{} | wc -l")
    assert int(out) == 100
    server().sql(more, 101, ITEMS, name)
    out, many = peak(pq, "ls", script="{} | wc -l")
    assert int(out) == ITEMS
    assert many < few + ROOM / 2, (few, many)
    out, _ = peak(pq, "ls", "-n", "3", script="{} | cut -f1")
    assert out.split() == ["1", "2", "3"]
