"""`pq check`: the spool against its table of legal states."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pq_cli.commands.common import LOCK_TIMEOUT, JsonOption, LockTimeoutOption, SpoolOption
from pq_cli.core.item import printable
from pq_cli.core.timefmt import parse_duration
from pq_cli.errors import DamageError
from pq_cli.messages import warn
from pq_cli.render import emit, emit_json, stdout_is_terminal
from pq_cli.render.counting import Counting
from pq_cli.render.sheet import print_finding
from pq_cli.render.terminal import console
from pq_cli.spool.check.check import Check
from pq_cli.spool.check.findings import KINDS, Finding

if TYPE_CHECKING:
    from collections.abc import Callable


def command(
    repair: Annotated[
        bool, typer.Option("--repair", help="Mend what can be mended; delete no payload.")
    ] = False,
    as_json: JsonOption = False,
    spool: SpoolOption = "",
    lock_timeout: LockTimeoutOption = LOCK_TIMEOUT,
) -> int:
    """Compare the spool with what pq-spool(5) allows; read every payload. Exit 5: damage found.

    What a crash leaves is told, but is no damage: the next commands deal with it. With --repair,
    what cannot be brought in order moves to quarantine/. Safe while others work. In a pipe:
    tab-separated severity, kind, id, path, detail.
    """
    check = Check(spool, parse_duration(lock_timeout))
    tell = _teller(as_json)
    damaged = mended = harmless = 0
    with Counting("items looked at", check.count) as counting:
        for finding in check.run(repair=repair, tick=counting.tick):
            damaged += finding.damage
            mended += finding.mended
            harmless += not (finding.damage or finding.mended)
            tell(finding)
    if damaged:
        hint = "" if repair else "; `pq check --repair` mends what can be mended"
        raise DamageError(f"{damaged} damaged, {mended} mended, {harmless} harmless{hint}")
    warn(f"no damage; {mended} mended, {harmless} harmless leftovers")
    return 0


def _severity(finding: Finding) -> str:
    if finding.mended:
        return "mended"
    return "harmless" if KINDS[finding.kind].harmless else "damage"


def _teller(as_json: bool) -> Callable[[Finding], None]:
    """Return what prints a finding, for people or for programs."""
    if as_json:
        return lambda finding: emit_json(_record(finding))
    if not stdout_is_terminal():
        return lambda finding: emit("\t".join(_words(finding)))
    out = console("auto")
    return lambda finding: print_finding(_words(finding), out)


def _words(finding: Finding) -> list[str]:
    number = "" if finding.id is None else str(finding.id)
    words = (_severity(finding), finding.kind, number, finding.path or ".", finding.detail)
    return [printable(word) for word in words]


def _record(finding: Finding) -> dict[str, object]:
    return {
        "severity": _severity(finding),
        "kind": finding.kind,
        "id": finding.id,
        "path": finding.path,
        "detail": finding.detail,
        "finishes": KINDS[finding.kind].finishes,
    }
