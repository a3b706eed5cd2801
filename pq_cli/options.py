"""How an option of a command is declared: once, as a field of the command's `Options`.

Three things are read from it: the quick grammar (`plain`), typer's parser, and with it the help
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
from pq_cli.core.policy import STATUSES, may_mean_later
from pq_cli.core.record import Record
from pq_cli.core.timefmt import parse_duration, parse_time
from pq_cli.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any, ClassVar, Self, TypeVar

    from pq_cli.core.selection import Selection

    T = TypeVar("T", bound=Record)


class Misread(ValueError):
    """A text that an option does not take: `text`, and what it takes instead."""

    def __init__(self, text: str, said: str) -> None:
        super().__init__(said)
        self.text = text


class Option(Record):
    """One option, or the operands of a command when it has no names.

    metavar: what stands for its value in help; empty: a flag. implied: the value of an option
    that may stand without one. many: may be repeated. needs: what must be given. read: makes of
    the text, of many the tuple of them, what it means; raises UsageError, or Misread.
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
        try:
            return given if given is None or self.read is None else self.read(given)
        except Misread as wrong:
            name = max(self.names, key=len)
            raise UsageError(f"{name} {printable(wrong.text, 60)!r}: {wrong}") from None


def option(spelled: str, help: str, *, many: bool = False, **more: Any) -> Any:
    """Declare an option as it is typed: `-j, --jobs N`, a flag `--x`, an operand `[FILE...]`.

    `more` are fields of Option. A flag `--x/--no-x` may say the contrary of its default.
    """
    words = spelled.split()
    names = tuple(word.rstrip(",") for word in words if word[0] == "-" and word != "--")
    metavar = " ".join(words[len(names) :])
    default = () if many else None if metavar else False
    fields = {"names": names, "help": help, "metavar": metavar, "default": default, "many": many}
    return Option(**fields | more)


class Declared(Record):
    """Base of command lines as typed: a field whose default is an Option declares it."""

    _declared: ClassVar[dict[str, Option]] = {}

    def __init_subclass__(cls) -> None:
        own = {n: v for n, v in cls.__dict__.items() if isinstance(v, Option)}
        cls._declared = cls._declared | own
        for name, declared in own.items():
            setattr(cls, name, declared.meant(declared.default))
        super().__init_subclass__()

    def fill(self, record: type[T], **more: Any) -> T:
        """Return a record of what options of the names of its fields say, and of `more`."""
        said = {name: self.__dict__[name] for name in record.FIELDS if name in self.__dict__}
        return record(**said | more)

    @classmethod
    def of_words(cls, given: Mapping[str, Any]) -> Self:
        """Return the options that were typed, each as it is meant. Raises UsageError."""
        known = cls._declared.items()
        return cls(**{field: each.meant(given[field]) for field, each in known if field in given})


def options_of(command: Callable[..., int]) -> type[Any]:
    """Return the record of the options that a command takes, as its first parameter says."""
    return command.__globals__[command.__annotations__["o"]]  # type: ignore[no-any-return]


# -- the plain forms, without typer ----------------------------------------------


def plain(command: Callable[..., int], arguments: Sequence[str], spool: str) -> Any:
    """Return the options of a plain command line, or None where it is not certainly plain.

    spool: where it names none. Raises UsageError for a value that is not acceptable.
    """
    options = options_of(command)
    fields = _parse(options, arguments)
    return None if fields is None else options.of_words({"spool": spool, **fields})


def _parse(options: type[Declared], arguments: Sequence[str]) -> dict[str, Any] | None:
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


def grammar(options: type[Declared]) -> dict[str, tuple[str, Option]]:
    """Return what may stand in a plain command line: word -> field and option; "": an operand."""
    words: dict[str, tuple[str, Option]] = {}
    for field, option in declared(options).items():
        if field != "cmd" and not option.implied:
            words |= dict.fromkeys(option.names or ("",), (field, option))
    return words


# -- what a value means --------------------------------------------------------


def number(low: int, high: int) -> Callable[[str], int]:
    """Return what reads a whole number in this range."""

    def read(text: str) -> int:
        value = whole(text)
        if value is None or not low <= value <= high:
            raise Misread(text, f"give a whole number from {low} to {high}")
        return value

    return read


def span(text: str) -> float:
    """Return the seconds of a duration that is longer than 0. Raises Misread, UsageError."""
    seconds = parse_duration(text)
    if seconds <= 0:
        raise Misread(text, "must be longer than 0")
    return seconds


def moment(text: str) -> float:
    """Return the Unix seconds of a time from 1970 on. Raises Misread, UsageError."""
    seconds = parse_time(text)
    if seconds < 0:
        raise Misread(text, "give a time from 1970 on")
    return seconds


def one_of(allowed: Iterable[str]) -> Callable[[str], str]:
    """Return what reads one of these words."""

    def read(text: str) -> str:
        if text not in tuple(allowed):
            raise Misread(text, f"allowed is {', '.join(allowed)}")
        return text

    return read


def states(names: Iterable[str]) -> tuple[State, ...]:
    """Return the states of `--state` options; each may hold several with commas."""
    words = (part for text in names for part in text.split(","))
    return tuple(map(State, map(one_of(State), words)))


def statuses(text: str) -> tuple[int, ...]:
    """Return the exit statuses of `--defer-on`."""
    parts = text.split(",")
    if not all(may_mean_later(whole(part.strip())) for part in parts):
        raise Misread(text, f"give {STATUSES}, e.g. 6,7,22,28")
    return tuple(map(int, parts))


def metadata_of(pairs: Iterable[str]) -> dict[str, str] | None:
    """Return the metadata of `KEY=VALUE` words, None where there are none."""
    metadata = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise UsageError(f"-m {printable(pair)}: give KEY=VALUE")
        metadata[key] = value
    return metadata or None


# -- options that several commands have ----------------------------------------


COLORS = ("auto", "always", "never")
_LOCK = option(
    "--lock-timeout D", "Give up (exit 75) if the lock takes longer.", default="30s",
    read=parse_duration,
)  # fmt: skip


class LookOptions(Declared):
    """What every command on a spool may be told; in help it stands last."""

    spool: str = option("--spool, -s DIR", "The spool directory.", envvar="PQ_SPOOL", default="")
    lock_timeout = _LOCK.meant(_LOCK.default)


class Options(LookOptions):
    """And what those may be told that take its lock."""

    lock_timeout: float = _LOCK


def declared(options: type[Declared]) -> dict[str, Option]:
    """Return the options of a command by field, in the order of its help."""
    shared = Options._declared
    own = {field: each for field, each in options._declared.items() if field not in shared}
    return own | {f: each for f, each in options._declared.items() if f in shared}


ITEMS = option(
    "ITEM...", "An id, a claim, or a path; - reads them from stdin.", many=True, needs=True
)
PRIORITY = option("--priority, -p N", "1 (most urgent) to 10.", read=valid_priority)
STATES = option("--state S", f"Of {', '.join(State)}; may be repeated.", many=True, read=states)
DEFER_ON = option("--defer-on N,...", "Statuses of CMD: later, uncounted.", read=statuses)
LEASE = option("--lease D", "Renewed while CMD runs.", read=span)
AS_JSON = option("--json", "Print JSON Lines.")
EACH_AS_JSON = option("--json", "Print each item, as it is then, as JSON.")
COLOR = option("--color WHEN", "auto, always or never.", default="auto", read=one_of(COLORS))


class ItemsOptions(Options):
    """What those may be told that act on items which are there."""

    items: tuple[str, ...] = ITEMS
    as_json: bool = EACH_AS_JSON


MAX_ATTEMPTS = option(
    "--max-attempts N", "Attempts before it counts as failed.", read=number(1, 1_000_000)
)
NAME = option("--name NAME", "A name to show.")


def limit_or_none(text: str) -> str:
    """Return the name of a limit, or the word that says that there is none. Raises UsageError."""
    return text if text == NO_LIMIT else valid_limit(text)


LIMIT = option("--limit LIMIT", "At most so many of it at once.", read=valid_limit)
METADATA = option("-m, --metadata K=V", "May be repeated.", many=True, read=metadata_of)
DELAY = option("--delay D", "Not before D from now.", read=parse_duration)
AT = option("--at T", "Not before this time.", read=moment)


def _after(texts: Iterable[str]) -> tuple[str, ...]:
    """Return the items of `--after` options, as typed: each may hold several with commas."""
    words = tuple(word.strip() for text in texts for word in text.split(","))
    for word in words:
        if "/" not in word:  # a path is for the queue to read
            parse_reference(word)
    return words


class NewItemOptions(Options):
    """What may be said of a new item, by whoever makes one."""

    priority: int | None = PRIORITY
    key: str | None = option("--key KEY", "Unique among live items.")
    if_exists: str = option(
        "--if-exists WHAT", "If the key is taken: skip, fail, replace or raise.", default="skip"
    )
    max_attempts: int | None = MAX_ATTEMPTS
    timeout: float | None = option("--timeout D", "Stop an attempt that takes longer.", read=span)
    limit: str | None = LIMIT
    after: tuple[str, ...] = option(
        "--after ITEM,...", "Wait until these are done.", many=True, read=_after
    )
    if_failed: str | None = option(
        "--if-failed RULE", "If one is not: fail, hold or run.", read=one_of(IF_FAILED)
    )
    name: str | None = NAME
    metadata: dict[str, str] | None = METADATA


# Where the plain name says what an item is to have, what it has is chosen by these.
OF_PRIORITY = option("--of-priority N", "Only of this base priority.", read=valid_priority)


class SelectOptions(LookOptions):
    """What those may be told that choose items by what they are."""

    states: tuple[State, ...] = STATES
    of_priority: int | None = option(
        "--priority, -p N", "Only this base priority.", read=valid_priority
    )
    of_key: str | None = option("--key GLOB", "Key matches.")
    of_name: str | None = option("--name GLOB", "Name matches.")
    of_error: str | None = option("--error GLOB", "Last error matches.")
    older_than: float | None = option(
        "--older-than D", "Created more than D ago.", read=parse_duration
    )
    of_metadata: dict[str, str] | None = option(
        "-m, --metadata K=V", "It has these metadata.", many=True, read=metadata_of
    )
    of_limit: str | None = option(
        "--limit LIMIT", "Only with this limit, or none.", read=limit_or_none
    )

    def selection(self, **more: Any) -> Selection:
        """Return the choice that these say; `more` are fields of it."""
        from pq_cli.core.selection import Selection  # start-up: only some commands choose

        fields: dict[str, Any] = {
            "states": self.states, "priority": self.of_priority, "older_than": self.older_than,
            "key": self.of_key, "name": self.of_name, "error": self.of_error,
            "metadata": self.of_metadata, "limit": self.of_limit,
        }  # fmt: skip
        return Selection(**fields | more)


class ChosenOptions(SelectOptions):
    """What those may be told that act on items which are named, or chosen."""

    items: tuple[str, ...] = option(
        "[ITEM...]", "An id, a claim, or a path; - reads them from stdin.", many=True
    )
    dry_run: bool = option("--dry-run", "Only print the ids of those it would be.")
    as_json: bool = EACH_AS_JSON
    lock_timeout: float = _LOCK
