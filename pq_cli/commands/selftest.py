"""`pq selftest`: the promises, tried on the user's own file system."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pq_cli.backends import folder
from pq_cli.core.item import printable
from pq_cli.errors import CannotCreateError, DamageError
from pq_cli.options import AS_JSON, Declared, option
from pq_cli.render.present import present
from pq_cli.render.sheet import promise_sheet
from pq_cli.screen import Screen
from pq_cli.selftest import run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pq_cli.selftest import Result


class SelftestOptions(Declared):
    """The command line of `pq selftest`, as typed."""

    folder: str = option("[DIR]", "A folder of that file system.", default=".")
    as_json: bool = AS_JSON


def command(o: SelftestOptions, screen: Screen) -> int:
    """Try pq's promises in DIR (default: here): lock, syncs, contention, death at each step.

    Works in a folder of its own there and removes it. Exit 5 when a promise does not hold on this
    file system. Power loss cannot be tried by a program: pq-spool(5), ASSUMPTIONS.
    """
    folder(o.folder, "selftest")  # no URL
    if not os.path.isdir(o.folder):
        raise CannotCreateError(
            f"{printable(o.folder)} is not a directory; `pq selftest DIR` tries one"
        )
    broken = []

    def results() -> Iterator[Result]:
        for result in run(o.folder):
            yield result
            screen.flush()
            if not result.held:
                broken.append(result.name)

    present(results(), screen, as_json=o.as_json, record=_record, line=_line, table=promise_sheet)
    if broken:
        names = ", ".join(broken)
        raise DamageError(f"not kept on this file system: {names}; `man pq-spool` says why")
    return 0


def _record(result: Result) -> dict[str, object]:
    return {"name": result.name, "held": result.held, "detail": result.detail}


def _line(result: Result) -> str:
    return f"{result.name}\t{'holds' if result.held else 'BROKEN'}\t{printable(result.detail)}"
