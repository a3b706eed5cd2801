"""`python -m benchmarks`: measure pq and its peers, print a table, write JSON and plots."""

from __future__ import annotations

import argparse
import compileall
import json
import os
import platform
import sys
import tempfile
import time
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

import pq_cli
from benchmarks import (
    bulk,
    commands,
    contention,
    crossings,
    durable,
    ends,
    inprocess,
    memory,
    peers,
    pool,
    postgres,
    scale,
)
from benchmarks.harness import Bench, Row

_MODULES = (
    inprocess,
    commands,
    bulk,
    scale,
    contention,
    durable,
    ends,
    memory,
    pool,
    crossings,
    *postgres.PARTS,
)
GROUPS: dict[str, Any] = {group.NAME: group for group in _MODULES}


def main(argv: list[str] | None = None) -> None:
    """Run the benchmarks that the command line names; all of them by default."""
    options = _options(argv)
    compileall.compile_dir(os.path.dirname(pq_cli.__file__), quiet=2)
    size = "small" if options.small else "full" if options.full else "usual"
    bench = Bench(options.dir, size)
    try:
        for name in options.names or GROUPS:
            begun, before = time.monotonic(), len(bench.rows)
            GROUPS[name].run(bench)
            print(f"{name}: {time.monotonic() - begun:.0f} s", file=sys.stderr)
            _print_table(name, bench.rows[before:])
        _print_peers()
    finally:
        _write(options, bench)  # also what there is of a run that was interrupted
        bench.close()


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of: {', '.join(GROUPS)}")
    sizes = parser.add_mutually_exclusive_group()
    sizes.add_argument("--small", action="store_true", help="only see that it works: seconds")
    sizes.add_argument("--full", action="store_true", help="1,000,000 items, 4 GiB: 45 minutes")
    parser.add_argument("--dir", default=tempfile.gettempdir(), help="where the queues are made")
    parser.add_argument("--json", metavar="FILE", help="write the figures there")
    parser.add_argument("--plots", metavar="DIR", nargs="?", const=os.path.dirname(__file__),
                        help="draw the plots, into benchmarks/ by default")  # fmt: skip
    options = parser.parse_args(argv)
    unknown = [name for name in options.names if name not in GROUPS]
    if unknown:
        parser.error(f"there is no benchmark {unknown[0]!r}; known: {', '.join(GROUPS)}")
    if not os.path.isdir(options.dir):
        parser.error(f"--dir {options.dir}: not a folder")
    return options


def _print_table(name: str, rows: list[Row]) -> None:
    table = Table(title=name, title_justify="left", box=None, pad_edge=False)
    for heading in ("what", "median", "unit", "ratio", "to", "target", "met"):
        table.add_column(heading, justify="right" if heading in ("median", "ratio") else "left")
    for row in rows:
        met = "" if row.target is None else {True: "yes", False: "NO", None: "-"}[row.met]
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        cells = (row.what, f"{row.median:,.1f}", row.unit, ratio, row.to or "", row.target or "")
        table.add_row(*cells, met)
    _console().print(table, "")


def _print_peers() -> None:
    table = Table(title="what each guarantees", title_justify="left", box=None, pad_edge=False)
    flags = ("sync", "priority", "ack", "lease", "processes")
    for heading in ("queue", "version", *flags):
        table.add_column(heading)
    for peer in peers.listing():
        marks = ["yes" if peer.get(flag) else "no" for flag in flags]
        table.add_row(str(peer["name"]), str(peer["version"]), *marks)
    _console().print(table)
    for name, guarantees in peers.COMMANDS.items():
        print(f"{name}: {guarantees}")


def _console() -> Console:
    return Console(width=None if sys.stdout.isatty() else 400, highlight=False)


def _write(options: argparse.Namespace, bench: Bench) -> None:
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(_document(bench), file, indent=1)
            file.write("\n")
    if options.plots:
        from benchmarks.plots import draw

        for path in draw(bench.rows, options.plots, peers.same_file_system(bench.folder)):
            print(f"drew {path}", file=sys.stderr)


def _document(bench: Bench) -> dict[str, object]:
    return {
        "size": bench.size,
        "machine": {
            "python": platform.python_version(), "system": platform.platform(terse=True),
            "cpus": os.cpu_count(), "file_system": peers.same_file_system(bench.folder),
        },
        "peers": peers.listing(),
        "rows": [asdict(row) for row in bench.rows],
    }  # fmt: skip


if __name__ == "__main__":
    main()
