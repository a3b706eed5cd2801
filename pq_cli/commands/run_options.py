"""The command line of `pq run`, and what it means once checked."""

from __future__ import annotations

import shlex

from pq_cli.commands.spools import lease_seconds
from pq_cli.core.item import printable, whole
from pq_cli.core.record import Record
from pq_cli.core.shellwords import quoted, shell_only, through_shell
from pq_cli.core.timefmt import parse_duration
from pq_cli.errors import UsageError
from pq_cli.options import LOCK_TIMEOUT
from pq_cli.worker.command import Terms
from pq_cli.worker.contract import statuses
from pq_cli.worker.limits import Limits

_PATIENCE = 60.0
"""Seconds that a run which ends by itself pauses for at most: what cron starts during an outage
must not pile up."""
_MOST_JOBS = 10_000
_PER = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class RunOptions(Record):
    """The command line of `pq run`, as typed: nothing is checked yet."""

    cmd: tuple[str, ...] = ()
    jobs: str = "1"
    follow: bool = False
    max_items: str | None = None
    max_time: str | None = None
    timeout: str | None = None
    kill_after: str = "10s"
    halt_after: str | None = None
    defer_on: str | None = None
    lease: str | None = None
    rate: str | None = None
    nice: str | None = None
    when: str | None = None
    log: bool = False
    tag: bool = False
    progress: bool | None = None
    as_json: bool = False
    dry_run: bool = False
    spool: str = ""
    lock_timeout: str = LOCK_TIMEOUT


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
