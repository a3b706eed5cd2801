"""`pq run`: a worker pool for any command."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import signal
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from pq_cli.commands.common import (
    LOCK_TIMEOUT,
    CommandAfterDashes,
    DeferOnOption,
    LockTimeoutOption,
    SpoolOption,
)
from pq_cli.commands.next import refuse_paused
from pq_cli.commands.run_options import Plan, RunOptions, plan_of
from pq_cli.commands.run_report import Reporter
from pq_cli.commands.spools import brief_lock, open_spool
from pq_cli.core.item import State
from pq_cli.errors import EXIT_COMMAND_FAILED, CommandNotFoundError, LockTimeoutError, PqError
from pq_cli.messages import warn
from pq_cli.queue.verbs import Queue
from pq_cli.render import check_stdout, emit, emit_json
from pq_cli.worker.command import CommandGate, Runner
from pq_cli.worker.contract import arguments
from pq_cli.worker.descendants import reap_orphans
from pq_cli.worker.events import Stop, Summary
from pq_cli.worker.guard import Guard
from pq_cli.worker.limits import GateClosedError
from pq_cli.worker.output import Outlet, is_null, same_file
from pq_cli.worker.process import running
from pq_cli.worker.waiting import Waiting
from pq_cli.worker.work import drain

if TYPE_CHECKING:
    from pq_cli.queue.store import Attendance

_REAP_AGAIN = 0.1
"""Seconds until orphans are reaped behind a child of ours that has ended and is not yet reaped."""
_STOPPING = (
    "stopping: nothing more is claimed; a second signal stops what runs",
    "stopping what runs, its items go back; a third signal kills it",
)


PARSER = CommandAfterDashes


def command(
    cmd: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="-- CMD...", help="Run on each item; {} becomes the payload's path."
        ),
    ] = None,
    jobs: Annotated[
        str, typer.Option("-j", "--jobs", metavar="N", help="At most N at once.")
    ] = "1",
    follow: Annotated[bool, typer.Option("--follow", help="Wait for more, for ever.")] = False,
    max_items: Annotated[
        str | None, typer.Option("--max", metavar="N", help="Claim at most N items.")
    ] = None,
    max_time: Annotated[
        str | None, typer.Option("--max-time", metavar="D", help="Claim nothing after D.")
    ] = None,
    timeout: Annotated[
        str | None, typer.Option("--timeout", metavar="D", help="Stop CMD after D (exit 124).")
    ] = None,
    kill_after: Annotated[
        str, typer.Option("--kill-after", metavar="D", help="From TERM to KILL.")
    ] = "10s",
    halt_after: Annotated[
        str | None,
        typer.Option("--halt-after", metavar="N", help="Stop after N failures in a row."),
    ] = None,
    rate: Annotated[
        str | None,
        typer.Option("--rate", metavar="N/s", help="Start at most N a second (m, h, d)."),
    ] = None,
    nice: Annotated[
        str | None, typer.Option("--nice", metavar="N", help="Run at this niceness, 0 to 19.")
    ] = None,
    when: Annotated[
        str | None, typer.Option("--when", metavar="CMD", help="Claim only while CMD exits 0.")
    ] = None,
    log: Annotated[bool, typer.Option("--log", help="Keep CMD's output with the item.")] = False,
    tag: Annotated[bool, typer.Option("--tag", help="Put the id before each line.")] = False,
    progress: Annotated[
        bool | None, typer.Option("--progress/--no-progress", help="Show how far it has come.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print events as JSON Lines.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would run.")] = False,
    defer_on: DeferOnOption = None,
    lease: Annotated[
        str | None, typer.Option("--lease", metavar="D", help="Renewed while CMD runs.")
    ] = None,
    spool: SpoolOption = "",
    lock_timeout: LockTimeoutOption = LOCK_TIMEOUT,
) -> int:
    """Run CMD on the items, the most urgent first, until none is pending (or for ever: --follow).

    The payload is CMD's stdin. Exit 0 ends the item, 75 or 111 puts it off, 100 fails it for good,
    anything else retries it until max_attempts. Exit 6: some attempt failed.
    """
    return _run(
        RunOptions(
            cmd=tuple(cmd or ()), jobs=jobs, follow=follow, max_items=max_items, max_time=max_time,
            timeout=timeout, kill_after=kill_after, halt_after=halt_after, rate=rate, nice=nice,
            when=when, log=log, tag=tag, progress=progress, as_json=as_json, dry_run=dry_run,
            lease=lease, defer_on=defer_on, spool=spool, lock_timeout=lock_timeout,
        )
    )  # fmt: skip


def _run(options: RunOptions) -> int:
    """Drain or follow the queue with the command; return the exit status."""
    plan = plan_of(options)
    brief = brief_lock(plan.terms.lock_timeout)
    queue = open_spool(options.spool, create=plan.follow, lock_timeout=brief)
    if plan.dry_run:
        return _dry_run(queue, plan)
    if plan.when and shutil.which(plan.when[0]) is None:
        raise CommandNotFoundError(f"--when: {plan.when[0]}: command not found")
    if plan.as_json:
        check_stdout()
    if plan.nice:
        os.nice(plan.nice)
    return asyncio.run(_Run(queue, plan).work())


def _dry_run(queue: Queue, plan: Plan) -> int:
    """Print what would run, in order: id and command line."""
    for number, item in enumerate(queue.items([State.PENDING])):
        if number == plan.limits.max_items:
            break
        argv = arguments(plan.command, item.path or "{}")
        if plan.as_json:
            emit_json({"event": "would run", "id": item.id, "argv": argv})
        else:
            emit(f"{item.id}\t{shlex.join(argv)}")
    return 0


class _Run:
    """One `pq run` at work, on the event loop."""

    def __init__(self, queue: Queue, plan: Plan) -> None:
        self._queue = queue
        self._plan = plan
        self._stop = Stop()
        self._signal: int | None = None
        self._broken: OSError | None = None
        self._alone = False

    async def work(self) -> int:
        plan, queue = self._plan, self._queue
        with ExitStack() as held:
            out, err = Outlet(1, self._output_broke), Outlet(2, self._output_broke)
            gate = CommandGate(plan.when, os.environ) if plan.when else None
            reporter = Reporter(queue, plan, out, err, gate)
            out.before = err.before = reporter.clear
            attendance = await self._attend()
            held.callback(attendance.close)
            guard = Guard(plan.jobs, attendance.name, attendance.fileno())
            held.callback(guard.close)
            held.callback(reporter.close)
            self._obey_signals(reporter)
            self._reap_orphans(guard)
            self._alone = plan.jobs == 1 and not (plan.terms.tag or plan.as_json or reporter.bar)
            runner = Runner(
                queue, plan.command, os.environ, plan.terms, guard, self._outlets(out, err),
                reporter.unlogged, alone=self._alone,
            )  # fmt: skip
            reporter.begin()
            try:
                summary = await drain(
                    queue, runner, concurrency=plan.jobs, follow=plan.follow, lease=plan.lease,
                    limits=plan.limits, gate=gate, stop=self._stop, watch=reporter,
                )  # fmt: skip
            except GateClosedError as closed:
                if isinstance(closed.__cause__, PqError):
                    raise closed.__cause__ from None
                summary = None  # the reporter has told it, if it is news
            finally:
                await self._send_rest(out, err)
                reporter.end()
        return self._status(summary)

    async def _attend(self) -> Attendance:
        """Take the worker's own lock, for which that of the spool may have to be waited for."""
        waiting = Waiting(self._plan.terms.lock_timeout)
        while True:
            try:
                return self._queue.attend()
            except LockTimeoutError as error:
                if waiting.over():
                    raise
                if waiting.news():
                    warn(f"nothing can be claimed yet: {error}")
            await asyncio.sleep(0)

    def _outlets(self, out: Outlet, err: Outlet) -> tuple[Outlet | None, Outlet | None]:
        """Return what the commands' stdout and stderr are passed on by; None: not at all.

        Passed on even for a single command: should nobody read any more, or the disk be full, that
        must not cost the items attempts. The reader of a terminal does not go away.
        """
        if self._plan.as_json:
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

    def _obey_signals(self, reporter: Reporter) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:
                loop.add_signal_handler(number, self._signalled, number, reporter)

    def _reap_orphans(self, guard: Guard) -> None:
        """As PID 1: reap what others leave behind, from now on."""
        loop = asyncio.get_running_loop()

        def reap() -> None:
            if reap_orphans({*running, guard.pid}):
                loop.call_later(_REAP_AGAIN, reap)

        if os.getpid() == 1:
            loop.add_signal_handler(signal.SIGCHLD, reap)

    def _signalled(self, number: int, reporter: Reporter) -> None:
        self._signal = number
        if self._stop.requests < 2:
            reporter.clear()
            warn(_STOPPING[self._stop.requests])
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
