"""`pq completion`: the completion script of a shell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from pq_cli.commands.table import COMMANDS, load
from pq_cli.core.item import printable
from pq_cli.errors import UsageError
from pq_cli.render import emit
from pq_cli.render.completion import Option, Spec, bash, fish, zsh

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_SHELLS: dict[str, Callable[[Sequence[Spec]], str]] = {"bash": bash, "zsh": zsh, "fish": fish}
_KINDS = {
    "DIR": "dirs", "SRC": "dirs", "FILE": "files", "S": "states", "WHEN": "colors", "KEY": "keys",
    "WHAT": "exists", "GLOB": "keys", "ITEM": "items", "SHELL": "shells", "CMD": "run",
}  # fmt: skip
"""What the placeholders of help texts stand for; all others have values that nobody can guess."""
_NUMBERS = {"--priority"}


def command(
    shell: Annotated[str, typer.Argument(metavar="SHELL", help="bash, zsh or fish.")],
) -> int:
    """Print the completion script of a shell.

    Packages install it; without one: `eval "$(pq completion bash)"` in ~/.bashrc, the same with
    zsh in ~/.zshrc after compinit, and `pq completion fish | source` in config.fish.
    """
    if shell not in _SHELLS:
        raise UsageError(f"no completion for {printable(shell)!r}: allowed is {', '.join(_SHELLS)}")
    emit(_SHELLS[shell]([_spec(name) for name in COMMANDS]).rstrip("\n"))
    return 0


def _spec(name: str) -> Spec:
    """Return what a command accepts, as its parser has it."""
    options: list[Option] = []
    operand = None
    for parameter in load(name).params:
        if parameter.opts[0].startswith("-"):
            options += _options(parameter)
        else:
            operand = _kind(parameter.metavar or "")
    return Spec(name=name, help=COMMANDS[name].help, options=tuple(options), operand=operand)


def _options(parameter: Any) -> list[Option]:
    """Return the option, and the one that says its contrary if there is one."""
    kind = None
    if not parameter.is_flag and not (parameter.metavar or "").startswith("[="):
        kind = _kind(parameter.metavar or "")
        if kind == "run":  # as a value it is one word of shell, not a command line
            kind = "any"
        if _NUMBERS & set(parameter.opts):
            kind = "priorities"
    text = (parameter.help or parameter.opts[0]).rstrip(".").partition(". ")[0]
    both = (parameter.opts, parameter.secondary_opts)
    return [Option(names=tuple(names), help=text, kind=kind) for names in both if names]


def _kind(metavar: str) -> str:
    return _KINDS.get(metavar.strip("[].- "), "any")
