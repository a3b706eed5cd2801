"""The policy as a text that people read and write: that of a queue.toml. Pure."""

from __future__ import annotations

import re

from pq_cli.core.item import printable, valid_limit
from pq_cli.core.policy import DURATIONS, QueueConfig, config_from
from pq_cli.core.timefmt import format_duration, parse_duration
from pq_cli.errors import ConfigError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any


def parse_policy(text: str, where: str) -> QueueConfig:
    """Return the policy that a text says; `where` names it in errors. Raises ConfigError."""
    if not text:
        return QueueConfig()
    import tomllib  # costs start-up, and most queues have the defaults

    try:
        values = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{where}: {printable(str(error))}") from None
    return config_from(values, where)


def policy_lines(config: QueueConfig) -> Iterator[tuple[str, str]]:
    """Yield each field of a policy and its value, as the text has it."""
    for name, value in config.__dict__.items():
        if name == "limits" and value:
            yield from ((f"limits.{_key(limit)}", str(most)) for limit, most in value.items())
            continue
        if name in DURATIONS and parse_duration(format_duration(value)) == value:
            value = format_duration(value)
        yield name, _toml(value)


def changed_policy(text: str, settings: Mapping[str, str], where: str) -> str:
    """Return the text with these fields set, and everything else in it as it was.

    Values are TOML, or words that need no quotes (`5m`, `live`). A field `limits.NAME` is a line of
    [limits]. Raises UsageError for what is no field, or has no such value; ConfigError for a text
    that was wrong before.
    """
    limits = dict(parse_policy(text, where).limits)
    lines, known = text.splitlines(), QueueConfig.FIELDS
    for name, value in settings.items():
        table, dot, limit = name.partition(".")
        if dot and table == "limits":
            limits[valid_limit(limit)] = _value(value)
            _set_limit(lines, limit, limits)
            continue
        if name not in known:
            raise UsageError(f"unknown key '{printable(name)}'; known are: {', '.join(known)}")
        if name == "limits":
            raise UsageError("limits: set one by its name: limits.NAME=N")
        root = _root(lines)
        place = _find(lines[:root], rf"\s*{name}\s*=", rf"\s*#\s*{name}\s*=")  # or commented out
        _put(lines, place, root, f"{name} = {_toml(_value(value))}")
    after = "".join(line + "\n" for line in lines)
    try:
        parse_policy(after, "policy")
    except ConfigError as error:
        raise UsageError(str(error).removeprefix("policy: ")) from None
    return after


def _find(lines: list[str], *patterns: str) -> int | None:
    """Return the first line that the first pattern fits, or else the next; None: none does."""
    found = (n for each in patterns for n, line in enumerate(lines) if re.match(each, line))
    return next(found, None)


def _root(lines: list[str]) -> int:
    """Return how many lines come before the next header of a table."""
    header = _find(lines, r"\s*\[+\s*[\w\"'.-]+\s*\]+\s*(#.*)?$")
    return len(lines) if header is None else header


def _put(lines: list[str], place: int | None, end: int, line: str) -> None:
    """Let a line stand at its place, or at the end where it has none."""
    lines[slice(end, end) if place is None else slice(place, place + 1)] = [line]


def _set_limit(lines: list[str], limit: str, limits: Mapping[str, Any]) -> None:
    """Set a limit in the way in which the lines say the others; `limits` are all of them."""
    line, stem, root = f"{_key(limit)} = {_toml(limits[limit])}", r"\s*", _root(lines)
    header = _find(lines, r"\s*\[limits\]")
    whole = _find(lines[:root], r"\s*limits\s*=")
    dotted = [n for n in range(root) if re.match(r"\s*limits\s*\.", lines[n])]
    if header is not None:
        first = header + 1
        end = first + _root(lines[first:])
        while end > first and not lines[end - 1].strip():
            end -= 1
    elif whole is not None:
        pairs = ", ".join(f"{_key(name)} = {_toml(most)}" for name, most in limits.items())
        lines[whole] = f"limits = {{ {pairs} }}"
        return
    elif dotted:
        first, end = dotted[0], dotted[-1] + 1
        line, stem = f"limits.{line}", r"\s*limits\s*\.\s*"
    else:
        lines += ([""] if lines and lines[-1] else []) + ["[limits]", line]
        return
    place = _find(lines[first:end], rf"{stem}[\"']?{re.escape(limit)}[\"']?\s*=")
    _put(lines, None if place is None else first + place, end, line)


def _key(limit: str) -> str:
    """Return the name of a limit as TOML has it: a dot would make a table of it."""
    return f'"{limit}"' if "." in limit else limit


def _value(text: str) -> Any:
    import tomllib

    try:
        values = tomllib.loads(f"x = {text}")
    except (tomllib.TOMLDecodeError, RecursionError):
        return text
    return values["x"] if len(values) == 1 else text


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, str):
        plain = (c if c.isprintable() and c not in '"\\' else _escaped(c) for c in value)
        return f'"{"".join(plain)}"'
    return repr(value)


def _escaped(char: str) -> str:
    return f"\\{char}" if char in '"\\' else f"\\U{ord(char):08x}"


CONFIG_TEMPLATE = """\
# The policy of this queue. Every line below is the default; uncomment to change.
# Durations: "90s", "5m", "1h30m", "2d". pq-queue.toml(5) explains each field.

# false serves plain first in, first out, whatever the priorities.
#enable_priority = true
#default_priority = 5

# Waiting items gain aging_boost for every threshold they have waited, at most
# max_priority_boost. With 9, no item can starve.
#enable_aging = true
#aging_threshold_seconds = 300
#aging_boost = 1
#max_priority_boost = 4
# "manual" ages only when `pq age` is run.
#aging_clock = "live"

# A failed attempt is retried after backoff * backoff_factor ** (attempts - 1).
#max_attempts = 3
#backoff = "30s"
#backoff_factor = 2.0
#max_backoff = "1h"

# Exit statuses of a command that mean "later, uncounted", besides 75 and 111.
# For curl: [6, 7, 22, 28].
#defer_on = []

# How long a claim holds without being renewed.
#lease = "5m"

# The most live items (0: no limit); above it enqueue exits 75.
#max_items = 0

# How long a file in new/ must rest where nothing else shows that it is whole.
#drop_settle = "2s"

# "fast" leaves out the syncs: a crash of the machine may lose the last seconds.
#durability = "full"

# How long `pq purge` spares ended items. keep_done = "0s" removes them at once, and with them
# what `pq run --log` kept.
#keep_done = "0s"
#keep_failed = "30d"

# How long `pq undo` can bring back what `rm` or `purge` removed.
#keep_removed = "1d"

# How many items of a limit (`pq enqueue --limit NAME`) may be at work at once: a line each, as
# api = 3; of others it is 1. What stands in this table is read anew whenever it has changed.
#[limits]
"""
"""The queue.toml that `pq init` writes: every field, its default, and what it means."""
