"""`pq next`: claim the next item; print it, or run a command on it."""

from __future__ import annotations

import os
import signal
import time

from pq_cli.backends import folder
from pq_cli.commands.spools import open_spool
from pq_cli.core.timefmt import format_duration, format_time, parse_duration
from pq_cli.errors import (
    DamagedItemError,
    NoSuchItemError,
    PausedError,
    StaleClaimError,
    UsageError,
)
from pq_cli.options import DEFER_ON, Options, option, span
from pq_cli.queue.looking import POLL
from pq_cli.render.present import NOT_TEXT, item_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pq_cli.core.item import Item
    from pq_cli.queue.verbs import Queue
    from pq_cli.screen import Screen


def _patience(text: str) -> float:
    return float("inf") if text == "forever" else parse_duration(text)


class NextOptions(Options):
    """The command line of `pq next`, as typed."""

    cmd: tuple[str, ...] = option(
        "[-- CMD...]", "Run CMD with the payload on its stdin.", many=True
    )
    claim: bool = option("--claim", "Print the claim, ID.N.")
    path: bool = option("--path", "Print the payload's path.")
    as_json: bool = option("--json", "Print the item as JSON.")
    ack: bool = option("--ack", "Print the payload; done once it was written.")
    raw: bool = option("--raw", "To a terminal, too, a payload that is not text.")
    wait: float | None = option(
        "--wait [=D]", "Wait for work, at most D.", implied="forever", read=_patience
    )
    defer_on: tuple[int, ...] | None = DEFER_ON
    lease: float | None = option("--lease D", "How long the claim holds.", read=span)


def command(o: NextOptions, screen: Screen) -> int:
    """Claim the next item and print its payload; the claim is named on stderr.

    With CMD: run it with the payload on stdin; exit 0 ends the item, 75 or 111 puts it off, 100
    fails it for good, anything else retries it until max_attempts. Exit 1: nothing to do.
    """
    if o.claim + o.path + o.as_json + o.ack + bool(o.cmd) > 1:
        raise UsageError("--claim, --path, --json, --ack and CMD exclude each other")
    if o.raw and (o.claim or o.path or o.as_json or o.cmd):
        raise UsageError("--raw is about payloads that are printed")
    if o.defer_on is not None and not o.cmd:
        raise UsageError("--defer-on is about CMD's exit status: give -- CMD...")
    if o.path:
        folder(o.spool, "next --path")
    if not o.cmd:
        screen.check()
    deadline = None if o.wait is None else time.monotonic() + o.wait
    if o.cmd:
        return _run(o, screen, deadline)
    # Who waits makes the queue, as `run --follow` does: it hears of what comes there.
    queue = open_spool(o, screen, create=bool(o.wait))
    item = _claim(queue, lambda: queue.claim(lease=o.lease, bound=o.ack), deadline)
    if item is None:
        refuse_paused(queue)
        if screen.is_terminal():  # programs have the exit status
            from pq_cli.commands.idle import idle_text  # start-up

            idle = idle_text(queue)
            if idle is not None:
                screen.warn(idle)
        return 1
    _deliver(queue, item, o, screen)
    return 0


def refuse_paused(queue: Queue) -> None:
    """Raise PausedError, saying since when and why, if that is why nothing was claimed."""
    pause = queue.paused
    if pause is not None:
        why = f" ({pause.reason})" if pause.reason else ""
        since = format_time(pause.since)
        raise PausedError(f"paused since {since[:19]}Z{why}; `pq resume` ends it")


def _deliver(queue: Queue, item: Item, o: NextOptions, screen: Screen) -> None:
    """Print the item; if that fails nobody got it, so it goes back uncounted."""
    try:
        shown = _print(queue, item, o, screen)
    except DamagedItemError as error:
        queue.fail(item, str(error), dead=True)
        raise
    except BaseException:
        try:
            queue.release(item)
        except (StaleClaimError, NoSuchItemError):
            pass  # it has ended already
        raise
    if o.ack:
        queue.done(item)
    elif screen.is_terminal():
        lease = format_duration(o.lease or queue.config.lease)
        binary = ":" if shown else f", {NOT_TEXT}: `pq cat {item.claim} >FILE`, then"
        how_on = f"`pq done {item.claim}`, else it is back in {lease}"
        screen.warn(f"claimed {item.claim}{binary} {how_on}")
    elif not (o.claim or o.path or o.as_json):
        screen.warn(f"claimed {item.claim}")


def _claim(queue: Queue, take: Callable[[], Item | None], deadline: float | None) -> Item | None:
    """Return what `take` claims, waiting until `deadline` (monotonic seconds; None: not at all)."""
    while True:
        item = take()
        now = time.monotonic()
        if item is not None or deadline is None or now >= deadline:
            return item
        _listen(queue, deadline - now)


def _listen(queue: Queue, seconds: float) -> None:
    """Wait until it is time to look again, at most so many seconds."""
    ear = queue.ear()
    if ear is None:
        time.sleep(min(POLL, seconds))
        return
    from select import POLLIN, poll  # start-up

    said = poll()
    said.register(ear[0], POLLIN)
    said.poll(1000 * min(ear[1], seconds))


def _print(queue: Queue, item: Item, o: NextOptions, screen: Screen) -> bool:
    """Print what the options ask for; tell whether it was shown: a terminal gets no binary."""
    shown = True
    if o.claim:
        screen.emit(item.claim or "")
    elif o.path:
        screen.emit(item.path or "")
    elif o.as_json:
        screen.emit_json(item_json(item, queue.config, queue.order_time()))
    else:
        lease = o.lease or queue.config.lease
        with queue.open_payload(item) as payload:
            # However long a slow reader takes; by a timer signal, because a write to a full pipe
            # waits in the kernel. A claim that is lost ends the program wherever it is.
            signal.signal(signal.SIGALRM, lambda *_: queue.renew(item, lease))
            signal.setitimer(signal.ITIMER_REAL, lease / 3, lease / 3)
            try:
                shown = screen.copy(payload, raw=o.raw, ends=True)
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        if not shown and o.ack:
            raise UsageError(f"item {item.id} is {NOT_TEXT}; --raw prints it, or go to a file")
    screen.flush()
    return shown


def _run(o: NextOptions, screen: Screen, deadline: float | None) -> int:
    from pq_cli.worker.attempt import Foreground
    from pq_cli.worker.contract import judging

    queue = open_spool(o, screen, create=bool(o.wait), brief=True)
    judge = judging(o.defer_on, queue.config)
    seconds = o.lease or queue.config.lease
    with Foreground(queue, seconds, o.lock_timeout, os.environ, screen.warn) as foreground:
        item = _claim(queue, lambda: foreground.claim(lambda: queue.claim(lease=o.lease)), deadline)
        if item is None:
            refuse_paused(queue)
            return 1
        status, sent = foreground.attempt(item, o.cmd, judge)
    if sent is not None:
        return 128 + sent
    if status:
        said = f"{item.claim}: {o.cmd[0]} exited with status {status}"
        screen.warn(f"{said}; `pq show {item.id}` tells the rest")
    return 6 if status else 0
