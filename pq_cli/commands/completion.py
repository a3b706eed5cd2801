"""`pq completion`: the completion script of a shell."""

from __future__ import annotations

from importlib.resources import files

from pq_cli.core.item import printable
from pq_cli.errors import UsageError
from pq_cli.options import Declared, option
from pq_cli.screen import Screen

SHELLS = {"bash": "pq.bash", "zsh": "_pq", "fish": "pq.fish"}
"""The shells, and the file of each in pq_cli/completions, from where packages install it."""


class CompletionOptions(Declared):
    """The command line of `pq completion`, as typed."""

    shell: str = option("SHELL", "bash, zsh or fish.", needs=True)


def command(o: CompletionOptions, screen: Screen) -> int:
    """Print the completion script of a shell.

    Packages install it; without one: `eval "$(pq completion bash)"` in ~/.bashrc, the same with
    zsh in ~/.zshrc after compinit, and `pq completion fish | source` in config.fish.
    """
    if o.shell not in SHELLS:
        allowed = ", ".join(SHELLS)
        raise UsageError(f"no completion for {printable(o.shell)!r}: allowed is {allowed}")
    script = files("pq_cli").joinpath("completions", SHELLS[o.shell])  # in a zip, too
    screen.emit(script.read_text(encoding="utf-8").rstrip("\n"))
    return 0
