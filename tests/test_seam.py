"""Commands work on whatever queue they are given: here one that has neither folder nor files."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

SCRIPT = """
import io, json, os, sys
from pq_cli import MemoryQueue, QueueConfig, Request, backends
queue = MemoryQueue(QueueConfig(keep_done=60.0))
backends.open_queue = lambda name, **options: queue
from pq_cli.cli import main

for name in ("first", "second", "third"):
    queue.enqueue(name.encode(), name=name, key=name)
queue.keep_log(queue.claim(), 1, b"what it wrote")
queue.fail("1.1", "broken", dead=True)
for argv, stdin in json.loads(sys.argv[1]):
    read_end, write_end = os.pipe()
    os.write(write_end, stdin.encode())
    os.close(write_end)
    os.dup2(read_end, 0)
    sys.stdin = open(0, closefd=False)
    try:
        main([*argv, "-s", "the queue"])
    except SystemExit as end:
        sys.stdout.flush()
        os.write(1, b"\\0%d\\0" % (end.code or 0))
"""
LINES = {
    "ls": ("", 0, "second"), "ls --json": ("", 0, '"path":null'),
    "ls --state failed": ("", 0, "first"), "show 1": ("", 0, "1.1"),
    "show 1 --log": ("", 0, "what it wrote"), "show 1 --json --log": ("", 0, '"exit":1'),
    "cat 2": ("", 0, "second"), "stats": ("", 0, "failed"), "stats --json": ("", 0, '"failed":1'),
    "stats --prometheus": ("", 0, "pq_items"), "explain 2": ("", 0, "next"),
    "log": ("", 0, "enqueued"), "doctor": ("", 0, "in memory"), "age": ("", 0, ""),
    "enqueue": ("fourth", 0, "4"), "enqueue --lines": ("a\nb\n", 0, "5\n6"),
    "next": ("", 0, "second"), "next --claim": ("", 0, "3.1"),
    "next --json": ("", 0, '"claim":"4.1"'), "workers": ("", 0, "2.1,3.1,4.1"),
    "workers --json": ("", 0, '"state":"lease"'), "hold 5 --json": ("", 0, '"state":"held"'),
    "retry 5 --json": ("", 0, '"state":"pending"'),
    "renew 2.1": ("", 0, ""), "done 2.1": ("", 0, ""),
    "done 2.1 ": ("", 4, ""), "fail 3.1": ("", 0, ""), "release 4.1": ("", 0, ""),
    "hold 4": ("", 0, ""), "set 4 -p 2": ("", 0, ""), "retry 4": ("", 0, ""),
    "retry --all": ("", 0, ""), "pause": ("", 0, ""), "next  ": ("", 75, ""),
    "resume": ("", 0, ""), "export": ("", 0, "payload_base64"), "wait 2": ("", 0, "2\tdone"),
    "wait --drained --timeout 0": ("", 75, ""), "rm 5": ("", 0, ""), "wait 5": ("", 6, "removed"),
    "undo --list": ("", 0, "5"), "undo": ("", 0, "5"), "purge --state done": ("", 0, "2"),
    "cat /nowhere/0000000001": ("", 2, ""), "import": ("{", 65, ""),
}  # fmt: skip
"""A command line: what it reads, its exit status, and what is in its output. In this order."""


@pytest.fixture(scope="module")
def said():
    """Run the command lines one after the other in one process; return (output, status) of each."""
    lines = json.dumps([(line.split(" "), stdin) for line, (stdin, _, _) in LINES.items()])
    lines = json.dumps([([w for w in a if w], s) for a, s in json.loads(lines)])
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, lines], capture_output=True, text=True, timeout=60
    )
    *parts, rest = done.stdout.split("\0")
    assert not rest and not done.returncode, done.stderr
    return dict(zip(LINES, zip(parts[::2], map(int, parts[1::2]), strict=True), strict=True))


@pytest.mark.parametrize("line", LINES)
def test_a_command_needs_no_folder(said, line):
    """Each does on a queue in memory what it does on a spool."""
    output, status = said[line]
    assert (status, LINES[line][2] in output) == (LINES[line][1], True), output
