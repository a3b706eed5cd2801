"""`pq run`: a worker pool for any command."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import signal
from contextlib import ExitStack, closing
from itertools import islice
from typing import TYPE_CHECKING

from pq_cli.commands.next import refuse_paused
from pq_cli.commands.run_report import Reporter
from pq_cli.commands.spools import open_spool
from pq_cli.core.item import Item, State, printable
from pq_cli.core.shellwords import quoted, shell_only, through_shell
from pq_cli.core.timefmt import parse_duration
from pq_cli.errors import (
    EXIT_COMMAND_FAILED,
    CommandNotFoundError,
    DataError,
    PqError,
    UsageError,
)
from pq_cli.options import DEFER_ON, LEASE, Misread, Options, number, option, span
from pq_cli.queue.outcome import patiently
from pq_cli.queue.verbs import Queue
from pq_cli.render.present import present
from pq_cli.screen import Screen
from pq_cli.worker.command import CommandGate, Runner, Terms
from pq_cli.worker.contract import Order, arguments
from pq_cli.worker.descendants import reap_orphans
from pq_cli.worker.events import Stop, Summary
from pq_cli.worker.guard import Guard
from pq_cli.worker.limits import GateClosedError, Limits
from pq_cli.worker.output import Outlet, is_null, same_file
from pq_cli.worker.process import running
from pq_cli.worker.work import drain

if TYPE_CHECKING:
    from pq_cli.queue.store import Attendance

_REAP_AGAIN = 0.1
"""Seconds until orphans are reaped behind a child of ours that has ended and is not yet reaped."""
_STOPPING = (
    "stopping: nothing more is claimed; a second signal stops what runs",
    "stopping what runs, its items go back; a third signal kills it",
)

_PATIENCE = 60.0
"""Seconds that a run which ends by itself pauses for at most: what cron starts during an outage
must not pile up."""
_MOST_AT_ONCE = 500
"""Items that batches may have open at once: each takes a descriptor."""
_PER = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def _rate(text: str) -> float:
    """Return starts a second of `10`, `10/s`, `600/m`, `5/h` or `1/d`."""
    figure, slash, unit = text.partition("/")
    plain = figure.isascii() and figure.replace(".", "", 1).isdigit() and len(figure) <= 12
    if not plain or float(figure) <= 0 or (slash and unit not in _PER):
        raise Misread(text, "give e.g. 10/s, 600/m, 5/h")
    return float(figure) / _PER[unit or "s"]


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
        "--batch N", "Run CMD on up to N items at once.", read=number(1, _MOST_AT_ONCE)
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


def command(o: RunOptions, screen: Screen) -> int:
    """Run CMD on the items, the most urgent first, until none is pending (or for ever: --follow).

    The payload is CMD's stdin. Exit 0 ends the item, 75 or 111 puts it off, 100 fails it for good,
    anything else retries it until max_attempts. Exit 6: some attempt failed or was put off.
    """
    if not o.cmd and not o.commands:
        raise UsageError("give the command to run: pq run [OPTIONS] -- CMD...")
    if o.commands and (o.cmd or o.batch is not None):
        what = "CMD" if o.cmd else "--batch"
        raise UsageError(f"--commands and {what} exclude each other: each item is a command itself")
    if o.log and o.tag:
        raise UsageError("--log and --tag exclude each other: with --log nothing is passed on")
    if o.batch is not None:
        if o.tag:
            raise UsageError("--batch and --tag exclude each other: a line is of no one item")
        if o.jobs * o.batch > _MOST_AT_ONCE:
            raise UsageError(f"--jobs times --batch: at most {_MOST_AT_ONCE} items at once")
    queue = open_spool(o, screen, create=o.follow, brief=True)
    if o.dry_run:
        return _dry_run(queue, o, screen)
    if o.when and shutil.which(o.when[0]) is None:
        raise CommandNotFoundError(f"--when: {o.when[0]}: command not found")
    if o.as_json:
        screen.check()
    if o.nice:
        os.nice(o.nice)
    with closing(patiently(queue.attend, o.lock_timeout, screen.warn)) as attendance:
        return asyncio.run(_Run(queue, o, screen).work(attendance))


def _dry_run(queue: Queue, o: RunOptions, screen: Screen) -> int:
    """Print what would run, in order: id and command line."""
    items = islice(queue.items([State.PENDING]), o.max_items)
    present(
        ((item.id, _argv(queue, o, item)) for item in items),
        screen,
        as_json=o.as_json,
        record=lambda told: {"event": "would run", "id": told[0], "argv": told[1]},
        line=lambda told: f"{told[0]}\t{printable(shlex.join(told[1]))}",
    )
    return 0


def _argv(queue: Queue, o: RunOptions, item: Item) -> list[str]:
    """Return what would run on an item; nothing where it was to be a command, and is none."""
    if not o.commands:
        return arguments(o.cmd, item.path or "{}")
    try:
        return Order.of_payload(queue.payload(item)).argv
    except DataError:
        return []


class _Run:
    """One `pq run` at work, on the event loop."""

    def __init__(self, queue: Queue, o: RunOptions, screen: Screen) -> None:
        self._queue = queue
        self._screen = screen
        self._o = o
        self._stop = Stop()
        self._signal: int | None = None
        self._broken: OSError | None = None
        self._alone = False

    async def work(self, attendance: Attendance) -> int:
        o, queue = self._o, self._queue
        with ExitStack() as held:
            out, err = Outlet(1, self._output_broke), Outlet(2, self._output_broke)
            gate = CommandGate(o.when, os.environ) if o.when else None
            reporter = Reporter(
                queue, self._screen, out, err, gate,
                as_json=o.as_json, follow=o.follow, progress=o.progress,
            )  # fmt: skip
            guard = Guard(o.jobs, attendance.fileno())
            held.callback(guard.close)
            held.callback(reporter.close)
            self._obey_signals()
            self._reap_orphans(guard)
            self._alone = o.jobs == 1 and not (o.tag or o.as_json or reporter.bar)
            runner = Runner(
                queue, o.cmd, os.environ, o.fill(Terms), guard, self._outlets(out, err),
                reporter.unlogged, alone=self._alone,
            )  # fmt: skip
            reporter.begin()
            try:
                summary = await drain(
                    queue, runner if o.batch is None else runner.together,
                    concurrency=o.jobs, batch=o.batch, follow=o.follow, lease=o.lease,
                    limits=o.limits, gate=gate, stop=self._stop, watch=reporter,
                )  # fmt: skip
            except GateClosedError as closed:
                if isinstance(closed.__cause__, PqError):
                    raise closed.__cause__ from None
                summary = None  # the reporter has told it, if it is news
            finally:
                await self._send_rest(out, err)
                reporter.end()
        return self._status(summary)

    def _outlets(self, out: Outlet, err: Outlet) -> tuple[Outlet | None, Outlet | None]:
        """Return what the commands' stdout and stderr are passed on by; None: not at all.

        Passed on even for a single command: should nobody read any more, or the disk be full, that
        must not cost the items attempts. The reader of a terminal does not go away.
        """
        if self._o.as_json:
            return err, err  # stdout carries the events
        if same_file(1, 2):
            return (None, None) if self._is_left(1) else (out, out)
        return (None if self._is_left(1) else out), (None if self._is_left(2) else err)

    def _is_left(self, fd: int) -> bool:
        """Tell whether the commands get a descriptor itself, and mix their lines with nobody's."""
        return is_null(fd) or (self._alone and os.isatty(fd))

    async def _send_rest(self, *outlets: Outlet) -> None:
        """Wait until everything was written, unless somebody has lost patience."""
        for outlet in outlets:
            if self._stop.requests < 2:
                await outlet.drained()

    def _obey_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(signum) is not signal.SIG_IGN:
                loop.add_signal_handler(signum, self._signalled, signum)

    def _reap_orphans(self, guard: Guard) -> None:
        """As PID 1: reap what others leave behind, from now on."""
        loop = asyncio.get_running_loop()

        def reap() -> None:
            if reap_orphans({*running, guard.pid}):
                loop.call_later(_REAP_AGAIN, reap)

        if os.getpid() == 1:
            loop.add_signal_handler(signal.SIGCHLD, reap)

    def _signalled(self, number: int) -> None:
        self._signal = number
        if self._stop.requests < 2:
            self._screen.warn(_STOPPING[self._stop.requests])
        self._stop.request()

    def _output_broke(self, error: OSError) -> None:
        """Nobody reads what the commands print: claim no more, let them finish."""
        if self._broken is None:
            self._broken = error
            if not self._stop.requests:
                self._stop.request()

    def _status(self, summary: Summary | None) -> int:
        """Return the exit status; summary: None if the gate is closed."""
        if self._broken is not None:
            raise self._broken
        if self._signal is not None:
            return 128 + self._signal
        if summary is None:
            return GateClosedError.exit_code
        refuse_paused(self._queue)
        return EXIT_COMMAND_FAILED if summary.failed else 0
