"""The table of commands. Each loads lazily: only the module of the one asked for is imported."""

from __future__ import annotations

from pq_cli.core.record import Record
from pq_cli.options import declared

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Command(Record):
    """One row of the command table.

    main: shown by a bare `pq`. module: if not called as it is. group: the title under which this
    row and those below it stand in `pq help`.
    """

    name: str
    help: str
    main: bool = False
    module: str = ""
    group: str = ""


COMMANDS = {
    command.name: command
    for command in (
        Command(
            name="enqueue",
            group="Work goes in, and out",
            help="add stdin or files to the queue; print their ids",
            main=True,
        ),
        Command(name="next", help="claim the next item: print it, or run a command", main=True),
        Command(name="run", help="run a command on every item, several at once", main=True),
        Command(name="submit", help="run a command on stdin now; queue it if that fails"),
        Command(name="done", help="finish claimed items"),
        Command(name="fail", help="a claimed item failed: retry later, or dead letter"),
        Command(name="release", help="give claimed items back, uncounted"),
        Command(name="renew", help="prolong the lease of claimed items"),
        Command(
            name="ls",
            group="What is there",
            help="list the items in the order they would be served",
            main=True,
        ),
        Command(name="show", help="show all about an item"),
        Command(name="wait", help="wait until items have ended, or all work is done"),
        Command(name="cat", help="print an item's payload, without claiming it"),
        Command(
            name="retry",
            group="Changing it",
            help="send failed, held or delayed items back to pending",
            main=True,
        ),
        Command(name="age", help="report what has aged; move the manual aging clock"),
        Command(name="set", help="change what was said of items when they were enqueued"),
        Command(name="hold", help="suspend items until they are retried"),
        Command(name="cancel", help="stop the work on items; let them fail"),
        Command(name="rm", help="remove items"),
        Command(name="purge", help="sweep old items by state and age"),
        Command(name="undo", help="bring back what rm or purge removed"),
        Command(name="pause", help="let nothing be claimed until `pq resume`"),
        Command(name="resume", help="let items be claimed again"),
        Command(
            name="stats",
            group="What is going on, and why",
            help="the shape of the queue: lanes by age, waiting times",
        ),
        Command(name="workers", help="who is at work, and on what"),
        Command(name="explain", help="why an item stands where it stands"),
        Command(name="log", help="what happened lately"),
        Command(
            name="check", group="The spool itself", help="look for damage in the spool, and mend it"
        ),
        Command(name="selftest", help="try pq's promises on a file system of yours"),
        Command(name="migrate", help="import an older or foreign queue"),
        Command(name="doctor", help="versions, spool, permissions: for a bug report"),
        Command(name="completion", help="print the completion script of a shell"),
        Command(name="export", help="write items as a stream, for a backup or another spool"),
        Command(name="import", help="let the items of such a stream enter", module="import_"),
        Command(
            name="init", help="make a spool with a commented queue.toml, or a database's tables"
        ),
        Command(name="config", help="show, set or edit the policy of the queue"),
    )
}


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

    return import_module(f"pq_cli.commands.{COMMANDS[name].module or name}")
