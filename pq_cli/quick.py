"""The quick way to the three commands that scripts run a million times a day.

typer is most of pq's start-up time. The plain forms of `enqueue`, `next` and `done` are parsed
here, by the few rules of option parsing that need no help text; whatever is not certainly plain
(an unknown option, a missing value, `--`, `--help`) goes the full way. A property test holds
both ways to the same options, and behind them runs the same code.
"""

from __future__ import annotations

from pq_cli.core.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any


class Plain(Record):
    """A command's plain grammar: option -> field, for options with a value and for flags.

    operands: the field of the operands. needs: whether there must be one.
    """

    values: dict[str, str]
    flags: dict[str, str]
    operands: str
    needs: bool = False


_COMMON = {"-s": "spool", "--spool": "spool", "--lock-timeout": "lock_timeout"}
PLAIN = {
    "enqueue": Plain(
        values=_COMMON
        | {"-p": "priority", "--priority": "priority", "--key": "key", "--name": "name"}
        | {"--delay": "delay", "--at": "at", "--if-exists": "if_exists"}
        | {"--max-attempts": "max_attempts"},
        flags={"--lines": "lines", "-0": "null", "--null": "null", "--jsonl": "jsonl"}
        | {"--move": "move"},
        operands="files",
    ),
    "next": Plain(
        values=_COMMON | {"--lease": "lease"},
        flags={
            "--claim": "claim",
            "--path": "path",
            "--json": "as_json",
            "--ack": "ack",
            "--raw": "raw",
        },
        operands="",
    ),
    "done": Plain(values=_COMMON, flags={}, operands="items", needs=True),
}


def parse(plain: Plain, arguments: Sequence[str]) -> dict[str, Any] | None:
    """Return the fields that the arguments set, or None when they are not certainly plain."""
    fields: dict[str, Any] = {}
    operands: list[str] = []
    rest = iter(arguments)
    for word in rest:
        if not word.startswith("-") or word == "-":
            operands.append(word)
        elif word in plain.flags:
            fields[plain.flags[word]] = True
        elif word in plain.values:
            value = next(rest, "-")
            if value.startswith("-"):
                return None
            fields[plain.values[word]] = value
        elif word.startswith("--") and word.partition("=")[0] in plain.values:
            option, _, value = word.partition("=")
            fields[plain.values[option]] = value
        else:
            return None
    if (operands and not plain.operands) or (plain.needs and not operands):
        return None
    if operands:
        fields[plain.operands] = tuple(operands)
    return fields


def plan(
    name: str, arguments: Sequence[str], environ: Mapping[str, str], default_spool: str
) -> tuple[Callable[[Any], int], Record] | None:
    """Return (action, options) of a plain command line, or None: go the full way."""
    plain = PLAIN.get(name)
    fields = None if plain is None else parse(plain, arguments)
    if fields is None:
        return None
    fields.setdefault("spool", environ.get("PQ_SPOOL") or default_spool)
    if name == "enqueue":
        from pq_cli.actions.enqueue import EnqueueOptions, enqueue

        return enqueue, EnqueueOptions(**fields)
    if name == "next":
        from pq_cli.actions.next import NextOptions, next_item

        return next_item, NextOptions(**fields)
    from pq_cli.actions.done import DoneOptions, done

    return done, DoneOptions(**fields)
