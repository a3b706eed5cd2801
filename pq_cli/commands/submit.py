"""`pq submit`: run a command on stdin now; if that fails, the payload is in the queue for later."""

from __future__ import annotations

import os
import sys

from pq_cli.commands.enqueue import after_others, check_stdin, fell_text, request_of
from pq_cli.commands.spools import open_spool, taken_text
from pq_cli.core.item import Item, State
from pq_cli.errors import (
    EXIT_COMMAND_FAILED,
    CommandNotFoundError,
    LockTimeoutError,
    NotExecutableError,
    PqError,
    UsageError,
)
from pq_cli.opened import os_error_text
from pq_cli.options import DEFER_ON, LEASE, NewItemOptions, option
from pq_cli.worker.attempt import Foreground
from pq_cli.worker.contract import Outcome, Verdict, explain, judging

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pq_cli.screen import Screen
    from pq_cli.worker.contract import Judge


class SubmitOptions(NewItemOptions):
    """The command line of `pq submit`, as typed."""

    cmd: tuple[str, ...] = option("-- CMD...", "Run with the payload on its stdin.", many=True)
    defer_on: tuple[int, ...] | None = DEFER_ON
    lease: float | None = LEASE


def command(o: SubmitOptions, screen: Screen) -> int:
    """Run CMD on stdin now; if it fails, leave the payload in the queue for a later `pq run`.

    Exit 0: delivered, or queued; the id is printed only when it is queued. Exit 6: CMD said
    (exit 100) that it can never succeed; the item is among the failed ones.
    """
    # The payload is in the queue, durably and under a claim of our own, before CMD starts: should
    # all else fail, the claim ends with this process and the item is pending.
    if not o.cmd:
        raise UsageError("give the command to run: pq submit [OPTIONS] -- CMD...")
    request = request_of(o)
    check_stdin()
    screen.check()
    queue = open_spool(o, screen, create=True, brief=True)
    request = after_others(request, o, queue)
    seconds = o.lease or queue.config.lease
    with Foreground(queue, seconds, o.lock_timeout, os.environ, screen.warn) as foreground:
        began = queue.now()
        staged = queue.stage(sys.stdin.buffer, request)
        try:
            item = foreground.claim(lambda: queue.commit_claimed(staged, lease=o.lease))
        except LockTimeoutError:
            queue.unstage(staged)
            raise
        why = _why_not_run(item, new=item.created_at >= began, raised=o.if_exists == "raise")
        if why is not None:
            return _told(screen, item, why)
        return _try(foreground, item, o.cmd, judging(o.defer_on, queue.config), screen)


def _why_not_run(item: Item, *, new: bool, raised: bool) -> str | None:
    """Return what to say of an item that cannot be tried at once, None of one that can."""
    if new and item.claim is None and item.limit is not None:
        return f"item {item.id}: limit {item.limit} is full: nothing was run: queued"
    if new and item.after:
        if item.state is State.FAILED:
            return fell_text(item)
        return f"item {item.id}: it waits for item {item.after[0]}: nothing was run: queued"
    if item.claim is None:  # its key was taken, by an item that others may be working on
        return taken_text(item, "nothing was run", raised=raised)
    return None


def _try(
    foreground: Foreground, item: Item, cmd: Sequence[str], judge: Judge, screen: Screen
) -> int:
    """Run the command. Whatever goes wrong from here on, the payload is in the queue."""
    try:
        status, sent = foreground.attempt(item, cmd, lambda status: _spared(judge(status)))
    except (CommandNotFoundError, NotExecutableError):
        screen.emit(str(item.id))
        screen.flush()
        raise
    except (PqError, OSError) as error:
        why = f"its result could not be written down: {os_error_text(error)}"
        return _told(screen, item, f"item {item.id}: {cmd[0]}: {why}: queued")
    if not status:
        return 0
    what = f"item {item.id}: {cmd[0]}"
    if judge(status).verdict is Verdict.DEAD:
        again = f"failed for good; `pq retry {item.id}` tries again"
        return _told(screen, item, f"{what}: exit {status}: {again}", EXIT_COMMAND_FAILED)
    ended = 0 if sent is None else 128 + sent
    return _told(screen, item, f"{what}: {explain(status)}: queued", ended)


def _told(screen: Screen, item: Item, said: str, status: int = 0) -> int:
    screen.warn(said)
    screen.emit(str(item.id))
    return status


def _spared(outcome: Outcome) -> Outcome:
    """A failed try puts the item where an enqueue would have put it: pending, nothing counted."""
    if outcome.verdict in (Verdict.DEFER, Verdict.RETRY):
        return outcome.replace(verdict=Verdict.RELEASE)
    return outcome
