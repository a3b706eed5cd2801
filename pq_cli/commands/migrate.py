"""`pq migrate`: look at the source, say what it is, import it or show the plan."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from datetime import tzinfo
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pq_cli.backends import folder_of
from pq_cli.commands.spools import open_spool
from pq_cli.core.insight import words
from pq_cli.core.item import printable
from pq_cli.core.timefmt import format_time
from pq_cli.errors import EXIT_DATA, NoSpoolError, UsageError
from pq_cli.migrate.detect import spool_format
from pq_cli.migrate.importing import Fate, Import, plan, reader_for, realm_of
from pq_cli.migrate.live import refuse_live
from pq_cli.migrate.model import Reported
from pq_cli.migrate.order import Ordered
from pq_cli.migrate.removal import Removal
from pq_cli.migrate.traces import Format
from pq_cli.options import AS_JSON, Misread, Options, option
from pq_cli.render.counting import Counting, counted
from pq_cli.render.present import present
from pq_cli.render.sheet import plan_sheet
from pq_cli.render.words import wall_time
from pq_cli.screen import Screen
from pq_cli.transfer.scratch import Taken

if TYPE_CHECKING:
    from pq_cli.queue.verbs import Queue


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Misread(name, "give the name of a zone, like Europe/Oslo") from None


class MigrateOptions(Options):
    """The command line of `pq migrate`, as typed."""

    source: str = option("SRC", "The folder of the older queue.", needs=True)
    reader: str | None = option("--from NAME", "What it is, if looking fails.")
    tz: tzinfo | None = option("--tz ZONE", "Of times recorded without a zone.", read=_zone)
    dry_run: bool = option("--dry-run", "Show the plan; do nothing.")
    move: bool = option("--move", "Remove the files of each item that is in.")
    include_done: bool = option("--include-done", "Import done items too.")
    force: bool = option("--force", "Although something still works in SRC.")
    as_json: bool = AS_JSON


def command(o: MigrateOptions, screen: Screen) -> int:
    """Import an older or foreign queue, in its order, with its bytes and facts.

    May be interrupted and run again: nothing is taken twice. Files that were not understood are
    listed and left where they are (exit 65). If SRC is a pq spool already, there is nothing to do.
    """
    if not o.source:  # Path would take it for the folder that the shell is in
        raise UsageError("SRC is empty: give the folder of the older queue")
    root = Path(o.source)
    known = spool_format(root)
    if known is not None:
        open_spool(o.replace(spool=o.source), screen).close()  # a damaged or a newer one is told
        screen.warn(f"{o.source} is a pq spool of format {known} already: nothing to do")
        screen.warn("to bring its items into another spool: pq export | pq import")
        return 0
    _refuse_nesting(o.source, o.spool)
    reader = reader_for(root, o.reader, _there(o, screen))
    if not o.force and not o.dry_run:
        refuse_live(root)
    named = "the local zone" if o.tz is None else o.tz
    screen.warn(f"{o.source}: read as {reader.name}; times without a zone are taken as {named}")
    seen: Counter[str] = Counter()
    with Ordered(counted(reader.read(root, o.tz), screen, "items found")) as ordered:
        try:
            if o.dry_run:
                _dry_run(o, root, ordered, seen, screen)
            else:
                _import(o, root, reader, ordered, seen, screen)
        finally:
            _sum_up(seen, o, screen)
    return EXIT_DATA if seen["file"] else 0


def _refuse_nesting(source: str, spool: str) -> None:
    """Raise UsageError when one of the two folders is in the other: each would feed on itself."""
    target = folder_of(spool)
    if target is None:
        return
    real_source, real_spool = os.path.realpath(source), os.path.realpath(target)
    if os.path.commonpath([real_source, real_spool]) in (real_source, real_spool):
        raise UsageError(
            f"{printable(source)} and the spool {printable(spool)} lie in one another:"
            " give folders apart"
        )


def _there(o: MigrateOptions, screen: Screen) -> Queue | None:
    """Return the queue into which the items are to go, None if it is not made yet."""
    try:
        return open_spool(o, screen)
    except NoSpoolError:
        return None


def _import(
    o: MigrateOptions,
    root: Path,
    reader: Format,
    ordered: Ordered,
    seen: Counter[str],
    screen: Screen,
) -> None:
    with (
        Counting(screen, "items", sum(ordered.states.values())) as counting,
        open_spool(o, screen, create=True) as queue,
        queue.arrivals() as arrivals,
        # Read under the import's lock, or another import's items would be missing from it.
        Taken(queue, realm_of(root)) as taken,
        Removal(root, ordered) if o.move else nullcontext() as removal,
    ):
        tries = queue.config.max_attempts
        work = Import(root, reader.name, arrivals, taken, removal, tries, time())
        for event in _told(work.run(ordered, include_done=o.include_done), seen, screen):
            counting.tick(int(not isinstance(event, Reported)))
            if o.as_json:
                screen.emit_json(_as_json(event))


def _dry_run(
    o: MigrateOptions, root: Path, ordered: Ordered, seen: Counter[str], screen: Screen
) -> None:
    screen.check()
    with Taken(_there(o, screen), realm_of(root)) as taken:
        present(
            _told(plan(ordered, taken, include_done=o.include_done), seen, screen),
            screen,
            as_json=o.as_json,
            record=_as_json,
            line=lambda event: "\t".join(printable(text) for text in _columns(event)),
            table=lambda events, out: plan_sheet(
                (_columns(event, for_people=True) for event in events), out
            ),
        )


def _columns(event: Fate | Reported, *, for_people: bool = False) -> tuple[str, ...]:
    if isinstance(event, Reported):
        return ("leave", event.reason, "", "", "", "", event.path)
    legacy = event.legacy
    at, size = legacy.created_us / 1e6, legacy.payload_size
    created = wall_time(at, time()) if for_people else format_time(at)
    numbers = (str(legacy.priority), created, str(legacy.attempts))
    bytes_there = words.human_size(size) if for_people else str(size)
    return (event.action, legacy.state, *numbers, bytes_there, legacy.source[0])


def _as_json(event: Fate | Reported) -> dict[str, Any]:
    if isinstance(event, Reported):
        return {
            "action": "leave",
            "path": event.path,
            "reason": event.reason,
            "detail": event.detail,
        }
    legacy = event.legacy
    return {
        "action": event.action,
        "id": event.item and event.item.id,
        "state": legacy.state,
        "priority": legacy.priority,
        "created_at": format_time(legacy.created_us / 1e6),
        "attempts": legacy.attempts,
        "max_attempts": legacy.max_attempts,
        "size": legacy.payload_size,
        "name": legacy.legacy_id,
        "source": list(legacy.source),
        "warnings": [{"path": w.path, "field": w.field, "value": w.value} for w in legacy.warnings],
    }


def _told(
    events: Iterable[Fate | Reported], seen: Counter[str], screen: Screen
) -> Iterator[Fate | Reported]:
    """Pass events on and count them; name what was left and what gave way to a default."""
    for event in events:
        seen["file" if isinstance(event, Reported) else event.action] += 1
        yield event
        if isinstance(event, Reported):
            detail = f" ({event.detail})" if event.detail else ""
            screen.warn(f"left: {printable(event.path)}: {event.reason}{detail}")
        elif event.action == "import":
            for w in event.legacy.warnings:
                value = printable(repr(w.value), 80)
                screen.warn(f"{printable(w.path)}: {w.field} {value} is no use; took the default")


def _sum_up(seen: Counter[str], o: MigrateOptions, screen: Screen) -> None:
    parts = [f"{words.counted(seen['import'], 'item')} {'would be ' if o.dry_run else ''}imported"]
    if seen["known"]:
        parts.append(f"{seen['known']} taken before")
    if seen["leave"]:
        parts.append(f"{seen['leave']} done left (--include-done takes them)")
    if seen["file"]:
        parts.append(f"{words.counted(seen['file'], 'file')} left, named above: `pq help migrate`")
    screen.warn("; ".join(parts))
