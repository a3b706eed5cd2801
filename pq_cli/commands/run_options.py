"""The command line of `pq run`, and what it means once checked."""

from __future__ import annotations

import shlex

from pq_cli.commands.spools import lease_seconds
from pq_cli.core.item import printable, whole
from pq_cli.core.record import Record
from pq_cli.core.shellwords import quoted, shell_only, through_shell
from pq_cli.core.timefmt import parse_duration
from pq_cli.errors import UsageError
from pq_cli.options import DEFER_ON, Options, flag, operands, option
from pq_cli.worker.command import Terms
from pq_cli.worker.contract import statuses
from pq_cli.worker.limits import Limits

_PATIENCE = 60.0
"""Seconds that a run which ends by itself pauses for at most: what cron starts during an outage
must not pile up."""
_MOST_JOBS = 10_000
_PER = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class RunOptions(Options):
    """The command line of `pq run`, as typed."""

    cmd: tuple[str, ...] = operands(
        metavar="-- CMD...", help="Run on each item; {} becomes the payload's path."
    )
    jobs: str = option("-j", "--jobs", metavar="N", default="1", help="At most N at once.")
    follow: bool = flag("--follow", help="Wait for more, for ever.")
    max_items: str | None = option("--max", metavar="N", help="Claim at most N items.")
    max_time: str | None = option("--max-time", metavar="D", help="Claim nothing after D.")
    timeout: str | None = option("--timeout", metavar="D", help="Stop CMD after D (exit 124).")
    kill_after: str = option("--kill-after", metavar="D", default="10s", help="From TERM to KILL.")
    halt_after: str | None = option(
        "--halt-after", metavar="N", help="Stop after N failures in a row."
    )
    rate: str | None = option("--rate", metavar="N/s", help="Start at most N a second (m, h, d).")
    nice: str | None = option("--nice", metavar="N", help="Run at this niceness, 0 to 19.")
    when: str | None = option("--when", metavar="CMD", help="Claim only while CMD exits 0.")
    log: bool = flag("--log", help="Keep CMD's output with the item.")
    tag: bool = flag("--tag", help="Put the id before each line.")
    progress: bool | None = flag(
        "--progress/--no-progress", default=None, help="Show how far it has come."
    )
    as_json: bool = flag("--json", help="Print events as JSON Lines.")
    dry_run: bool = flag("--dry-run", help="Print what would run.")
    defer_on: str | None = DEFER_ON
    lease: str | None = option("--lease", metavar="D", help="Renewed while CMD runs.")


class Plan(Record):
    """What `pq run` is to do. Durations are seconds; None means none."""

    command: tuple[str, ...]
    jobs: int
    follow: bool
    limits: Limits
    terms: Terms
    lease: float | None
    nice: int
    when: tuple[str, ...]
    progress: bool | None
    as_json: bool
    dry_run: bool


def plan_of(o: RunOptions) -> Plan:
    """Return what the options mean. Raises UsageError naming the option and what is allowed."""
    if not o.cmd:
        raise UsageError("give the command to run: pq run [OPTIONS] -- CMD...")
    if o.log and o.tag:
        raise UsageError("--log and --tag exclude each other: with --log nothing is passed on")
    return Plan(
        command=o.cmd,
        jobs=_within("--jobs", o.jobs, 1, _MOST_JOBS) or 1,
        follow=o.follow,
        limits=Limits(
            max_items=_within("--max", o.max_items, 1, 10**15),
            max_seconds=None if o.max_time is None else parse_duration(o.max_time),
            rate=_rate(o.rate),
            halt_after=_within("--halt-after", o.halt_after, 1, 10**9),
            patience=None if o.follow else _PATIENCE,
            lock_timeout=parse_duration(o.lock_timeout),
        ),
        terms=Terms(
            timeout=_positive("--timeout", o.timeout),
            kill_after=parse_duration(o.kill_after),
            log=o.log,
            tag=o.tag,
            defer_on=statuses(o.defer_on),
            lock_timeout=parse_duration(o.lock_timeout),
        ),
        lease=lease_seconds(o.lease),
        nice=_within("--nice", o.nice, 0, 19) or 0,
        when=_words(o.when),
        progress=o.progress,
        as_json=o.as_json,
        dry_run=o.dry_run,
    )


def _within(option: str, text: str | None, low: int, high: int) -> int | None:
    if text is None:
        return None
    number = whole(text)
    if number is None or not low <= number <= high:
        raise UsageError(f"{option} {printable(text)!r}: give a whole number from {low} to {high}")
    return number


def _positive(option: str, text: str | None) -> float | None:
    seconds = None if text is None else parse_duration(text)
    if seconds == 0:
        raise UsageError(f"{option} must be longer than 0")
    return seconds


def _rate(text: str | None) -> float | None:
    """Return starts a second of `10`, `10/s`, `600/m`, `5/h` or `1/d`."""
    if text is None:
        return None
    number, slash, unit = text.partition("/")
    plain = number.isascii() and number.replace(".", "", 1).isdigit() and len(number) <= 12
    if not plain or float(number) <= 0 or (slash and unit not in _PER):
        raise UsageError(f"--rate {printable(text)!r}: give e.g. 10/s, 600/m, 5/h")
    return float(number) / _PER[unit or "s"]


def _words(text: str | None) -> tuple[str, ...]:
    """Split `--when` into a command and its arguments, by the shell's rules of quoting.

    What only a shell would understand is refused: `true && false` would open the gate.
    """
    if text is None:
        return ()
    shown = f"--when {printable(text)!r}"
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise UsageError(f"{shown}: {error}") from None
    if not words:
        raise UsageError("--when: give a command")
    if what := shell_only(text):
        better = printable(quoted(through_shell(text)))
        why = f"no shell reads it, and {printable(what)!r} would be plain text"
        raise UsageError(f"{shown}: {why}; write --when {better}")
    return words
