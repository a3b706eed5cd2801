"""`pq selftest`: the promises, tried on the user's own file system."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from pq_cli.commands.common import JsonOption
from pq_cli.core.item import printable
from pq_cli.errors import CannotCreateError, DamageError
from pq_cli.render import emit, emit_json, flush, stdout_is_terminal
from pq_cli.render.sheet import print_promise
from pq_cli.render.terminal import console
from pq_cli.selftest import run


def command(
    folder: Annotated[
        str, typer.Argument(metavar="[DIR]", help="A folder of that file system.")
    ] = ".",
    as_json: JsonOption = False,
) -> int:
    """Try pq's promises in DIR (default: here): lock, syncs, contention, death at each step.

    Works in a folder of its own there and removes it. Exit 5 when a promise does not hold on this
    file system. Power loss cannot be tried by a program: pq-spool(5), ASSUMPTIONS.
    """
    if not os.path.isdir(folder):
        raise CannotCreateError(f"{printable(folder)} is not a directory")
    broken = []
    out = console("auto") if stdout_is_terminal() else None
    for result in run(folder):
        if as_json:
            emit_json({"name": result.name, "held": result.held, "detail": result.detail})
        elif out is not None:
            print_promise(result.name, result.held, result.detail, out)
        else:
            word = "holds" if result.held else "BROKEN"
            emit(f"{result.name}\t{word}\t{printable(result.detail)}")
        flush()
        if not result.held:
            broken.append(result.name)
    if broken:
        raise DamageError(f"not kept on this file system: {', '.join(broken)}")
    return 0
