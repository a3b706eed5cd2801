"""How many rooms a plain command walks through: modules entered, and calls from one into another.

Counted, not timed, so the machine does not matter: whoever reads the path of a command has that
many files to open, and that many times to look elsewhere. What a module's body does when it is
loaded is left out.
"""

from __future__ import annotations

import subprocess
import sys

from benchmarks.harness import Bench, child_environment
from pq_cli import Spool

NAME = "crossings"
_COUNT = """
import sys
entered, crossings = set(), [0]
def name_of(frame):
    name = frame.f_globals.get("__name__", "") if frame is not None else ""
    return name if name.startswith("pq_cli") else None
def loading(frame):
    while frame is not None and not (frame.f_code.co_name == "<module>" and name_of(frame)):
        frame = frame.f_back
    return frame is not None
def called(frame, event, _):
    name = name_of(frame) if event == "call" else None
    if name is None or loading(frame):
        return
    entered.add(name)
    crossings[0] += name_of(frame.f_back) not in (None, name)
from pq_cli.cli import main
sys.setprofile(called)
try:
    main(sys.argv[1:])
finally:
    sys.setprofile(None)
    print(len(entered), crossings[0], file=sys.stderr)
"""
_FORMS = (("enqueue",), ("next", "--claim"), ("done",), ("ls",))


def run(bench: Bench) -> None:
    """Count for the four commands that scripts and people use most."""
    spool = bench.fresh()
    with Spool(spool) as queue:
        for number in range(3):
            queue.enqueue(b"x", priority=1 + number)
        queue.claim()
    environment, out = child_environment(PQ_SPOOL=spool), b""
    for form in _FORMS:
        claim = [out.decode().strip()] if form == ("done",) else []
        argv = [sys.executable, "-c", _COUNT, *form, *claim]
        done = subprocess.run(argv, env=environment, input=b"x", capture_output=True, check=True)
        out, figures = done.stdout, map(int, done.stderr.split()[-2:])
        for unit, figure in zip(("modules", "crossings"), figures, strict=True):
            bench.report(NAME, f"pq {form[0]}", [figure], unit)
