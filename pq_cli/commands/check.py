"""`pq check`: the spool against its table of legal states."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from pq_cli.backends import folder, table_findings
from pq_cli.commands.spools import open_own_folder
from pq_cli.core.insight.words import counted, lie_in_quarantine
from pq_cli.core.item import printable
from pq_cli.errors import DamageError, PqError, UsageError
from pq_cli.options import AS_JSON, Options, option
from pq_cli.render.counting import Counting
from pq_cli.render.present import present
from pq_cli.render.sheet import finding_sheet
from pq_cli.screen import Screen
from pq_cli.spool.check.check import Check
from pq_cli.spool.check.findings import DAMAGE, KINDS, Finding
from pq_cli.spool.disk.layout import QUARANTINE
from pq_cli.spool.quarantine import Aside

if TYPE_CHECKING:
    from collections.abc import Iterator


class CheckOptions(Options):
    """The command line of `pq check`, as typed."""

    repair: bool = option("--repair", "Mend what can be mended; delete no payload.")
    restore: tuple[str, ...] = option(
        "--restore NAME", "Make an item of what lies in quarantine.", many=True
    )
    as_json: bool = AS_JSON


def command(o: CheckOptions, screen: Screen) -> int:
    """Compare the spool with what pq-spool(5) allows; read every payload. Exit 5: damage found.

    What a crash leaves is told, but is no damage: the next commands deal with it. With --repair,
    what cannot be brought in order moves to quarantine/. Safe while others work. In a pipe:
    tab-separated severity, kind, id, path, detail. What lies in quarantine is listed too; with
    --restore it is an item again, and its id is printed.
    """
    if o.restore:
        if o.repair or o.as_json:
            raise UsageError("--restore excludes --repair and --json")
        return _restore(o, screen)
    seen: Counter[str] = Counter()
    tables = None if o.repair else table_findings(o.spool, o.lock_timeout)
    if tables is not None:  # what can be done is up to who keeps the database: its backups
        steps = (None if each is None else _table_record(*each) for each in tables)
        counting = Counting(screen, "pages looked at")
    else:
        check = Check(folder(o.spool, "check --repair" if o.repair else "check"), o.lock_timeout)
        found = check.steps(repair=o.repair)
        steps = (None if each is None else _record(each) for each in found)
        counting = Counting(screen, "items looked at", check.count)

    def records() -> Iterator[dict[str, Any]]:
        with counting:
            for record in steps:
                if record is None:
                    counting.tick()
                    continue
                seen[record["severity"]] += 1
                yield record
        if tables is None and not o.repair:  # which tells itself of what it has moved there
            yield from map(_aside_record, check.asides())

    present(
        records(),
        screen,
        as_json=o.as_json,
        line=lambda record: "\t".join(_words(record)),
        table=lambda rows, out: finding_sheet(map(_words, rows), max(map(len, KINDS)), out),
    )
    aside = 0 if tables is not None else len(check.asides())
    rest = f"; {lie_in_quarantine(aside)}" if aside else ""
    told = "" if tables is not None else f"{seen['mended']} mended, "
    told += f"{seen['harmless']} harmless"
    if seen["damage"]:
        able = tables is None and not o.repair
        hint = "; `pq check --repair` mends what can be mended" if able else ""
        raise DamageError(f"{seen['damage']} damaged, {told}{hint}{rest}")
    screen.warn(f"no damage; {told} leftovers{rest}")
    return 0


def _restore(o: CheckOptions, screen: Screen) -> int:
    """Bring back what has these names in quarantine; one that cannot be does not stop the others.

    Returns the status of the first that could not, or 0.
    """
    quarantine = open_own_folder(o, screen, "check --restore").quarantine()
    status = 0
    for name in o.restore:
        try:
            item = quarantine.restore(name.removesuffix("/").rpartition("quarantine/")[2])
        except PqError as error:
            failed = screen.report(error)
            status = status or failed
            continue
        screen.emit(str(item.id))
        screen.flush()
        screen.warn(f"item {item.id} is back: {item.state}, {counted(item.size, 'byte')}")
    return status


def _words(record: dict[str, Any]) -> list[str]:
    number = "" if record["id"] is None else str(record["id"])
    detail = record["detail"]
    if record["severity"] == "mended" and record["aside"]:
        detail += f"; now {', '.join(f'{QUARANTINE}/{name}' for name in record['aside'])}"
    words = (record["severity"], record["kind"], number, record["path"] or ".", detail)
    return [printable(word) for word in words]


def _record(finding: Finding) -> dict[str, Any]:
    severity = "mended" if finding.mended else _severity(finding.kind)
    return {
        "severity": severity, "kind": finding.kind, "id": finding.id, "path": finding.path,
        "detail": finding.detail, "finishes": KINDS[finding.kind], "aside": list(finding.aside),
    }  # fmt: skip


def _table_record(kind: str, number: int | None, detail: str) -> dict[str, Any]:
    return {
        "severity": _severity(kind), "kind": kind, "id": number, "path": None, "detail": detail,
        "finishes": None, "aside": [],
    }  # fmt: skip


def _severity(kind: str) -> str:
    return "damage" if kind in DAMAGE else "harmless"


def _aside_record(aside: Aside) -> dict[str, Any]:
    """Return what is told of a thing in quarantine, in the words of a finding."""
    lacks = "" if "" in aside.has else "; its payload is gone"
    told = f"was {aside.came_from}: {aside.why}" if aside.came_from else "nothing says why"
    back = f"`pq check --restore {aside.name}` makes an item of it"
    path = f"{QUARANTINE}/{aside.name}"
    return {
        "severity": "aside", "kind": "quarantine", "id": aside.id, "path": path,
        "detail": f"{told}{lacks}", "finishes": f"somebody removes {path}*" if lacks else back,
        "aside": [aside.name],
    }  # fmt: skip
