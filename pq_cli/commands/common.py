"""The options that the commands share, declared once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from pq_cli.commands.spools import for_each, lease_seconds, open_spool
from pq_cli.commands.typed import typed
from pq_cli.core.item import State, printable
from pq_cli.core.shellwords import as_command
from pq_cli.core.shellwords import typed as as_typed
from pq_cli.errors import UsageError
from pq_cli.options import DEFER_ON, ITEMS, LOCK_TIMEOUT, ItemOptions, declared

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "LOCK_TIMEOUT",
    "STATES_HELP",
    "ColorOption",
    "DeferOnOption",
    "ItemsArgument",
    "JsonOption",
    "LockTimeoutOption",
    "Parser",
    "PriorityOption",
    "SpoolOption",
    "check_color",
    "for_each",
    "lease_seconds",
    "open_spool",
    "states_from",
]  # fmt: skip

_SHARED = declared(ItemOptions)
SpoolOption = Annotated[str, typed(_SHARED["spool"])]
LockTimeoutOption = Annotated[str, typed(_SHARED["lock_timeout"])]
PriorityOption = Annotated[str | None, typed(_SHARED["priority"])]
DeferOnOption = Annotated[str | None, typed(DEFER_ON)]
ItemsArgument = Annotated[list[str], typed(ITEMS)]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON Lines.")]
ColorOption = Annotated[str, typer.Option("--color", metavar="WHEN", help="auto, always or never.")]


def check_color(color: str) -> None:
    """Raise UsageError unless `--color` is one of those allowed."""
    from pq_cli.render.terminal import COLORS

    if color not in COLORS:
        raise UsageError(f"--color {color!r}: allowed is {', '.join(COLORS)}")


STATES_HELP = f"Of {', '.join(State)}; may be repeated."


class Parser(TyperCommand):
    """The parser of a pq command. In a usage line operands stand as in the manual: `ITEM...`."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the pieces, without typer's braces around what is required."""
        operands = (p.metavar or "" for p in self.params if p.param_type_name == "argument")
        return [self.options_metavar or "", *operands]


class CommandAfterDashes(Parser):
    """The parser of a pq command that ends in `-- CMD...`: without the `--` nothing is run.

    Else `next --wait 3` would wait, and then run `3`.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse. Raises UsageError for words before `--` that belong to no option."""
        # From the first such word on all is the command's: its options are not taken for ours.
        ctx.allow_interspersed_args = False
        after = len(args) - args.index("--") - 1 if "--" in args else 0
        rest = super().parse_args(ctx, list(args))
        words = ctx.params.get("cmd") or []
        if len(words) > after:
            own = args[: len(args) - len(words)]
            raise UsageError(_misplaced((ctx.info_name or "").split()[-1], own, list(words)))
        return rest


def _misplaced(command: str, own: list[str], words: list[str]) -> str:
    """Return what to say of words that stand where an option should, and what to type."""
    option, equals, _ = (own or [""])[-1].partition("=")
    if words[0][:1].isdigit() and equals:
        return f"{printable(words[0], 40)!r} belongs to no option: write {option}={words[0]}"
    line = as_command([word for word in words if word != "--"])
    return (
        f"put the command after --: {printable(f'pq {as_typed([command, *own])} -- {line}', 400)}"
    )


def states_from(names: Iterable[str]) -> list[State]:
    """Return the states of `--state` options; each may hold several with commas."""
    wanted = []
    for name in (part for text in names for part in text.split(",")):
        if name not in [str(state) for state in State]:
            raise UsageError(f"--state {printable(name)!r}: allowed is {', '.join(State)}")
        wanted.append(State(name))
    return wanted
