"""The policy: configuration, backoff, and what a queue remembers beside its items. Pure."""

from __future__ import annotations

from pq_cli.core.item import valid_limit
from pq_cli.core.record import Record
from pq_cli.core.timefmt import parse_duration
from pq_cli.errors import ConfigError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


class QueueConfig(Record):
    """The policy of a queue, as `queue.toml` writes it; durations are seconds.

    `enable_priority` False serves plain first in, first out; `default_priority` is for items that
    name none. Aging, with `enable_aging`: `effective = max(1, priority - boost)` with `boost =
    min(floor(age / aging_threshold_seconds) * aging_boost, max_priority_boost)`; `aging_clock`
    is "live", or "manual": as of the last `age`. `lease` is how long a claim holds. Retry, up
    to `max_attempts`: the n-th failed attempt waits `backoff * backoff_factor ** (n - 1)`
    seconds, at most `max_backoff`. `max_items` limits the live items (0: no limit). `keep_done`
    and `keep_failed` say how long `purge` spares ended items; `keep_done = 0` removes an item
    when it is done. `keep_removed` says how long `undo` can bring back what was removed.
    `durability` is "full" (synced) or "fast". `defer_on` holds exit statuses of a
    command that mean "later, uncounted", besides 75 and 111. `drop_settle` is how long a file in
    the drop box must rest where nothing else shows that it is whole. `limits` says how many items
    of a limit may be at work at once, by its name; of others one.
    """

    enable_priority: bool = True
    default_priority: int = 5
    enable_aging: bool = True
    aging_threshold_seconds: float = 300.0
    aging_boost: int = 1
    max_priority_boost: int = 4
    aging_clock: str = "live"
    max_attempts: int = 3
    backoff: float = 30.0
    backoff_factor: float = 2.0
    max_backoff: float = 3600.0
    lease: float = 300.0
    max_items: int = 0
    durability: str = "full"
    keep_done: float = 0.0
    keep_failed: float = 30 * 86400.0
    keep_removed: float = 86400.0
    defer_on: tuple[int, ...] = ()
    drop_settle: float = 2.0
    limits: dict[str, int] = {}

    def most(self, limit: str) -> int:
        """Return how many items of this limit may be at work at once."""
        return self.limits.get(limit, 1)


_LATER = frozenset(range(1, 256)) - {126, 127}
_CHOICES = {"aging_clock": ("live", "manual"), "durability": ("full", "fast")}
DURATIONS = (
    "backoff", "max_backoff", "lease", "keep_done", "keep_failed", "keep_removed", "drop_settle",
)  # fmt: skip
"""The fields that are durations, in seconds."""
_RANGES: dict[str, tuple[float, float]] = {
    "default_priority": (1, 10),
    "aging_threshold_seconds": (0.001, 3.2e9),
    "aging_boost": (0, 9),
    "max_priority_boost": (0, 9),
    "max_attempts": (1, 1_000_000),
    "backoff_factor": (1, 1000),
    "max_items": (0, 10**15),
    "lease": (0.1, 3.2e9),
}


def config_from(values: Mapping[str, Any], where: str) -> QueueConfig:
    """Return the configuration of parsed TOML `values`; `where` names the file in errors.

    Raises ConfigError naming the file, the key and what is allowed.
    """
    known = QueueConfig.FIELDS
    fields: dict[str, Any] = {}
    for key, value in values.items():
        if key not in known:
            raise ConfigError(f"{where}: unknown key {key!r}; known are: {', '.join(known)}")
        try:
            fields[key] = _config_value(key, value)
        except UsageError as error:
            raise ConfigError(f"{where}: {error}") from None
    return QueueConfig(**fields)


def valid_config(config: QueueConfig) -> QueueConfig:
    """Return a policy made in Python, held to the ranges of queue.toml.

    Raises ConfigError, or UsageError for what is no policy.
    """
    if not isinstance(config, QueueConfig):
        raise UsageError(f"config {config!r}: give a QueueConfig")
    return config_from(config.__dict__, "QueueConfig")


def _config_value(key: str, value: object) -> object:
    default = getattr(QueueConfig(), key)
    if key == "defer_on":
        if isinstance(value, (list, tuple)) and all(map(may_mean_later, value)):
            return tuple(value)
        raise _wrong(key, value, f"a list of {STATUSES}")
    if key == "limits":
        return _config_limits(value)
    if key in _CHOICES:
        if value not in _CHOICES[key]:
            raise _wrong(key, value, " or ".join(f'"{choice}"' for choice in _CHOICES[key]))
        return value
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise _wrong(key, value, "true or false")
        return value
    if key in DURATIONS and isinstance(value, str):
        try:
            value = parse_duration(value)
        except UsageError as error:
            raise UsageError(f"{key}: {error}") from None
    whole = isinstance(default, int)
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
        raise _wrong(key, value, "a whole number" if whole else "a number")
    low, high = _RANGES.get(key, (0, 3.2e9))
    if not low <= value <= high:
        raise _wrong(key, value, f"{low:.16g} to {high:.16g}")
    return value if whole else float(value)


def _wrong(key: str, value: object, allowed: str) -> UsageError:
    return UsageError(f"{key} = {value!r}: allowed is {allowed}")


MOST_AT_ONCE = 1_000_000


def _config_limits(value: object) -> dict[str, int]:
    if not isinstance(value, dict):
        raise _wrong("limits", value, "a table: [limits], api = 3")
    for name, most in value.items():
        try:
            valid_limit(str(name))
        except UsageError as error:
            raise UsageError(f"limits: {error}") from None
        if isinstance(most, dict):
            quoted = f'"{name}.{next(iter(most), "")}" = N'
            raise UsageError(f"limits.{name}: a name with dots has quotes: {quoted}")
        if type(most) is not int or not 1 <= most <= MOST_AT_ONCE:
            raise _wrong(f"limits.{name}", most, f"a whole number from 1 to {MOST_AT_ONCE}")
    return dict(value)


STATUSES = "exit statuses from 1 to 255, without 126 and 127 (no command was run)"
"""What `defer_on` may hold, in words."""


def may_mean_later(status: object) -> bool:
    """Tell whether this is an exit status that may mean "later"."""
    return isinstance(status, int) and not isinstance(status, bool) and status in _LATER


def retry_delay(config: QueueConfig, attempts: int, jitter: float) -> float:
    """Return the seconds to wait after the `attempts`-th failed attempt (counted from 1).

    `jitter` in [0, 1) takes off up to a tenth, so that items that failed together do not
    come back together; the result never exceeds `max_backoff`.
    """
    try:
        raw = config.backoff * config.backoff_factor ** (attempts - 1)
    except OverflowError:
        raw = config.max_backoff
    return min(raw, config.max_backoff) * (1.0 - 0.1 * jitter)


class Pause(Record):
    """Nothing is claimed: since this Unix second, for this reason (None: nobody said)."""

    since: float
    reason: str | None = None


class QueueState(Record):
    """What a queue remembers beside its items.

    aged_at: where the manual aging clock stands, Unix seconds, or None before the first `age`.
    paused: since when and why nothing is claimed, or None.
    """

    aged_at: float | None = None
    paused: Pause | None = None
