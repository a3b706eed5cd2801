"""The policy as a text that people read and write: that of a queue.toml. Pure."""

from __future__ import annotations

import re

from pq_cli.core.item import printable
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
        if name in DURATIONS and parse_duration(format_duration(value)) == value:
            value = format_duration(value)
        yield name, _toml(value)


def changed_policy(text: str, settings: Mapping[str, str], where: str) -> str:
    """Return the text with these fields set, and everything else in it as it was.

    Values are TOML, or words that need no quotes (`5m`, `live`). Raises UsageError for what is no
    field, or has no such value; ConfigError for a text that was wrong before.
    """
    lines, known = text.splitlines(), QueueConfig().__dict__
    for name, value in settings.items():
        if name not in known:
            raise UsageError(f"unknown key '{printable(name)}'; known are: {', '.join(known)}")
        line = f"{name} = {_toml(_value(name, value))}"
        place = _place(lines, name)
        if place is None:
            lines.append(line)
        else:
            lines[place] = line
    after = "".join(line + "\n" for line in lines)
    parse_policy(text, where)
    try:
        parse_policy(after, "policy")
    except ConfigError as error:
        raise UsageError(str(error).removeprefix("policy: ")) from None
    return after


def _place(lines: list[str], name: str) -> int | None:
    """Return the line that sets a field; or else the one in which it is commented out."""
    for pattern in (rf"\s*{name}\s*=", rf"\s*#\s*{name}\s*="):
        for place, line in enumerate(lines):
            if re.match(pattern, line):
                return place
    return None


def _value(name: str, text: str) -> Any:
    import tomllib

    try:
        values = tomllib.loads(f"x = {text}")
    except (tomllib.TOMLDecodeError, RecursionError):
        return text
    return values["x"] if len(values) == 1 else text


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, str):
        plain = (c if c.isprintable() and c not in '"\\' else _escaped(c) for c in value)
        return f'"{"".join(plain)}"'
    return repr(value)


def _escaped(char: str) -> str:
    return f"\\{char}" if char in '"\\' else f"\\U{ord(char):08x}"
