"""The command line of `pq run`, and what it means once checked."""

from __future__ import annotations

import shlex

from pq_cli.core.item import printable
from pq_cli.core.shellwords import quoted, shell_only, through_shell
from pq_cli.core.timefmt import parse_duration
from pq_cli.errors import UsageError
from pq_cli.options import DEFER_ON, LEASE, Misread, Options, number, option, span
from pq_cli.worker.limits import Limits

_PATIENCE = 60.0
"""Seconds that a run which ends by itself pauses for at most: what cron starts during an outage
must not pile up."""
MOST_AT_ONCE = 500
"""Items that batches may have open at once: each takes a descriptor."""
_PER = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def _rate(text: str) -> float:
    """Return starts a second of `10`, `10/s`, `600/m`, `5/h` or `1/d`."""
    number, slash, unit = text.partition("/")
    plain = number.isascii() and number.replace(".", "", 1).isdigit() and len(number) <= 12
    if not plain or float(number) <= 0 or (slash and unit not in _PER):
        raise Misread(text, "give e.g. 10/s, 600/m, 5/h")
    return float(number) / _PER[unit or "s"]


def _words(text: str) -> tuple[str, ...]:
    """Split `--when` into a command and its arguments, by the shell's rules of quoting.

    What only a shell would understand is refused: `true && false` would open the gate.
    """
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise Misread(text, str(error)) from None
    if not words:
        raise UsageError("--when: give a command")
    if what := shell_only(text):
        better = printable(quoted(through_shell(text)))
        why = f"no shell reads it, and {printable(what)!r} would be plain text"
        raise Misread(text, f"{why}; write --when {better}")
    return words


class RunOptions(Options):
    """The command line of `pq run`, as typed."""

    cmd: tuple[str, ...] = option(
        "-- CMD...", "Run on each item; {} becomes the payload's path.", many=True
    )
    commands: bool = option("--commands", "Run the commands that the items are.")
    jobs: int = option("-j, --jobs N", "At most N at once.", default="1", read=number(1, 10_000))
    batch: int | None = option(
        "--batch N", "Run CMD on up to N items at once.", read=number(1, MOST_AT_ONCE)
    )
    follow: bool = option("--follow", "Wait for more, for ever.")
    max_items: int | None = option("--max N", "Claim at most N items.", read=number(1, 10**15))
    max_seconds: float | None = option(
        "--max-time D", "Claim nothing after D.", read=parse_duration
    )
    timeout: float | None = option("--timeout D", "Stop CMD after D (exit 124).", read=span)
    kill_after: float = option(
        "--kill-after D", "From TERM to KILL.", default="10s", read=parse_duration
    )
    halt_after: int | None = option(
        "--halt-after N", "Stop after N failures in a row.", read=number(1, 10**9)
    )
    rate: float | None = option("--rate N/s", "Start at most N a second (m, h, d).", read=_rate)
    nice: int | None = option("--nice N", "Run at this niceness, 0 to 19.", read=number(0, 19))
    when: tuple[str, ...] | None = option(
        "--when CMD", "Claim only while CMD exits 0.", read=_words
    )
    log: bool = option("--log", "Keep CMD's output with the item.")
    tag: bool = option("--tag", "Put the id before each line.")
    progress: bool | None = option(
        "--progress/--no-progress", "Show how far it has come.", default=None
    )
    as_json: bool = option("--json", "Print events as JSON Lines.")
    dry_run: bool = option("--dry-run", "Print what would run.")
    defer_on: tuple[int, ...] | None = DEFER_ON
    lease: float | None = LEASE

    @property
    def limits(self) -> Limits:
        """The bounds of the run."""
        return self.fill(Limits, patience=None if self.follow else _PATIENCE)
