"""What the verbs are given, checked: what is wrong is a UsageError that says what is wanted.

An argument means the same in every verb, so each kind has its one check here, or in `request`.
"""

from __future__ import annotations

import io

from pq_cli.core.item import Item, State, parse_reference, printable
from pq_cli.core.timefmt import MAX_SECONDS, MAX_TIME, parse_duration
from pq_cli.errors import NoSuchItemError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import BinaryIO, TypeVar

    from pq_cli.errors import DamagedItemError

    T = TypeVar("T", bound=str | None)
    F = TypeVar("F", bound=float | None)

LOCK_TIMEOUT = 30.0
"""Seconds to wait for other processes, or a server, unless something else is said."""
_SECONDS = "seconds, a number from 0 to 100 years"


def wrong(name: str, value: object, wanted: str) -> UsageError:
    """Return the error of an argument that is not what is wanted."""
    return UsageError(f"{name} {printable(repr(value), 60)}: give {wanted}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def valid_duration(name: str, seconds: float) -> float:
    """Return `seconds` if they are from 0 to 100 years. Raises UsageError.

    Of a text that is a duration, `5m`, the error says the seconds.
    """
    if not _is_number(seconds) or not 0 <= seconds <= MAX_SECONDS:
        raise wrong(name, seconds, _SECONDS + _in_seconds(name, seconds))
    return seconds


def _in_seconds(name: str, value: object) -> str:
    try:
        return f": {name}={parse_duration(value):.15g}" if isinstance(value, str) else ""
    except UsageError:
        return ""


def valid_lease(seconds: F) -> F:
    """Return `seconds` if they are above 0, up to 100 years, or None. Raises UsageError."""
    if seconds is not None and valid_duration("lease", seconds) == 0:
        raise wrong("lease", seconds, "seconds, above 0")
    return seconds


def valid_wait(seconds: float) -> float:
    """Return `seconds` to wait: 0 not at all, `math.inf` for ever. Raises UsageError."""
    return seconds if seconds == float("inf") else valid_duration("wait", seconds)


def valid_time(name: str, seconds: F) -> F:
    """Return `seconds` if they are a Unix time from 1970 to 9999, or None. Raises UsageError."""
    if seconds is not None and not (_is_number(seconds) and 0 <= seconds <= MAX_TIME):
        raise wrong(name, seconds, "Unix seconds, a number from 1970 to 9999")
    return seconds


def valid_whole(name: str, value: int, low: int, high: int) -> int:
    """Return `value` if it is a whole number in this range. Raises UsageError."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise wrong(name, value, f"a whole number from {low} to {high}")
    return value


def valid_flag(name: str, value: bool) -> bool:
    """Return `value` if it is True or False. Raises UsageError."""
    if not isinstance(value, bool):
        raise wrong(name, value, "True or False")
    return value


def valid_text(name: str, value: T) -> T:
    """Return `value` if it is text, or None for none. Raises UsageError."""
    if isinstance(value, BaseException):
        raise wrong(name, value, f"text, e.g. {name}=str(error)")
    if value is not None and not isinstance(value, str):
        raise wrong(name, value, "text, a str")
    return value


def valid_payload(value: bytes | BinaryIO) -> bytes | BinaryIO:
    """Return a payload as bytes, or as the stream that yields them. Raises UsageError."""
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if isinstance(value, str):
        raise wrong("payload", value, "bytes, e.g. text.encode()")
    if isinstance(value, io.TextIOBase) or not callable(getattr(value, "read", None)):
        raise wrong("payload", value, "bytes, or a stream of bytes such as open(path, 'rb')")
    return value


def valid_chunk(chunk: bytes) -> bytes:
    """Return what the stream of a payload gave, if it is bytes. Raises UsageError."""
    if not isinstance(chunk, bytes | bytearray | memoryview):
        raise wrong("payload", chunk, "a stream whose read() returns bytes, and waits for them")
    return chunk


def valid_state(value: State, name: str = "state") -> State:
    """Return `value` as a State; its name will do. Raises UsageError."""
    try:
        return State(value)
    except ValueError:
        raise wrong(name, value, f"one of State: {', '.join(State)}") from None


def valid_states(values: Iterable[State] | None) -> tuple[State, ...] | None:
    """Return the states, or None for all. Raises UsageError."""
    if values is None:
        return None
    if isinstance(values, str) or not hasattr(values, "__iter__"):
        raise wrong("states", values, "a list, e.g. [State.FAILED]")
    return tuple(valid_state(value, "states") for value in values)


def valid_reference(item: Item | int | str) -> tuple[int, int | None]:
    """Return (id, claim number or None) of what names an item.

    Raises UsageError, or NoSuchItemError for an id that none can have.
    """
    if isinstance(item, Item):
        return item.id, item.claims
    if isinstance(item, str):
        return parse_reference(item)
    if isinstance(item, bool) or not isinstance(item, int):
        hint = " (claim() returns None when nothing is pending)" if item is None else ""
        raise wrong("item", item, f"an Item, an id (1742) or a claim ('1742.2'){hint}")
    if item < 0:
        raise NoSuchItemError(f"there is no item {item}")
    return item, None


def valid_callable(name: str, value: object, wanted: str) -> None:
    """Raise UsageError unless `value` can be called."""
    if not callable(value):
        raise wrong(name, value, wanted)


def valid_making(
    clock: object,
    jitter: object,
    report: Callable[[DamagedItemError], None] | None = None,
    *,
    create: bool = True,
    lock_timeout: float = 0.0,
) -> Callable[[DamagedItemError], None]:
    """Return what damage is reported to, if a queue of any kind can be made with this.

    Raises UsageError.
    """
    valid_flag("create", create)
    valid_callable("clock", clock, "a function that returns Unix seconds")
    valid_callable("jitter", jitter, "a function that returns a number in [0, 1)")
    valid_duration("lock_timeout", lock_timeout)
    if report is None:
        return lambda error: None
    valid_callable("report", report, "a function of a DamagedItemError")
    return report
