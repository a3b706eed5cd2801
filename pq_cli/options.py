"""How an option of a command is declared: once, as a field of the command's `Options`.

Three things are read from it: the quick grammar (quick.py), typer's parser, and with it the help
texts and the completion (commands/typed.py). What was typed is made into what it means as it is
read, by the `read` of each, so a command is given numbers, seconds and states. Nothing of typer
is imported here: the plain commands must start without it.
"""

from __future__ import annotations

from pq_cli.core.item import (
    IF_FAILED,
    NO_LIMIT,
    State,
    parse_reference,
    printable,
    valid_limit,
    valid_priority,
    whole,
)
from pq_cli.core.policy import valid_status
from pq_cli.core.record import Record
from pq_cli.core.timefmt import parse_duration, parse_time
from pq_cli.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any, ClassVar, Self


class Option(Record):
    """One option, or the operands of a command when it has no names.

    metavar: what stands for its value in help; empty: a flag. implied: the value of an option
    that may stand without one. many: may be repeated. needs: what must be given. read: makes of
    the text, of many the tuple of them, what it means; raises UsageError.
    """

    names: tuple[str, ...]
    help: str
    metavar: str = ""
    default: str | bool | tuple[str, ...] | None = None
    implied: str = ""
    envvar: str = ""
    many: bool = False
    needs: bool = False
    read: Callable[[Any], Any] | None = None

    def meant(self, given: Any) -> Any:
        """Return what a value means as it was typed. Raises UsageError."""
        return given if given is None or self.read is None else self.read(given)


def option(*names: str, metavar: str, help: str, default: str | None = None, **more: Any) -> Any:
    """Declare an option with a value; `more` are `implied`, `envvar` and `read` of Option."""
    return Option(names=names, help=help, metavar=metavar, default=default, **more)


def repeated(*names: str, metavar: str, help: str, read: Callable[[Any], Any] | None = None) -> Any:
    """Declare an option with a value that may be given several times."""
    return Option(names=names, help=help, metavar=metavar, default=(), many=True, read=read)


def flag(*names: str, help: str, default: bool | None = False) -> Any:
    """Declare an option without a value; `--x/--no-x` may say the contrary of its default."""
    return Option(names=names, help=help, default=default)


def operand(*, metavar: str, help: str, default: str | None = None, **more: Any) -> Any:
    """Declare the one word that may stand beside the options; `more` are `needs` and `read`."""
    return Option(names=(), help=help, metavar=metavar, default=default, **more)


def operands(*, metavar: str, help: str, needs: bool = False) -> Any:
    """Declare what may stand beside the options, as often as one likes."""
    return Option(names=(), help=help, metavar=metavar, default=(), many=True, needs=needs)


class Declared(Record):
    """Base of command lines as typed: a field whose default is an Option declares it."""

    _declared: ClassVar[dict[str, Option]] = {}

    def __init_subclass__(cls) -> None:
        own = {n: v for n, v in cls.__dict__.items() if isinstance(v, Option)}
        cls._declared = cls._declared | own
        for name, declared in own.items():
            setattr(cls, name, declared.meant(declared.default))
        super().__init_subclass__()

    @classmethod
    def of_words(cls, given: Mapping[str, Any]) -> Self:
        """Return the options that were typed, each as it is meant. Raises UsageError."""
        known = cls._declared.items()
        return cls(**{field: each.meant(given[field]) for field, each in known if field in given})


# -- what a value means --------------------------------------------------------


def number(name: str, low: int = 0, high: int | None = None) -> Callable[[str], int]:
    """Return what reads a whole number in this range; `name` is for errors."""

    def read(text: str) -> int:
        value = whole(text)
        if value is None or value < low or (high is not None and value > high):
            within = f" from {low}" if low or high else ""
            within += f" to {high}" if high else ""
            raise UsageError(f"{name} {printable(text)!r}: give a whole number{within}")
        return value

    return read


def span(name: str) -> Callable[[str], float]:
    """Return what reads a duration in seconds that is longer than 0; `name` is for errors."""

    def read(text: str) -> float:
        seconds = parse_duration(text)
        if seconds <= 0:
            raise UsageError(f"{name} must be longer than 0")
        return seconds

    return read


def states(names: Iterable[str]) -> tuple[State, ...]:
    """Return the states of `--state` options; each may hold several with commas."""
    wanted = []
    for name in (part for text in names for part in text.split(",")):
        if name not in [str(state) for state in State]:
            raise UsageError(f"--state {printable(name)!r}: allowed is {', '.join(State)}")
        wanted.append(State(name))
    return tuple(wanted)


def statuses(text: str) -> tuple[int, ...]:
    """Return the exit statuses of `--defer-on`."""
    try:
        return tuple(valid_status(whole(part.strip())) for part in text.split(","))
    except UsageError as error:
        shown = printable(text, 40)
        raise UsageError(f"--defer-on {shown!r}: give {error}, e.g. 6,7,22,28") from None


COLORS = ("auto", "always", "never")


def _color(text: str) -> str:
    if text not in COLORS:
        raise UsageError(f"--color {text!r}: allowed is {', '.join(COLORS)}")
    return text


def _metadata(pairs: Iterable[str]) -> dict[str, str] | None:
    metadata = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise UsageError(f"-m {printable(pair)}: give KEY=VALUE")
        metadata[key] = value
    return metadata or None


# -- options that several commands have ----------------------------------------


_LOCK_TIMEOUT = "30s"
"""How long a command waits for the spool's lock unless it is told otherwise."""


_LOCK = option(
    "--lock-timeout",
    metavar="D",
    default=_LOCK_TIMEOUT,
    read=parse_duration,
    help="Give up (exit 75) if the lock takes longer.",
)


class LookOptions(Declared):
    """What every command on a spool may be told; in help it stands last."""

    spool: str = option(
        "--spool", "-s", metavar="DIR", envvar="PQ_SPOOL", default="", help="The spool directory."
    )
    lock_timeout = parse_duration(_LOCK_TIMEOUT)


class Options(LookOptions):
    """And what those may be told that take its lock."""

    lock_timeout: float = _LOCK


def declared(options: type[Declared]) -> dict[str, Option]:
    """Return the options of a command by field, in the order of its help."""
    shared = Options._declared
    own = {field: each for field, each in options._declared.items() if field not in shared}
    return own | {f: each for f, each in options._declared.items() if f in shared}


ITEMS = operands(
    metavar="ITEM...", help="An id, a claim, or a path; - reads them from stdin.", needs=True
)
PRIORITY = option(
    "--priority", "-p", metavar="N", help="1 (most urgent) to 10.", read=valid_priority
)
STATES = repeated(
    "--state", metavar="S", help=f"Of {', '.join(State)}; may be repeated.", read=states
)
DEFER_ON = option(
    "--defer-on", metavar="N,...", help="Statuses of CMD: later, uncounted.", read=statuses
)
LEASE = option("--lease", metavar="D", help="Renewed while CMD runs.", read=span("--lease"))
AS_JSON = flag("--json", help="Print JSON Lines.")
COLOR = option(
    "--color", metavar="WHEN", default="auto", help="auto, always or never.", read=_color
)


EACH_AS_JSON = flag("--json", help="Print each item, as it is then, as JSON.")


class ItemsOptions(Options):
    """What those may be told that act on items which are there."""

    items: tuple[str, ...] = ITEMS
    as_json: bool = EACH_AS_JSON


MAX_ATTEMPTS = option(
    "--max-attempts",
    metavar="N",
    help="Attempts before it counts as failed.",
    read=number("max-attempts", 1),
)
NAME = option("--name", metavar="NAME", help="A name to show.")


def limit_or_none(text: str) -> str:
    """Return the name of a limit, or the word that says that there is none. Raises UsageError."""
    return text if text == NO_LIMIT else valid_limit(text)


LIMIT = option("--limit", metavar="LIMIT", help="At most so many of it at once.", read=valid_limit)
METADATA = repeated("-m", "--metadata", metavar="K=V", help="May be repeated.", read=_metadata)
DELAY = option("--delay", metavar="D", help="Not before D from now.", read=parse_duration)
AT = option("--at", metavar="T", help="Not before this time.", read=parse_time)


def _after(texts: Iterable[str]) -> tuple[str, ...]:
    """Return the items of `--after` options, as typed: each may hold several with commas."""
    words = tuple(word.strip() for text in texts for word in text.split(","))
    for word in words:
        if "/" not in word:  # a path is for the queue to read
            parse_reference(word)
    return words


def _if_failed(text: str) -> str:
    if text not in IF_FAILED:
        raise UsageError(f"--if-failed {printable(text)!r}: allowed is {', '.join(IF_FAILED)}")
    return text


class NewItemOptions(Options):
    """What may be said of a new item, by whoever makes one."""

    priority: int | None = PRIORITY
    key: str | None = option("--key", metavar="KEY", help="Unique among live items.")
    if_exists: str = option(
        "--if-exists",
        metavar="WHAT",
        default="skip",
        help="If the key is taken: skip, fail, replace or raise.",
    )
    max_attempts: int | None = MAX_ATTEMPTS
    timeout: float | None = option(
        "--timeout", metavar="D", help="Stop an attempt that takes longer.", read=parse_duration
    )
    limit: str | None = LIMIT
    after: tuple[str, ...] = repeated(
        "--after", metavar="ITEM,...", help="Wait until these are done.", read=_after
    )
    if_failed: str | None = option(
        "--if-failed", metavar="RULE", help="If one is not: fail, hold or run.", read=_if_failed
    )
    name: str | None = NAME
    metadata: dict[str, str] | None = METADATA


# Where the plain name says what an item is to have, what it has is chosen by these.
OF_PRIORITY = option(
    "--of-priority", metavar="N", help="Only of this base priority.", read=valid_priority
)
OF_NAME = option("--of-name", metavar="GLOB", help="Only where the name matches.")
OF_LIMIT = option(
    "--of-limit", metavar="LIMIT", help="Only with this limit, or none.", read=limit_or_none
)
OF_METADATA = repeated(
    "--of-metadata", metavar="K=V", help="Only with these metadata.", read=_metadata
)


class SelectOptions(LookOptions):
    """What those may be told that choose items by what they are."""

    states: tuple[State, ...] = STATES
    of_priority: int | None = option(
        "--priority", "-p", metavar="N", help="Only this base priority.", read=valid_priority
    )
    of_key: str | None = option("--key", metavar="GLOB", help="Key matches.")
    of_name: str | None = option("--name", metavar="GLOB", help="Name matches.")
    of_error: str | None = option("--error", metavar="GLOB", help="Last error matches.")
    older_than: float | None = option(
        "--older-than", metavar="D", help="Created more than D ago.", read=parse_duration
    )
    of_metadata: dict[str, str] | None = repeated(
        "-m", "--metadata", metavar="K=V", help="It has these metadata.", read=_metadata
    )
    of_limit: str | None = option(
        "--limit", metavar="LIMIT", help="Only with this limit, or none.", read=limit_or_none
    )


class ChosenOptions(SelectOptions):
    """What those may be told that act on items which are named, or chosen."""

    items: tuple[str, ...] = operands(
        metavar="[ITEM...]", help="An id, a claim, or a path; - reads them from stdin."
    )
    dry_run: bool = flag("--dry-run", help="Only print the ids of those it would be.")
    as_json: bool = EACH_AS_JSON
    lock_timeout: float = _LOCK
