"""The table of commands. Each loads lazily: only the module of the one asked for is imported."""

from __future__ import annotations

from pq_cli.options import declared, options_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pq_cli.options import Option
    from pq_cli.screen import Screen

GROUPS = {
    "Work goes in, and out": {
        "enqueue": "add stdin or files to the queue; print their ids",
        "next": "claim the next item: print it, or run a command",
        "run": "run a command on every item, several at once",
        "submit": "run a command on stdin now; queue it if that fails",
        "done": "finish claimed items",
        "fail": "a claimed item failed: retry later, or dead letter",
        "release": "give claimed items back, uncounted",
        "renew": "prolong the lease of claimed items",
    },
    "What is there": {
        "ls": "list the items in the order they would be served",
        "show": "show all about an item",
        "wait": "wait until items have ended, or all work is done",
        "cat": "print an item's payload, without claiming it",
    },
    "Changing it": {
        "retry": "send failed, held or delayed items back to pending",
        "age": "report what has aged; move the manual aging clock",
        "set": "change what was said of items when they were enqueued",
        "hold": "suspend items until they are retried",
        "cancel": "stop the work on items; let them fail",
        "rm": "remove items",
        "purge": "sweep old items by state and age",
        "undo": "bring back what rm or purge removed",
        "pause": "let nothing be claimed until `pq resume`",
        "resume": "let items be claimed again",
    },
    "What is going on, and why": {
        "stats": "the shape of the queue: lanes by age, waiting times",
        "workers": "who is at work, and on what",
        "explain": "why an item stands where it stands",
        "log": "what happened lately",
    },
    "The spool itself": {
        "check": "look for damage in the spool, and mend it",
        "selftest": "try pq's promises on a file system of yours",
        "migrate": "import an older or foreign queue",
        "doctor": "versions, spool, permissions: for a bug report",
        "completion": "print the completion script of a shell",
        "export": "write items as a stream, for a backup or another spool",
        "import": "let the items of such a stream enter",
        "init": "make a spool with a commented queue.toml, or a database's tables",
        "config": "show, set or edit the policy of the queue",
    },
}
"""Titles in `pq help` -> the commands below them -> what each does."""
COMMANDS = {name: does for rows in GROUPS.values() for name, does in rows.items()}
MAIN = ("enqueue", "next", "run", "ls", "retry")
"""Those that a bare `pq` tells of."""


def load(name: str) -> Any:
    """Return the parser of a command's options."""
    from pq_cli.commands.typed import parser

    return parser(name, find(name))


def options(name: str) -> dict[str, Option]:
    """Return the options of a command by field, in the order of its help."""
    return declared(options_of(find(name)))


def find(name: str) -> Callable[[Any, Screen], int]:
    """Import a command's module; return the `command` that obeys the options it takes."""
    from importlib import import_module

    module: Any = import_module(f"pq_cli.commands.{'import_' if name == 'import' else name}")
    return module.command  # type: ignore[no-any-return]
