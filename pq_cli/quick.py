"""The quick way to the three commands that scripts run a million times a day.

typer is most of pq's start-up time. The plain forms of `enqueue`, `next` and `done` are parsed
here, from the options that they declare, by the few rules of option parsing that need no help
text; whatever is not certainly plain (an unknown option, a missing value, `--`, `--help`) goes
the full way. A property test holds both ways to the same options; behind them runs the same code.
"""

from __future__ import annotations

from pq_cli.options import declared, options_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from pq_cli.options import Option, Options
    from pq_cli.screen import Screen


def parse(options: type[Options], arguments: Sequence[str]) -> dict[str, Any] | None:
    """Return the fields that the arguments set, or None when they are not certainly plain."""
    words = grammar(options)
    fields: dict[str, Any] = {}
    rest = iter(arguments)
    for word in rest:
        name, glued, value = word.partition("=")
        if not word.startswith("-") or word == "-":
            name, value = "", word
        elif not (glued and name.startswith("--")):
            name, glued = word, ""
        if name not in words:
            return None
        field, option = words[name]
        if name and not option.metavar:
            if glued:
                return None
            fields[field] = True
            continue
        if name and not glued:
            value = next(rest, "-")
            if value.startswith("-"):
                return None
        fields[field] = (*fields.get(field, ()), value) if option.many else value
    if "" in words and words[""][1].needs and words[""][0] not in fields:
        return None
    return fields


def grammar(options: type[Options]) -> dict[str, tuple[str, Option]]:
    """Return what may stand in a plain command line: word -> field and option; "": an operand."""
    words: dict[str, tuple[str, Option]] = {}
    for field, option in declared(options).items():
        if field != "cmd" and not option.implied:
            words |= dict.fromkeys(option.names or ("",), (field, option))
    return words


def plan(
    name: str, arguments: Sequence[str], environ: Mapping[str, str], default_spool: str
) -> tuple[Callable[[Any, Screen], int], Options] | None:
    """Return (command, options) of a plain command line, or None: go the full way.

    Raises UsageError for a value that is not acceptable.
    """
    found = _command(name)
    fields = None if found is None else parse(found[1], arguments)
    if found is None or fields is None:
        return None
    command, options = found
    fields.setdefault("spool", environ.get("PQ_SPOOL") or default_spool)
    return command, options.of_words(fields)


def _command(name: str) -> tuple[Callable[[Any, Screen], int], type[Options]] | None:
    """Return the function and the declared options of a command that has a plain form."""
    module: Any
    if name == "enqueue":
        from pq_cli.commands import enqueue as module
    elif name == "next":
        from pq_cli.commands import next as module
    elif name == "done":
        from pq_cli.commands import done as module
    else:
        return None
    return module.command, options_of(module.command)
