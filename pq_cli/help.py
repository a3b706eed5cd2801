"""What a bare `pq` and `pq help` print, and what is said to a command that does not exist."""

from __future__ import annotations

from textwrap import wrap

from pq_cli.commands.table import COMMANDS, GROUPS, MAIN
from pq_cli.render.terminal import stdout_width

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def short_help() -> str:
    """Return what a bare `pq` prints: what it is, the commands that matter, where to go on."""
    lines = ["pq: a priority queue in a directory.  Usage: pq COMMAND [OPTIONS]", ""]
    lines += map(_row, MAIN)
    lines += ["", "  producer | pq enqueue -p 2        pq next -- ./upload", ""]
    lines += ["`pq help` lists all commands, `pq help COMMAND` explains one."]
    return _fitted(lines)


def full_help() -> str:
    """Return the list of all commands."""
    lines = ["Usage: pq COMMAND [OPTIONS] [ARGUMENTS]"]
    for title, names in GROUPS.items():
        lines += ["", f"{title}:", *map(_row, names)]
    lines += [
        "",
        "Every command takes -s/--spool DIR, also before its name; else the spool is",
        "$PQ_SPOOL, else ${XDG_STATE_HOME:-~/.local/state}/pq/default.",
        "`pq help COMMAND` explains one command, `man pq-COMMAND` all of it; pq(1) is",
        "the manual. `pq --version` tells the version.",
    ]
    return _fitted(lines)


_INDENT = 14


def _row(name: str) -> str:
    return f"  {name:<{_INDENT - 2}}{COMMANDS[name]}"


def _fitted(lines: Iterable[str]) -> str:
    """Return lines as text that fits the terminal, if there is one: rows go on in their column."""
    width = stdout_width()
    fitted: list[str] = []
    for line in lines:
        indent = " " * _INDENT if line.startswith("  ") else ""
        fitted += wrap(line, max(24, width), subsequent_indent=indent) if width and line else [line]
    return "\n".join(fitted)


MEANT = {
    "enqueue": "add push put insert append queue schedule at",
    "next": "pop get take claim pull shift dequeue fetch reserve receive",
    "run": "work worker exec consume process",
    "done": "ack finish complete",
    "fail": "nack reject",
    "renew": "extend touch heartbeat",
    "ls": "list jobs items queued pending",
    "ls --watch": "watch",
    "ls --state active": "active running ps top",
    "ls --state failed": "dlq dead failed deadletters",
    "show": "info inspect describe",
    "retry": "unhold requeue redo unfreeze kick",
    "hold": "freeze suspend",
    "set": "reprioritize priority defer delay",
    "rm": "del delete remove",
    "undo": "restore undelete unrm",
    "resume": "unpause continue",
    "stats": "status stat size count length len",
    "explain": "why",
    "log": "logs history events tail",
    "check": "fsck verify repair",
    "export": "dump backup",
    "import": "load",
    "init": "create new",
}
"""What to type -> the words by which other queues and tools call it. None of what stops, clears or
kills stands here: what is meant by that nobody can know."""
_LEAST = 3
"""Letters that a word has at least for its spelling to tell anything."""


def unknown(name: str) -> str:
    """Return what is wrong with the name of a command, and what may have been meant."""
    if name.startswith("-"):
        return f"no such option before a command: {name}; `pq help` tells what there is"
    meant = next((typed for typed, words in MEANT.items() if name in words.split()), None)
    meant = meant or near(name, COMMANDS)
    hint = f"did you mean `pq {meant}`?" if meant else "`pq help` lists them"
    return f"there is no command {name!r}; {hint}"


def unknown_option(option: str, known: Iterable[str], command: str) -> str:
    """Return what is wrong with an option of a command, and what may have been meant."""
    meant = near(option, [word for word in known if word.startswith("--")])
    hint = (
        f"did you mean `pq {command} {meant}`?"
        if meant
        else f"`pq help {command}` tells what there is"
    )
    return f"No such option: {option}; {hint}"


def near(word: str, known: Iterable[str]) -> str | None:
    """Return the one known word that `word` is the beginning of, or but one slip away from.

    None where there is none, or more than one: a wrong guess does more harm than no guess.
    """
    if len(word.strip("-")) < _LEAST:
        return None
    found = [other for other in known if other.startswith(word) or _one_slip(word, other)]
    return found[0] if len(found) == 1 else None


def _one_slip(a: str, b: str) -> bool:
    """Tell whether one letter is wrong, missing or too many, or two stand in each other's place."""
    same = next((n for n, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), None)
    if same is None:
        return abs(len(a) - len(b)) <= 1
    a, b = a[same:], b[same:]
    swapped = a[1::-1] == b[:2] and a[2:] == b[2:]
    return swapped or a[1:] == b[1:] or a[1:] == b or a == b[1:]
