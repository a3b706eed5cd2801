"""The options that the commands share, declared once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pq_cli.actions.spools import LOCK_TIMEOUT, for_each, lease_seconds, open_spool, reference
from pq_cli.core.item import State, printable
from pq_cli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "LOCK_TIMEOUT", "ColorOption", "ItemsArgument", "JsonOption", "LockTimeoutOption",
    "PriorityOption", "SpoolOption", "check_color", "for_each", "lease_seconds", "open_spool",
    "reference", "states_from",
]  # fmt: skip

SpoolOption = Annotated[
    str,
    typer.Option("--spool", "-s", metavar="DIR", envvar="PQ_SPOOL", help="The spool directory."),
]
LockTimeoutOption = Annotated[
    str,
    typer.Option("--lock-timeout", metavar="D", help="Give up (exit 75) if the lock takes longer."),
]
PriorityOption = Annotated[
    str | None,
    typer.Option("--priority", "-p", metavar="N", help="1 (most urgent) to 10."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON Lines.")]
ColorOption = Annotated[str, typer.Option("--color", metavar="WHEN", help="auto, always or never.")]
ItemsArgument = Annotated[
    list[str],
    typer.Argument(metavar="ITEM...", help="An id, a claim, or a path; - reads them from stdin."),
]


def check_color(color: str) -> None:
    """Raise UsageError unless `--color` is one of those allowed."""
    from pq_cli.render.terminal import COLORS

    if color not in COLORS:
        raise UsageError(f"--color {color!r}: allowed is {', '.join(COLORS)}")


def states_from(names: Iterable[str]) -> list[State]:
    """Return the states of `--state` options; each may hold several with commas."""
    wanted = []
    for name in (part for text in names for part in text.split(",")):
        if name not in [str(state) for state in State]:
            raise UsageError(f"--state {printable(name)!r}: allowed is {', '.join(State)}")
        wanted.append(State(name))
    return wanted
