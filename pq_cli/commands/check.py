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
    from collections.abc import Iterable, Iterator

    from pq_cli.render.terminal import Console


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
    tables = None if o.repair else table_findings(o.spool, o.lock_timeout)
    if tables is not None:
        return _check_tables(tables, o, screen)
    check = Check(folder(o.spool, "check"), o.lock_timeout)
    seen: Counter[str] = Counter()

    def records() -> Iterator[dict[str, Any]]:
        with Counting(screen, "items looked at", check.count) as counting:
            for finding in check.steps(repair=o.repair):
                if finding is None:
                    counting.tick()
                    continue
                seen[_severity(finding)] += 1
                yield _record(finding)
        if not o.repair:  # which tells itself of what it has moved there
            yield from map(_aside_record, check.asides())

    present(records(), screen, as_json=o.as_json, line=_line, table=_table)
    aside = len(check.asides())
    rest = f"; {lie_in_quarantine(aside)}" if aside else ""
    told = f"{seen['mended']} mended, {seen['harmless']} harmless"
    if seen["damage"]:
        hint = "" if o.repair else "; `pq check --repair` mends what can be mended"
        raise DamageError(f"{seen['damage']} damaged, {told}{hint}{rest}")
    screen.warn(f"no damage; {told} leftovers{rest}")
    return 0


def _check_tables(
    tables: Iterable[tuple[str, int | None, str] | None], o: CheckOptions, screen: Screen
) -> int:
    """Tell what is wrong in a database. What can be done is up to who keeps it: its backups."""
    seen: Counter[str] = Counter()

    def records() -> Iterator[dict[str, Any]]:
        with Counting(screen, "pages looked at", None) as counting:
            for found in tables:
                if found is None:
                    counting.tick()
                    continue
                kind, number, detail = found
                severity = "damage" if kind in DAMAGE else "harmless"
                seen[severity] += 1
                yield {"severity": severity, "kind": kind, "id": number, "path": None,
                       "detail": detail, "finishes": None, "aside": []}  # fmt: skip

    present(records(), screen, as_json=o.as_json, line=_line, table=_table)
    if seen["damage"]:
        raise DamageError(f"{seen['damage']} damaged, {seen['harmless']} harmless")
    screen.warn(f"no damage; {seen['harmless']} leftovers")
    return 0


def _restore(o: CheckOptions, screen: Screen) -> int:
    """Bring back what has these names in quarantine; one that cannot be does not stop the others.

    Returns the status of the first that could not, or 0.
    """
    quarantine = open_own_folder(o, screen, "check").quarantine()
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


def _severity(finding: Finding) -> str:
    if finding.mended:
        return "mended"
    return "damage" if finding.kind in DAMAGE else "harmless"


def _line(record: dict[str, Any]) -> str:
    return "\t".join(_words(record))


def _table(records: Iterable[dict[str, Any]], out: Console) -> None:
    finding_sheet(map(_words, records), max(map(len, KINDS)), out)


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
        "finishes": KINDS[finding.kind],
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
