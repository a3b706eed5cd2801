"""Times and durations as text: RFC 3339 in UTC with microseconds, `1h30m`.

Everywhere inside pq a time is a float of Unix seconds (whole microseconds) and a duration
a float of seconds; text exists only at the edges.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache

from pq_cli.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import tzinfo
    from typing import Any

_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MAX_SECONDS = 100 * 365.25 * 86400
"""The longest duration accepted, 100 years: enough for anyone, and safe in every calendar."""
_FIRST = datetime(1, 1, 2, tzinfo=UTC)
_LAST = datetime(9999, 12, 30, tzinfo=UTC)
MIN_TIME = (_FIRST - _EPOCH).total_seconds()
MAX_TIME = (_LAST - _EPOCH).total_seconds()
"""Unix seconds that every calendar can write, with a day to spare for zones and rounding."""
_MICROSECOND = timedelta(microseconds=1)
MIN_MICROS = (_FIRST - _EPOCH) // _MICROSECOND
MAX_MICROS = (_LAST - _EPOCH) // _MICROSECOND
"""The same in microseconds."""


# Remembered: one transition writes the same moment into a meta, a history and the log.
@lru_cache(maxsize=64)
def format_time(seconds: float) -> str:
    """Return Unix `seconds` as RFC 3339, UTC, with microseconds and a `Z`."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")[:-6] + "Z"


def parse_time(text: str, zone: tzinfo | None = None) -> float:
    """Return the Unix seconds of an RFC 3339 time; see `parse_micros`. Raises UsageError."""
    return parse_micros(text, zone) / 1_000_000


def time_of(value: object) -> float | None:
    """Return the Unix seconds of a time that was written down, None where there is none."""
    try:
        return parse_time(value) if isinstance(value, str) else None
    except UsageError:
        return None


def write_times(values: dict[str, Any], names: Iterable[str]) -> None:
    """Turn those of these values that are Unix seconds into text, in place; None stays."""
    for name in names:
        if values[name] is not None:
            values[name] = format_time(values[name])


def read_times(values: dict[str, Any], names: Iterable[str], of: str = "") -> None:
    """Turn the texts among these values into Unix seconds, in place; None stays.

    Raises UsageError, which says the name, and before it what it is `of`.
    """
    for name in names:
        if values[name] is not None:
            try:
                values[name] = parse_time(values[name])
            except UsageError:
                raise UsageError(f"{of}{name} is not a time") from None


def parse_micros(text: str, zone: tzinfo | None = None) -> int:
    """Return the whole microseconds since 1970 of an RFC 3339 time.

    Without an offset it is local time in `zone` (None: this machine's): of an hour that passes
    twice the first, and one that is skipped is read with the offset before the change. A second 60
    has the number of the one after it, as in Unix time.
    Raises UsageError when the text is not a time that `format_time` can write again.
    """
    try:
        micros = _read(text, zone)
    except (ValueError, OverflowError, OSError):
        micros = None
    if micros is None or not MIN_MICROS <= micros <= MAX_MICROS:
        raise UsageError(f"{text!r} is not a time; give e.g. 2026-02-24T18:30:00Z")
    return micros


def _micros(moment: datetime, zone: tzinfo | None) -> int:
    if moment.tzinfo is None and zone is None:
        # Not `astimezone`: of a skipped hour it takes the offset after the change.
        whole = int(moment.replace(fold=0, microsecond=0).timestamp())
        return whole * 1_000_000 + moment.microsecond
    if moment.tzinfo is None:
        moment = moment.replace(fold=0, tzinfo=zone)
    return (moment - _EPOCH) // _MICROSECOND


def _read(text: str, zone: tzinfo | None) -> int | None:
    """Return a time, also with what `fromisoformat` does not know: a small z, a leap second.

    A second 60 ends a month in UTC; elsewhere there is none. None or ValueError where it is no
    time.
    """
    if text[-1:] == "z":
        text = text[:-1] + "Z"
    if text[16:19] != ":60":
        return _micros(datetime.fromisoformat(text), zone)
    micros = _micros(datetime.fromisoformat(f"{text[:16]}:59{text[19:]}"), zone) + 1_000_000
    after = _EPOCH + timedelta(microseconds=micros)
    first = (after.day, after.hour, after.minute, after.second) == (1, 0, 0, 0)
    return micros if first else None


def parse_duration(text: str) -> float:
    """Return the seconds of `90`, `90s`, `5m`, `1h30m`, `2d` or `1w`.

    Raises UsageError for anything else, negative ones and more than 100 years included.
    """
    # By hand: compiling a pattern would cost every command two milliseconds.
    seconds, number, units = 0.0, "", 0
    for char in text.strip():
        if char in _UNIT_SECONDS and _is_number(number):
            seconds += float(number) * _UNIT_SECONDS[char]
            number, units = "", units + 1
        else:
            number += char
    if number or not units:
        if units or not _is_number(number):
            raise UsageError(f"{text!r} is not a duration; give e.g. 90, 90s, 5m, 1h30m, 2d")
        seconds = float(number)
    if seconds > MAX_SECONDS:
        raise UsageError(f"{text!r} is longer than 100 years")
    return seconds


def _is_number(text: str) -> bool:
    whole, dot, fraction = text.partition(".")
    digits = whole + fraction
    return digits.isascii() and digits.isdigit() and bool(whole) and bool(fraction or not dot)


def format_duration(seconds: float) -> str:
    """Return a duration in its two largest units, `1h30m`; below a second `0.3s`."""
    if seconds < 0:
        return "-" + format_duration(-seconds)
    if 0 < seconds < 1:
        return f"{seconds:.1f}s"
    left = int(seconds)
    parts = []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
        elif parts:
            break
    return "".join(parts[:2]) or "0s"
