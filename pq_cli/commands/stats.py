"""`pq stats`: the shape of the queue."""

from __future__ import annotations

import os
import stat
from collections import Counter
from heapq import nlargest
from itertools import islice
from typing import TYPE_CHECKING

from pq_cli.commands.spools import open_spool
from pq_cli.core.insight.history import history
from pq_cli.core.insight.shape import lane_shapes
from pq_cli.core.item import State, printable
from pq_cli.errors import UsageError
from pq_cli.options import AS_JSON, COLOR, LookOptions, option
from pq_cli.render.stats import Stats, stats_json, stats_table
from pq_cli.screen import Screen

if TYPE_CHECKING:
    from pq_cli.queue.verbs import Queue

_MAX_LETTERS = 1000
"""Dead letters whose errors are looked at: enough to name the common ones."""
_SHOWN = 25
"""Items of a kind that the page names one by one."""
_MODE = 0o666


class StatsOptions(LookOptions):
    """The command line of `pq stats`, as typed."""

    as_json: bool = AS_JSON
    prometheus: bool = option("--prometheus", "Print metrics for a textfile collector.")
    html: str = option("--html FILE", "Write a page for a web server; - prints it.")
    color: str = COLOR


def command(o: StatsOptions, screen: Screen) -> int:
    """Show pending items by lane and age, what was done in the last hour, the dead letters.

    Columns are ages: an item under `5m` is 5 minutes old or older, and younger than the next.
    Throughput and waiting times come from the log and may lack an event. Nothing is changed.
    """
    forms = {"--json": o.as_json, "--prometheus": o.prometheus, "--html": o.html is not None}
    if sum(forms.values()) > 1:
        given = " and ".join(name for name, asked in forms.items() if asked)
        raise UsageError(f"{given} exclude each other")
    queue = open_spool(o, screen)
    stats = gather(queue)
    if o.as_json:
        screen.emit_json(stats_json(stats))
    elif o.prometheus:
        from pq_cli.render.prometheus import metrics

        for line in metrics(stats):
            screen.emit(line)
    elif o.html is not None:
        made = web_page(queue, stats)
        if o.html == "-":
            screen.write(made)
        else:
            publish(o.html, made)
    else:
        from pq_cli.render.terminal import console

        stats_table(stats, console(screen, o.color))
        if not any(stats.counts.values()):
            screen.warn(f"nothing in {stats.path}; `pq enqueue` puts something in")
    return 0


def web_page(queue: Queue, stats: Stats) -> bytes:
    """Return the page that shows a queue as `gather` has found it."""
    from pq_cli.render.pictures.page import page

    letters = islice(queue.items([State.FAILED]), _MAX_LETTERS)
    latest = nlargest(_SHOWN, letters, key=lambda item: item.updated_at)
    return page(stats, latest).encode("utf-8", "replace")


def gather(queue: Queue) -> Stats:
    """Return all that is to be shown of a queue."""
    now, t = queue.now(), queue.order_time()
    backlog = queue.backlog()
    lanes = tuple(lane_shapes(queue.config, backlog, now, t))
    counts = {
        "active": queue.count([State.ACTIVE]),
        "pending": sum(lane.total for lane in lanes),
        "delayed": backlog.delayed,
        "held": queue.count([State.HELD]),
        "failed": queue.count([State.FAILED]),
        "done": queue.count([State.DONE]),
    }
    letters = islice(queue.items([State.FAILED]), _MAX_LETTERS)
    errors = Counter(item.last_error or "" for item in letters)
    return Stats(
        path=queue.where,
        now=now,
        pause=queue.paused,
        counts=counts,
        lanes=lanes,
        history=history(queue.log(), now),
        next_due=backlog.next_due,
        slots=dict(backlog.slots),
        errors=tuple(errors.most_common(5)),
        workers=tuple(queue.workers()),
        trouble=tuple(queue.trouble()),
        quarantined=queue.quarantined(),
        dropped=queue.dropped(),
    )


def publish(path: str, data: bytes) -> None:
    """Put `data` in the place of a file, with its mode; a new one gets what umask leaves.

    A link is followed. Raises UsageError for what is no file, OSError, and then all is as before.
    """
    target = os.path.realpath(path)
    info = os.stat(target) if os.path.exists(target) else None
    if info is not None and not stat.S_ISREG(info.st_mode):
        raise UsageError(f"{printable(path)!r} is no file: name one, or - for standard output")
    folder, name = os.path.split(target)
    beside = os.path.join(folder, f".{name[:200]}.{os.getpid()}.tmp")
    try:
        _replace(beside, target, data, info)
    except OSError as error:
        error.filename, error.filename2 = path, None
        raise


def _replace(beside: str, target: str, data: bytes, before: os.stat_result | None) -> None:
    fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
    try:
        with open(fd, "wb") as file:
            if before is not None:
                os.fchmod(fd, stat.S_IMODE(before.st_mode))
            file.write(data)
            file.flush()
            os.fsync(fd)
        os.rename(beside, target)
    except BaseException:
        os.unlink(beside)
        raise
