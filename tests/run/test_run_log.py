"""`pq run --log`, `pq show --log`: what attempts printed is kept beside the item."""

from __future__ import annotations

import json
from pathlib import Path


def test_each_attempt_is_kept(bench):
    """Both streams, exit code and times of each attempt are shown, oldest first."""
    bench.spool(backoff="0s", max_attempts=2)
    bench.fill(1)
    script = 'echo "try $PQ_ATTEMPT"; echo oops >&2; exit 3'
    done = bench.pq("run", "--log", "-j2", "--", "sh", "-c", script)
    assert (done.returncode, done.stdout) == (6, b"")
    shown = bench.pq("show", "1", "--log").stdout.decode().splitlines()
    assert shown[0].startswith("== 1.1: exit 3, started_at 20")
    assert shown[1:3] == ["try 1", "oops"]
    assert shown[3].startswith("== 1.2: exit 3")
    assert shown[4:] == ["try 2", "oops"]
    record = json.loads(bench.pq("show", "1", "--log", "--json").stdout)
    assert [log["output"] for log in record["logs"]] == ["try 1\noops\n", "try 2\noops\n"]
    assert bench.spool().get(1).last_error == "exit 3: oops"
    assert bench.pq("show", "1").stdout.count(b"\nlog\t") == 2


def test_log_is_bounded(bench):
    """Of a long output the beginning and the end are kept, and how much was left out."""
    bench.fill(1)
    bench.pq("run", "--log", "--", "sh", "-c", "seq 1000000; exit 1")
    (path,) = bench.spool().attempt_logs(bench.spool().get(1))
    content = Path(path).read_bytes()
    assert len(content) < 70_000
    assert b"\n1\n2\n3\n" in content
    assert content.endswith(b"\n999999\n1000000\n")
    assert b"bytes left out" in content


def test_log_goes_with_the_item(bench):
    """What is removed takes its logs along; what is done well leaves none."""
    bench.fill(2)
    bench.pq("run", "--log", "--", "sh", "-c", 'echo x; [ "$PQ_ID" = 1 ]')
    assert len(list((bench.path / "logs").rglob("*.log"))) == 1
    spool = bench.spool()
    spool.retry(2)
    spool.done(spool.claim())
    assert list((bench.path / "logs").rglob("*.log")) == []


def test_log_of_a_done_item_that_is_kept(bench):
    """With keep_done the log of the attempt that went well is there to be read."""
    bench.spool(keep_done="1d")
    bench.fill(1)
    bench.pq("run", "--log", "--", "echo", "fine")
    assert bench.pq("show", "1", "--log").stdout.splitlines()[1:] == [b"fine"]


def test_log_cannot_drive_a_terminal(bench):
    """Escape sequences in a log are shown, not obeyed."""
    bench.fill(1)
    bench.pq("run", "--log", "--", "sh", "-c", r"printf '\033[2J'; exit 1")
    assert b"\x1b" not in bench.pq("show", "1", "--log").stdout
