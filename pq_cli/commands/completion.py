"""`pq completion`: the completion script of a shell."""

from __future__ import annotations

from importlib.resources import files
from typing import Annotated

import typer

from pq_cli.core.item import printable
from pq_cli.errors import UsageError
from pq_cli.render import emit

SHELLS = {"bash": "pq.bash", "zsh": "_pq", "fish": "pq.fish"}
"""The shells, and the file of each in pq_cli/completions, from where packages install it."""


def command(
    shell: Annotated[str, typer.Argument(metavar="SHELL", help="bash, zsh or fish.")],
) -> int:
    """Print the completion script of a shell.

    Packages install it; without one: `eval "$(pq completion bash)"` in ~/.bashrc, the same with
    zsh in ~/.zshrc after compinit, and `pq completion fish | source` in config.fish.
    """
    if shell not in SHELLS:
        raise UsageError(f"no completion for {printable(shell)!r}: allowed is {', '.join(SHELLS)}")
    script = files("pq_cli").joinpath("completions", SHELLS[shell])  # in a zip, too
    emit(script.read_text(encoding="utf-8").rstrip("\n"))
    return 0
