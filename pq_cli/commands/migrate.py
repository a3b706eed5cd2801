"""`pq migrate`: look at the source, say what it is, import it or show the plan."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer

from pq_cli.backends import folder_of
from pq_cli.commands.common import LOCK_TIMEOUT, JsonOption, LockTimeoutOption, SpoolOption
from pq_cli.commands.spools import open_spool
from pq_cli.core.insight.words import human_size
from pq_cli.core.item import printable
from pq_cli.core.timefmt import format_time
from pq_cli.errors import EXIT_DATA, NoSpoolError, UsageError
from pq_cli.messages import warn
from pq_cli.migrate.detect import spool_format
from pq_cli.migrate.importing import (
    Entered,
    Event,
    Finished,
    Import,
    Known,
    Planned,
    plan,
    reader_for,
    realm_of,
)
from pq_cli.migrate.live import refuse_live
from pq_cli.migrate.model import Reported
from pq_cli.migrate.order import Ordered
from pq_cli.migrate.removal import Removal
from pq_cli.migrate.traces import Reader
from pq_cli.render import check_stdout, emit, emit_json, stdout_is_terminal
from pq_cli.render.counting import Counting
from pq_cli.render.sheet import print_plan
from pq_cli.render.terminal import console
from pq_cli.render.words import wall_time
from pq_cli.transfer.taken import Taken

if TYPE_CHECKING:
    from pq_cli.queue.verbs import Queue
    from pq_cli.render.terminal import Console


@dataclass(frozen=True, kw_only=True)
class MigrateOptions:
    """The command line of `pq migrate`, as typed: nothing is checked yet."""

    source: str
    reader: str | None
    tz: str | None
    dry_run: bool
    move: bool
    include_done: bool
    force: bool
    as_json: bool
    spool: str
    lock_timeout: str


def command(
    source: Annotated[str, typer.Argument(metavar="SRC", help="The folder of the older queue.")],
    reader: Annotated[
        str | None, typer.Option("--from", metavar="NAME", help="What it is, if looking fails.")
    ] = None,
    tz: Annotated[
        str | None, typer.Option("--tz", metavar="ZONE", help="Of times recorded without a zone.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan; do nothing.")] = False,
    move: Annotated[
        bool, typer.Option("--move", help="Remove the files of each item that is in.")
    ] = False,
    include_done: Annotated[
        bool, typer.Option("--include-done", help="Import done items too.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Although something still works in SRC.")
    ] = False,
    as_json: JsonOption = False,
    spool: SpoolOption = "",
    lock_timeout: LockTimeoutOption = LOCK_TIMEOUT,
) -> int:
    """Import an older or foreign queue, in its order, with its bytes and facts.

    May be interrupted and run again: nothing is taken twice. Files that were not understood are
    listed and left where they are (exit 65). If SRC is a pq spool already, there is nothing to do.
    """
    return _migrate(
        MigrateOptions(
            source=source, reader=reader, tz=tz, dry_run=dry_run, move=move,
            include_done=include_done, force=force, as_json=as_json, spool=spool,
            lock_timeout=lock_timeout,
        )
    )  # fmt: skip


def _migrate(options: MigrateOptions) -> int:
    """Import or plan what the options say; return the exit status."""
    zone = _zone(options.tz)
    if not options.source:  # Path would take it for the folder that the shell is in
        raise UsageError("SRC is empty: give the folder of the older queue")
    root = Path(options.source)
    known = spool_format(root)
    if known is not None:
        return _say_that_it_is_one(options.source, known)
    _refuse_nesting(options.source, options.spool)
    reader = reader_for(root, options.reader, _there(options))
    if not options.force and not options.dry_run:
        refuse_live(root)
    named = options.tz or "the local zone"
    warn(f"{options.source}: read as {reader.name}; times without a zone are taken as {named}")
    with ExitStack() as stack:
        with Counting("items found") as counting:
            ordered = stack.enter_context(Ordered(counting.over(reader.read(root, zone))))
        total = sum(ordered.states.values())
        if options.dry_run:
            return _dry_run(options, root, ordered)
        with Counting("items", total) as counting:
            events = _import(options, root, reader, ordered)
            return _tell(_counted(events, counting), options)


def _zone(name: str | None) -> tzinfo | None:
    """Return the zone of `--tz`, None for this machine's own."""
    if name is None:
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        shown = printable(name, 60)
        raise UsageError(f"--tz {shown!r}: give the name of a zone, like Europe/Oslo") from None


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


def _say_that_it_is_one(spool: str, known: int) -> int:
    """Say that there is nothing to migrate. Raises ConfigError for a damaged or a newer spool."""
    open_spool(spool).close()
    warn(f"{spool} is a pq spool of format {known} already: nothing to do")
    warn("to bring its items into another spool: pq export | pq import")
    return 0


def _there(options: MigrateOptions) -> Queue | None:
    """Return the queue into which the items are to go, None if it is not made yet."""
    try:
        return open_spool(options.spool, lock_timeout=options.lock_timeout)
    except NoSpoolError:
        return None


def _import(
    options: MigrateOptions, root: Path, reader: Reader, ordered: Ordered
) -> Iterator[Event]:
    queue = open_spool(options.spool, create=True, lock_timeout=options.lock_timeout)
    with ExitStack() as stack:
        stack.enter_context(queue)
        arrivals = stack.enter_context(queue.arrivals())
        # Read under the import's lock, or another import's items would be missing from it.
        taken = stack.enter_context(Taken(queue, realm_of(root)))
        removal = stack.enter_context(Removal(root, ordered)) if options.move else None
        tries = queue.config.max_attempts
        work = Import(root, reader.name, arrivals, taken, removal, tries, time())
        yield from work.run(ordered, include_done=options.include_done)


def _dry_run(options: MigrateOptions, root: Path, ordered: Ordered) -> int:
    check_stdout()
    out = console("auto") if stdout_is_terminal() and not options.as_json else None
    if out is not None:
        print_plan(_HEADER, out)
    with Taken(_there(options), realm_of(root)) as taken:
        events = plan(ordered, taken, include_done=options.include_done)
        return _tell(_shown(events, out, as_json=options.as_json), options)


def _shown(events: Iterable[Event], out: Console | None, *, as_json: bool) -> Iterator[Event]:
    """Pass events on, and print each: as JSON, for people on `out`, or in columns."""
    for event in events:
        if as_json:
            emit_json(_as_json(event))
        elif out is not None:
            print_plan(_columns(event, for_people=True), out)
        else:
            emit("\t".join(printable(text) for text in _columns(event)))
        yield event


_HEADER = ("ACTION", "STATE", "PRI", "CREATED", "TRY", "SIZE", "SOURCE")
_ACTION = {Entered: "import", Planned: "import", Known: "known", Finished: "leave"}


def _columns(event: Event, *, for_people: bool = False) -> tuple[str, ...]:
    if isinstance(event, Reported):
        return ("leave", event.reason, "", "", "", "", event.path)
    legacy = event.legacy
    at, size = legacy.created_us / 1e6, legacy.payload_size
    created = wall_time(at, time()) if for_people else format_time(at)
    numbers = (str(legacy.priority), created, str(legacy.attempts))
    bytes_there = human_size(size) if for_people else str(size)
    return (_ACTION[type(event)], legacy.state, *numbers, bytes_there, legacy.source[0])


def _as_json(event: Event) -> dict[str, Any]:
    if isinstance(event, Reported):
        return {
            "action": "leave",
            "path": event.path,
            "reason": event.reason,
            "detail": event.detail,
        }
    legacy = event.legacy
    return {
        "action": _ACTION[type(event)],
        "id": event.item.id if isinstance(event, Entered) else None,
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


def _counted(events: Iterable[Event], counting: Counting) -> Iterator[Event]:
    for event in events:
        counting.tick(int(not isinstance(event, Reported)))
        yield event


def _tell(events: Iterable[Event], options: MigrateOptions) -> int:
    """Name what was left and what gave way to a default, sum up; return the exit status."""
    seen: Counter[type[Event]] = Counter()
    try:
        for event in events:
            seen[type(event)] += 1
            if options.as_json and not options.dry_run:
                emit_json(_as_json(event))
            if isinstance(event, Reported):
                detail = f" ({event.detail})" if event.detail else ""
                warn(f"left: {_one_line(event.path)}: {event.reason}{detail}")
            elif isinstance(event, Entered | Planned):
                for w in event.legacy.warnings:
                    value = printable(repr(w.value), 80)
                    warn(f"{_one_line(w.path)}: {w.field} {value} is no use; took the default")
    finally:
        _sum_up(seen, options)
    return EXIT_DATA if seen[Reported] else 0


def _sum_up(seen: Counter[type[Event]], options: MigrateOptions) -> None:
    entered = seen[Planned] if options.dry_run else seen[Entered]
    parts = [f"{entered} items {'would be ' if options.dry_run else ''}imported"]
    if seen[Known]:
        parts.append(f"{seen[Known]} taken before")
    if seen[Finished]:
        parts.append(f"{seen[Finished]} done left (--include-done takes them)")
    if seen[Reported]:
        parts.append(f"{seen[Reported]} files left, named above")
    warn("; ".join(parts))


def _one_line(path: str) -> str:
    return printable(path)
