"""`pq check`: the spool against its table of legal states."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from pq_cli.backends import folder, open_folder
from pq_cli.commands.common import (
    LOCK_TIMEOUT,
    JsonOption,
    LockTimeoutOption,
    SpoolOption,
)
from pq_cli.core.insight.words import counted, lie_in_quarantine
from pq_cli.core.item import printable
from pq_cli.core.timefmt import parse_duration
from pq_cli.errors import DamageError, PqError, UsageError
from pq_cli.messages import warn
from pq_cli.render import emit, emit_json, flush, stdout_is_terminal
from pq_cli.render.counting import Counting
from pq_cli.render.sheet import print_finding
from pq_cli.render.terminal import console
from pq_cli.spool.check.check import Check
from pq_cli.spool.check.findings import KINDS, Finding
from pq_cli.spool.disk.layout import QUARANTINE
from pq_cli.spool.quarantine import Aside

if TYPE_CHECKING:
    from collections.abc import Callable


def command(
    repair: Annotated[
        bool, typer.Option("--repair", help="Mend what can be mended; delete no payload.")
    ] = False,
    restore: Annotated[
        list[str] | None,
        typer.Option("--restore", metavar="NAME", help="Make an item of what lies in quarantine."),
    ] = None,
    as_json: JsonOption = False,
    spool: SpoolOption = "",
    lock_timeout: LockTimeoutOption = LOCK_TIMEOUT,
) -> int:
    """Compare the spool with what pq-spool(5) allows; read every payload. Exit 5: damage found.

    What a crash leaves is told, but is no damage: the next commands deal with it. With --repair,
    what cannot be brought in order moves to quarantine/. Safe while others work. In a pipe:
    tab-separated severity, kind, id, path, detail. What lies in quarantine is listed too; with
    --restore it is an item again, and its id is printed.
    """
    if restore:
        if repair or as_json:
            raise UsageError("--restore excludes --repair and --json")
        return _restore(restore, spool, lock_timeout)
    check = Check(folder(spool, "check"), parse_duration(lock_timeout))
    tell = _teller(as_json)
    damaged = mended = harmless = 0
    with Counting("items looked at", check.count) as counting:
        for finding in check.run(repair=repair, tick=counting.tick):
            damaged += finding.damage
            mended += finding.mended
            harmless += not (finding.damage or finding.mended)
            tell(_record(finding))
    asides = check.asides()
    for aside in () if repair else asides:  # those that it has moved there it has told of
        tell(_aside_record(aside))
    aside_words = f"; {lie_in_quarantine(len(asides))}" if asides else ""
    if damaged:
        hint = "" if repair else "; `pq check --repair` mends what can be mended"
        raise DamageError(
            f"{damaged} damaged, {mended} mended, {harmless} harmless{hint}{aside_words}"
        )
    warn(f"no damage; {mended} mended, {harmless} harmless leftovers{aside_words}")
    return 0


def _restore(names: list[str], spool: str, lock_timeout: str) -> int:
    """Bring back what has these names in quarantine; one that cannot be does not stop the others.

    Returns the status of the first that could not, or 0.
    """
    queue = open_folder(spool, "check", lock_timeout=parse_duration(lock_timeout), report=warn)
    quarantine = queue.quarantine()
    status = 0
    for name in names:
        try:
            item = quarantine.restore(name.removesuffix("/").rpartition("quarantine/")[2])
        except PqError as error:
            warn(error)
            status = status or error.exit_code
            continue
        emit(str(item.id))
        flush()
        warn(f"item {item.id} is back: {item.state}, {counted(item.size, 'byte')}")
    return status


def _severity(finding: Finding) -> str:
    if finding.mended:
        return "mended"
    return "harmless" if KINDS[finding.kind].harmless else "damage"


def _teller(as_json: bool) -> Callable[[dict[str, Any]], None]:
    """Return what prints a record, for people or for programs."""
    if as_json:
        return emit_json
    if not stdout_is_terminal():
        return lambda record: emit("\t".join(_words(record)))
    out = console("auto")
    return lambda record: print_finding(_words(record), out)


def _words(record: dict[str, Any]) -> list[str]:
    number = "" if record["id"] is None else str(record["id"])
    detail = record["detail"]
    if record["severity"] == "mended" and record["aside"]:
        detail += f"; now {', '.join(f'{QUARANTINE}/{name}' for name in record['aside'])}"
    words = (record["severity"], record["kind"], number, record["path"] or ".", detail)
    return [printable(word) for word in words]


def _record(finding: Finding) -> dict[str, Any]:
    return {
        "severity": _severity(finding),
        "kind": finding.kind,
        "id": finding.id,
        "path": finding.path,
        "detail": finding.detail,
        "finishes": KINDS[finding.kind].finishes,
        "aside": list(finding.aside),
    }


def _aside_record(aside: Aside) -> dict[str, Any]:
    """Return what is told of a thing in quarantine, in the words of a finding."""
    lacks = "" if "" in aside.has else "; its payload is gone"
    told = f"was {aside.came_from}: {aside.why}" if aside.came_from else "nothing says why"
    back = f"`pq check --restore {aside.name}` makes an item of it"
    return {
        "severity": "aside",
        "kind": "quarantine",
        "id": aside.id,
        "path": f"{QUARANTINE}/{aside.name}",
        "detail": f"{told}{lacks}",
        "finishes": f"somebody removes {QUARANTINE}/{aside.name}*" if lacks else back,
        "aside": [aside.name],
    }
