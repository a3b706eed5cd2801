"""How many rooms a plain command walks through: modules entered, and calls from one into another.

Counted, not timed, so the machine does not matter: whoever reads the path of a command has that
many files to open, and that many times to look elsewhere. What a module's body does when it is
loaded is left out.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

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
        for _ in range(3):
            queue.enqueue(b"x")
        queue.claim()
    _count(spool, ["enqueue"])  # the first process of a spool has more to do
    out = ""
    for form in _FORMS:
        out, modules, crossings = _count(spool, [*form, out] if form == ("done",) else form)
        bench.report(NAME, f"pq {form[0]}", [modules], "modules")
        bench.report(NAME, f"pq {form[0]}", [crossings], "crossings")


def _count(spool: str, words: Sequence[str]) -> tuple[str, int, int]:
    """Return what a command printed, the modules that it entered, and the crossings."""
    done = subprocess.run(
        [sys.executable, "-c", _COUNT, *words],
        env=child_environment(PQ_SPOOL=spool), input="x", text=True, capture_output=True,
        check=True,
    )  # fmt: skip
    modules, crossings = done.stderr.split()[-2:]
    return done.stdout.strip(), int(modules), int(crossings)
