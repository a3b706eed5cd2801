"""What a bare `pq` and `pq help` print, and what is said to a command that does not exist."""

from __future__ import annotations

from pq_cli.commands.table import COMMANDS


def short_help() -> str:
    """Return what a bare `pq` prints: what it is, the commands that matter, where to go on."""
    lines = ["pq: a priority queue in a directory.  Usage: pq COMMAND [OPTIONS]", ""]
    lines += [f"  {c.name:<12}{c.help}" for c in COMMANDS.values() if c.main]
    lines += ["", "  producer | pq enqueue -p 2        pq next -- ./upload", ""]
    lines += ["`pq help` lists all commands, `pq help COMMAND` explains one."]
    return "\n".join(lines)


def full_help() -> str:
    """Return the list of all commands."""
    lines = ["Usage: pq COMMAND [OPTIONS] [ARGUMENTS]"]
    for command in COMMANDS.values():
        lines += ["", f"{command.group}:"] if command.group else []
        lines.append(f"  {command.name:<12}{command.help}")
    lines += [
        "",
        "Every command takes -s/--spool DIR, also before its name; else the spool is $PQ_SPOOL,",
        "else ${XDG_STATE_HOME:-~/.local/state}/pq/default.",
        "`pq help COMMAND` explains one command, `man pq-COMMAND` all of it; pq(1) is the manual.",
        "`pq --version` tells the version.",
    ]
    return "\n".join(lines)


def unknown(name: str) -> str:
    """Return what is wrong with the name of a command, and what may have been meant."""
    from difflib import get_close_matches

    if name.startswith("-"):
        return f"no such option before a command: {name}; `pq help` tells what there is"
    near = get_close_matches(name, COMMANDS, n=1, cutoff=0.5)
    hint = f"did you mean `pq {near[0]}`?" if near else "`pq help` lists them"
    return f"there is no command {name!r}; {hint}"
