"""The handler of `pq run`: runs a command on an item, as the worker contract says."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import BinaryIO

from pq_cli.core.item import Item, printable
from pq_cli.core.record import Record
from pq_cli.errors import (
    DamagedItemError,
    DataError,
    LockTimeoutError,
    NoSuchItemError,
    PqError,
    StaleClaimError,
)
from pq_cli.queue.outcome import Waiting
from pq_cli.queue.verbs import Queue
from pq_cli.worker.contract import (
    EXIT_TIMEOUT,
    Order,
    Outcome,
    Verdict,
    arguments,
    check_ran,
    environment,
    environment_of_all,
    explain,
    judge,
    not_runnable,
    was_stopped,
)
from pq_cli.worker.guard import Guard
from pq_cli.worker.output import Capture, Lines, Outlet, Stream
from pq_cli.worker.process import Child

_EXHAUSTED = (errno.EAGAIN, errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""Why a command may not start that is no fault of the command."""


_AGAIN = 0.1
"""Seconds between tries to keep a log while the lock is busy."""

_LONGEST_ORDER = 8 * 1024 * 1024
"""Bytes of an item that is a command: more than the system takes as arguments."""

_GATE_WORDS = 4096
"""Bytes kept of the beginning, and of the end, of what a gate writes to stderr."""


class Terms(Record):
    """How attempts are made.

    timeout: seconds until a child is stopped, or as its item says, if that is less; None never.
    kill_after: seconds from TERM to KILL. log: keep the output beside the item. tag: put the id
    before each line that is passed on. defer_on: statuses that mean "later, uncounted"; None: those
    of the queue's policy. lock_timeout: seconds to wait for the spool's lock to keep a log.
    """

    timeout: float | None = None
    kill_after: float = 10.0
    log: bool = False
    tag: bool = False
    defer_on: tuple[int, ...] | None = None
    lock_timeout: float = 0.0


class Runner:
    """Runs one command on each item it is given; with none, the one that each item is.

    outlets: where children's stdout and stderr are passed on; None: they inherit that of pq; twice
    the same: one pipe for both, which keeps their order. alone: there is one child at a time, whose
    output is passed on as it comes, and whole before its attempt ends; else line by line. With
    `terms.log` output is kept beside the item instead. unlogged: told of an attempt whose log
    cannot be kept, why, and whether it is tried again.
    """

    def __init__(
        self,
        queue: Queue,
        command: Sequence[str],
        environ: Mapping[str, str],
        terms: Terms,
        guard: Guard,
        outlets: tuple[Outlet | None, Outlet | None],
        unlogged: Callable[[Item, Exception, bool], None],
        *,
        alone: bool = False,
    ) -> None:
        self._queue = queue
        # Found once: a search of PATH for each of 10,000 items costs a failed exec per folder.
        self._command = [shutil.which(word) or word for word in command[:1]] + [*command[1:]]
        self._environ = {**environ, **guard.environment}
        self._terms = terms
        self._defer_on = queue.config.defer_on if terms.defer_on is None else terms.defer_on
        self._guard = guard
        self._outlets = outlets
        self._unlogged = unlogged
        self._alone = alone

    async def __call__(self, item: Item) -> Outcome:
        """Make one attempt; the handler of `drain`."""
        try:
            with self._queue.file_of(item) as payload:
                if not self._command:
                    return await self._as_ordered(item, payload)
                argv = arguments(self._command, payload.name)
                env = environment(self._queue.name, item, payload.name)
                return await self._attempt([item], argv, env, payload.fileno())
        except DamagedItemError as error:
            return Outcome(verdict=Verdict.DEAD, error=str(error))

    async def _as_ordered(self, item: Item, payload: BinaryIO) -> Outcome:
        """Make one attempt at an item that is a command itself; what is none fails for good."""
        try:
            order = Order.of_payload(payload.read(_LONGEST_ORDER))
        except DataError as error:
            return Outcome(verdict=Verdict.DEAD, error=str(error))
        env = environment(self._queue.name, item, payload.name) | {"PWD": order.cwd}
        try:
            os.stat(f"{order.cwd}/.")
        except OSError as error:
            why = f"cannot work in {printable(order.cwd)}: {error.strerror}"
            return Outcome(verdict=Verdict.RETRY, error=why)
        with open(os.devnull, "rb", buffering=0) as null:
            return await self._attempt([item], order.argv, env, null.fileno(), order.cwd)

    async def together(self, items: list[Item]) -> list[Outcome]:
        """Make one attempt at several items; the handler of `drain(batch=...)`.

        Without `{}` in the command their paths come on stdin, each ended by a NUL byte.
        """
        ends: dict[int, Outcome] = {}
        with ExitStack() as held:
            paths = {}
            for item in items:
                try:
                    paths[item.id] = held.enter_context(self._queue.file_of(item)).name
                except DamagedItemError as error:
                    ends[item.id] = Outcome(verdict=Verdict.DEAD, error=str(error))
            whole = [item for item in items if item.id in paths]
            if whole:
                outcome = await self._together(whole, list(paths.values()))
                ends |= dict.fromkeys(paths, outcome)
        return [ends[item.id] for item in items]

    async def _together(self, items: list[Item], paths: list[str]) -> Outcome:
        named = any("{}" in word for word in self._command)
        with open(os.memfd_create("pq-batch"), "wb+", buffering=0) as stdin:
            if not named:
                stdin.write(b"".join(os.fsencode(path) + b"\0" for path in paths))
                stdin.seek(0)
            argv = arguments(self._command, *paths)
            return await self._attempt(
                items, argv, environment_of_all(self._queue.name, items), stdin.fileno()
            )

    async def _attempt(
        self,
        items: list[Item],
        argv: list[str],
        env: dict[str, str],
        stdin: int,
        cwd: str | None = None,
    ) -> Outcome:
        capture = Capture() if self._terms.log else None
        try:
            status = await self._run(items, argv, env, stdin, capture, cwd)
        except OSError as error:
            return self._not_started(argv, error)
        outcome = self._outcome(status, capture)
        try:
            for item in items:
                await self._keep(item, outcome, capture)
        except asyncio.CancelledError:
            pass  # the log is best effort: what the command has done is not forgotten for it
        return outcome

    def _not_started(self, argv: list[str], error: OSError) -> Outcome:
        """Return the outcome of a command that could not be started."""
        program = (self._command or argv)[0]  # as it was written, with its braces
        fatal = error if error.errno in _EXHAUSTED else not_runnable(program, error)
        if not self._command and isinstance(fatal, PqError):  # the item's own is to blame
            return Outcome(verdict=Verdict.RETRY, error=str(fatal), status=fatal.exit_code)
        return Outcome(verdict=Verdict.RELEASE, error=str(fatal), fatal=fatal)

    async def _run(
        self,
        items: list[Item],
        argv: list[str],
        env: dict[str, str],
        stdin: int,
        capture: Capture | None,
        cwd: str | None,
    ) -> int:
        out, err = self._streams(items[0], capture)
        streams = [stream for stream in dict.fromkeys((out, err)) if stream is not None]
        ends = tuple(None if stream is None else stream.write_end for stream in (out, err))
        try:
            child = Child(argv, self._environ | env, (stdin, *ends), self._guard, cwd)
            for stream in streams:
                stream.start()
            status, late = await self._wait(child, self._timeout(items))
        finally:
            for stream in streams:
                stream.finish()
        if self._alone and capture is None:
            await self._passed_on()
        return EXIT_TIMEOUT if late else status

    def _timeout(self, items: list[Item]) -> float | None:
        """Return the seconds that an attempt may take: the least of what items and run say."""
        limits = (self._terms.timeout, *(item.timeout for item in items))
        return min((limit for limit in limits if limit is not None), default=None)

    async def _wait(self, child: Child, timeout: float | None) -> tuple[int, bool]:
        """Wait for a child, and let it have the last word when the attempt is called off."""
        try:
            return await child.wait(timeout, self._terms.kill_after)
        except asyncio.CancelledError:
            if child.status is None or was_stopped(judge(child.status, self._defer_on)):
                raise
            return child.status, False

    async def _passed_on(self) -> None:
        """Wait until whoever reads has taken what the child wrote, as that itself would have."""
        try:
            for outlet in self._outlets:
                if outlet is not None:
                    await outlet.drained()
        except asyncio.CancelledError:
            pass  # somebody has lost patience; the command has ended all the same

    def _streams(self, item: Item, capture: Capture | None) -> tuple[Stream | None, Stream | None]:
        """Return the pipes for stdout and stderr: the same for both in a log, None inherited."""
        if capture is not None:
            both = Stream(capture)
            return both, both
        tag = f"{item.id}\t".encode() if self._terms.tag else b""
        made = {
            outlet: None if outlet is None else Stream(Lines(outlet, tag, cut=self._alone))
            for outlet in dict.fromkeys(self._outlets)
        }
        out, err = self._outlets
        return made[out], made[err]

    def _outcome(self, status: int, capture: Capture | None) -> Outcome:
        words = explain(status)
        if self._command:
            try:
                check_ran(self._command[0], status, "; its items went back uncounted")
            except PqError as fatal:
                return Outcome(verdict=Verdict.RELEASE, error=words, status=status, fatal=fatal)
        if status and capture is not None and (last := _last_line(capture.content())):
            words += f": {last}"
        return judge(status, self._defer_on).replace(error=words)

    async def _keep(self, item: Item, outcome: Outcome, capture: Capture | None) -> None:
        """Keep the log, unless the item is about to be removed with everything of it.

        The log is best effort: the exit status alone says what becomes of the item.
        """
        vanishes = outcome.verdict is Verdict.DONE and not self._queue.config.keep_done
        if capture is None or vanishes:
            return
        waiting = Waiting(self._terms.lock_timeout)
        while True:
            try:
                self._queue.keep_log(item, outcome.status or 0, capture.content())
            except (StaleClaimError, NoSuchItemError):
                pass  # the pool will find that out by itself
            except (PqError, OSError) as error:
                again = isinstance(error, LockTimeoutError) and not waiting.over()
                if not again or waiting.news():
                    self._unlogged(item, error, again)
                if again:
                    await asyncio.sleep(_AGAIN)
                    continue
            return


def _last_line(content: bytes) -> str:
    """Return the last line with something in it, fit to be shown."""
    lines = content[-4096:].decode("utf-8", "replace").strip().splitlines()
    return printable(lines[-1].strip(), 200) if lines else ""


class CommandGate:
    """A gate that is open while a command exits 0. It is given a minute to say so."""

    def __init__(self, command: Sequence[str], environ: Mapping[str, str]) -> None:
        self._command = command
        self._environ = environ
        self.words = b""
        """What the command wrote to stderr when it was asked last; of much, beginning and end."""

    async def __call__(self) -> bool:
        """Ask. Raises CommandNotFoundError or NotExecutableError, also for exits 127 and 126."""
        words = Capture(_GATE_WORDS, _GATE_WORDS)
        stream = Stream(words)
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        try:
            child = Child(self._command, self._environ, (null, null, stream.write_end))
            stream.start()
            status, _ = await child.wait(60.0, 5.0)
        except OSError as error:
            raise not_runnable(f"--when: {self._command[0]}", error) from None
        finally:
            os.close(null)
            stream.finish()
            self.words = words.content()
        check_ran(f"--when: {self._command[0]}", status)
        return status == 0
