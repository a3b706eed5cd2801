"""The table of commands. Each loads lazily: only the module of the one asked for is imported."""

from __future__ import annotations

from pq_cli.options import declared

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

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
    """Import a command's module and return the parser of its options."""
    from pq_cli.commands.typed import parser

    module = find(name)
    return parser(name, module.OPTIONS, module.command.__doc__)


def implied(name: str) -> dict[str, str]:
    """Return the options of a command that may stand without their value, and what they imply."""
    options = declared(find(name).OPTIONS).values()
    return {word: each.implied for each in options if each.implied for word in each.names}


def find(name: str) -> Any:
    """Import a command's module: it has the OPTIONS and the `command` that obeys them."""
    from importlib import import_module

    return import_module(f"pq_cli.commands.{'import_' if name == 'import' else name}")
