"""Reading recorded values: each gives a usable value, and a warning where it gave way."""

from __future__ import annotations

from datetime import tzinfo

from pq_cli.core.jsonio import as_text
from pq_cli.core.timefmt import MAX_MICROS as MAX_US
from pq_cli.core.timefmt import MIN_MICROS as MIN_US
from pq_cli.core.timefmt import parse_micros
from pq_cli.errors import UsageError
from pq_cli.migrate.model import DEFAULT_PRIORITY, Json, LegacyState, Stamp, Warned

MAX_COUNT = 2**31 - 1


def parsed_us(text: str, tz: tzinfo | None) -> int | None:
    """Return microseconds since the epoch of a time, or None for what is none.

    Without an offset it is local in `tz` (None: this machine's zone), see `parse_micros`.
    """
    try:
        return parse_micros(text, tz)
    except UsageError:
        return None


def epoch_us(seconds: int, microseconds: int) -> int | None:
    """Return the sum in microseconds, or None if the parts are no time."""
    total = seconds * 1_000_000 + microseconds
    return total if 0 <= microseconds < 1_000_000 and MIN_US <= total <= MAX_US else None


def mtime_us(stamp: Stamp) -> int:
    """Return a file's mtime in microseconds, rounded down.

    Held to the years 1 to 9999: file systems can store times that no RFC 3339 date names.
    """
    return min(max(stamp.mtime_ns // 1000, MIN_US), MAX_US)


def recorded_us(
    meta: Json, key: str, tz: tzinfo | None, path: str, warnings: list[Warned]
) -> int | None:
    """Return a recorded time; None if missing, or not readable (with a warning)."""
    value = meta.get(key)
    found = parsed_us(value, tz) if isinstance(value, str) else None
    if found is None and value is not None:
        warnings.append(Warned(path, key, value))
    return found


def _number(
    meta: Json, key: str, low: int, high: int, path: str, warnings: list[Warned]
) -> int | None:
    """Return a recorded whole number; None if missing, or not in its bounds (with a warning)."""
    value = meta.get(key, missing := object())
    if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
        return value
    if value is not missing:
        warnings.append(Warned(path, key, value))
    return None


def priority(meta: Json, path: str, warnings: list[Warned]) -> int:
    """Return the recorded priority; the default if missing, or not 1 to 10 (with a warning)."""
    return _number(meta, "priority", 1, 10, path, warnings) or DEFAULT_PRIORITY


def attempts(meta: Json, state: LegacyState, path: str, warnings: list[Warned]) -> int:
    """Return the recorded attempts; without a usable record 1 for failed and done, else 0."""
    found = _count(meta, "attempts", 0, path, warnings)
    return int(state in ("failed", "done")) if found is None else found


def max_attempts(meta: Json, path: str, warnings: list[Warned]) -> int | None:
    """Return the recorded limit; None if missing, or not a positive number (with a warning)."""
    return _count(meta, "max_attempts", 1, path, warnings)


def _count(meta: Json, key: str, low: int, path: str, warnings: list[Warned]) -> int | None:
    known = meta.get(key) is not None  # a null says nothing
    return _number(meta, key, low, MAX_COUNT, path, warnings) if known else None


def error_text(meta: Json, key: str) -> str | None:
    """Return the recorded error; one that is not a text becomes its JSON, so nothing is lost."""
    value = meta.get(key)
    if value is None or isinstance(value, str):
        return value
    return as_text(value)
