"""`pq run`: progress in plain lines, how fast it may go, and how kindly."""

from __future__ import annotations

import re
import subprocess
import sys
import time

from support import HANG

from pq_cli.render.progress import Tally

SOONER = """
import sys, pq_cli.commands.run_report as report
from pq_cli.cli import main
report._LINE_EVERY = 0.2
main(sys.argv[1:])
"""


def test_plain_lines(bench):
    """--progress without a terminal: a line now and then with counts, and a summary at the end."""
    bench.fill(4)
    waiting = 'until [ -e "$D/go" ]; do sleep 0.01; done'
    argv = [sys.executable, "-c", SOONER, "run", "--progress", "-j2", "--", "sh", "-c", waiting]
    process = subprocess.Popen(
        argv, env=bench.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    first = process.stderr.readline()
    (bench.root / "go").touch()
    out, rest = process.communicate(timeout=HANG)
    assert (process.returncode, out) == (0, "")
    *lines, last = (first + rest).splitlines()
    shape = r"pq: \d done, 0 failed, [012] running, \d left, \d+\.\d/s(, \d+s to go)?"
    assert lines
    assert all(re.fullmatch(shape, line) for line in lines), lines
    assert last.startswith("pq: 4 done in ")


def test_silent_without_a_terminal(bench):
    """Without --progress a run in a pipe tells nothing of how far it is."""
    bench.fill(4)
    argv = [sys.executable, "-c", SOONER, "run", "-j2", "--", "sleep", "0.5"]
    done = subprocess.run(argv, env=bench.env, capture_output=True, text=True, timeout=HANG)
    assert (done.stdout, done.stderr) == ("", "")


def test_rate_and_time_left(monkeypatch):
    """The rate is that of the last half minute, and what is left is told by it."""
    begun = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: begun)
    tally = Tally()
    monkeypatch.undo()
    tally.done, tally.failed, tally.left = 8, 2, 50
    tally.mark(begun + 10)
    assert tally.text() == "8 done, 2 failed, 0 running, 50 left, 1.0/s, 50s to go"
    tally.done = 198
    tally.mark(begun + 40)
    tally.mark(begun + 41)
    assert tally.rate == (200 - 10) / 31


def test_rate_holds_back_free_slots(bench):
    """--rate 1/h starts one item and no more, however many slots are free; --max-time ends it."""
    bench.fill(3)
    done = bench.pq("run", "-j3", "--rate", "1/h", "--max-time", "2s", "--", "true")
    assert done.returncode == 0
    assert bench.states() == {2: "pending", 3: "pending"}


def test_max_time_lets_what_runs_finish(bench):
    """After --max-time nothing is claimed, and the command that runs ends well."""
    bench.fill(3)
    done = bench.pq("run", "--max-time", "2s", "--", "sleep", "2.5")
    assert done.returncode == 0
    assert bench.states() == {2: "pending", 3: "pending"}


def test_nice(bench):
    """--nice 7 runs the commands seven steps kinder than pq was started."""
    bench.fill(1)
    here = int(subprocess.run(["nice"], capture_output=True, text=True, check=True).stdout)
    assert int(bench.pq("run", "--nice", "7", "--", "nice").stdout) == min(here + 7, 19)
