"""Make docs/session.svg, the picture in the README, from a real session: `python docs/session.py`.

Each command is run by a shell in a spool of its own; what it prints is drawn by rich.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

COLUMNS = 78
SESSION = (
    "printf '%s\\n' 2019 2020 2021 | pq enqueue --lines -p 8 --name import",
    "echo report | pq enqueue -p 2 --name report.xml",
    "pq next -- sh -c 'echo HTTP 503 >&2; exit 1'",
    "pq next --claim",
    "pq ls",
    "pq explain 3",
    "pq pause 'server moves' && pq next",
    "pq resume && pq stats",
)


def record(spool: str) -> Console:
    """Run the session in `spool`; return a console that has recorded it."""
    out = Console(record=True, width=COLUMNS, file=io.StringIO())
    folder = os.path.dirname(sys.executable)
    env = os.environ | {"PQ_SPOOL": spool, "COLUMNS": str(COLUMNS), "LC_ALL": "C.UTF-8"}
    env["PATH"] = folder + os.pathsep + env["PATH"]
    for command in SESSION:
        out.print(Text.assemble(("$ ", "bold green"), (command, "bold")))
        # What a terminal would get: colours, and both streams in their order.
        run = command.replace("pq ls", "pq ls --color always")
        run = run.replace("pq stats", "pq stats --color always")
        done = subprocess.run(
            ["sh", "-c", run],
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        if done.stdout:
            out.print(Text.from_ansi(done.stdout.decode().rstrip("\n").replace(spool, "~/spool")))
    return out


def main() -> None:
    """Write the picture where the first argument says, else beside this script."""
    target = sys.argv[1] if len(sys.argv) > 1 else str(Path(__file__).with_name("session.svg"))
    with tempfile.TemporaryDirectory() as folder:
        record(f"{folder}/spool").save_svg(target, title="pq")


if __name__ == "__main__":
    main()
