"""`pq next`: claim the next item; print it, or run a command on it."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Annotated

import typer

from pq_cli.commands.common import (
    LOCK_TIMEOUT,
    LockTimeoutOption,
    SpoolOption,
    lease_seconds,
    open_spool,
)
from pq_cli.commands.messages import warn
from pq_cli.core.timefmt import parse_duration
from pq_cli.errors import DamagedItemError, UsageError
from pq_cli.render import check_stdout, copy_to_stdout, emit, emit_json, flush, item_json
from pq_cli.spool.opening import NoSpoolError

if TYPE_CHECKING:
    from pq_cli.core.item import Item
    from pq_cli.spool.spool import Spool

_POLL = 0.2
"""Seconds between looks while waiting: work is noticed within a quarter of a second."""


def command(
    cmd: Annotated[
        list[str] | None,
        typer.Argument(metavar="[-- CMD...]", help="Run CMD with the payload on its stdin."),
    ] = None,
    claim: Annotated[bool, typer.Option("--claim", help="Print the claim, ID.N.")] = False,
    path: Annotated[bool, typer.Option("--path", help="Print the payload's path.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the item as JSON.")] = False,
    ack: Annotated[
        bool, typer.Option("--ack", help="Print the payload; done once it was written.")
    ] = False,
    wait: Annotated[
        str | None, typer.Option("--wait", metavar="[=D]", help="Wait for work, at most D.")
    ] = None,
    lease: Annotated[
        str | None, typer.Option("--lease", metavar="D", help="How long the claim holds.")
    ] = None,
    spool: SpoolOption = "",
    lock_timeout: LockTimeoutOption = LOCK_TIMEOUT,
) -> int:
    """Claim the next item and print its payload; the claim is named on stderr.

    With CMD: run it with the payload on stdin; exit 0 ends the item, 75 or 111 puts it off, 100
    fails it for good, anything else retries it until max_attempts. Exit 1: nothing to do.
    """
    if claim + path + as_json + ack + bool(cmd) > 1:
        raise UsageError("--claim, --path, --json, --ack and CMD exclude each other")
    seconds = lease_seconds(lease)
    patience = _patience(wait)
    if not cmd:
        check_stdout()
    deadline = None if patience is None else time.monotonic() + patience
    queue = _open(spool, lock_timeout, deadline)
    item = _claim(queue, seconds, bound=bool(cmd) or ack, deadline=deadline)
    if item is None:
        return 1
    if cmd:
        return _run(queue, item, cmd, seconds)
    try:
        _print(queue, item, claim=claim, path=path, as_json=as_json)
    except DamagedItemError as error:
        queue.fail(item, str(error), dead=True)
        raise
    except BaseException:
        queue.release(item)
        raise
    if ack:
        queue.done(item)
    elif not (claim or path or as_json):
        warn(f"claimed {item.claim}")
    return 0


def _patience(wait: str | None) -> float | None:
    """Return how many seconds to wait for work: None not at all, inf for ever."""
    if wait is None:
        return None
    return float("inf") if wait == "forever" else parse_duration(wait)


def _open(path: str, lock_timeout: str, deadline: float | None) -> Spool:
    while True:
        try:
            return open_spool(path, lock_timeout=lock_timeout)
        except NoSpoolError:
            if deadline is None or time.monotonic() >= deadline:
                raise
            time.sleep(_POLL)


def _claim(
    queue: Spool, lease: float | None, *, bound: bool, deadline: float | None
) -> Item | None:
    """Claim the next item, waiting until `deadline` (monotonic seconds; None: not at all)."""
    while True:
        item = queue.claim(lease=lease, bound=bound)
        now = time.monotonic()
        if item is not None or deadline is None or now >= deadline:
            return item
        time.sleep(min(_POLL, deadline - now))


def _print(queue: Spool, item: Item, *, claim: bool, path: bool, as_json: bool) -> None:
    if claim:
        emit(item.claim or "")
    elif path:
        emit(item.path or "")
    elif as_json:
        emit_json(item_json(item, queue.config, queue.order_time()))
    else:
        fd = queue.open_payload(item)
        try:
            copy_to_stdout(fd)
        finally:
            os.close(fd)
    flush()


def _run(queue: Spool, item: Item, cmd: list[str], lease: float | None) -> int:
    from pq_cli.worker.attempt import attempt, refuse_damaged

    seconds = queue.config.lease if lease is None else lease
    try:
        status, sent = attempt(queue, item, cmd, seconds, os.environ, warn)
    except DamagedItemError as error:
        refuse_damaged(queue, item, error)
        raise
    if sent is not None and status:
        return 128 + sent
    if status:
        warn(f"{item.claim}: {cmd[0]} exited with status {status}")
    return 6 if status else 0
