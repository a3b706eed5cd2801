"""How an option of a command is declared: once, as a field of the command's `Options`.

Three things are read from it: the quick grammar (quick.py), typer's parser, and with it the help
texts and the completion (commands/typed.py). Nothing of typer is imported here: the plain
commands must start without it.
"""

from __future__ import annotations

from pq_cli.core.item import State
from pq_cli.core.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, ClassVar


class Option(Record):
    """One option, or the operands of a command when it has no names.

    metavar: what stands for its value in help; empty: a flag. implied: the value of an option
    that may stand without one. many: may be repeated. needs: operands, at least one.
    """

    names: tuple[str, ...]
    help: str
    metavar: str = ""
    default: str | bool | tuple[str, ...] | None = None
    implied: str = ""
    envvar: str = ""
    many: bool = False
    needs: bool = False


def option(*names: str, metavar: str, help: str, default: str | None = None, **more: str) -> Any:
    """Declare an option with a value; `more` are `implied` and `envvar` of Option."""
    return Option(names=names, help=help, metavar=metavar, default=default, **more)  # type: ignore[arg-type]


def repeated(*names: str, metavar: str, help: str) -> Any:
    """Declare an option with a value that may be given several times."""
    return Option(names=names, help=help, metavar=metavar, default=(), many=True)


def flag(*names: str, help: str, default: bool | None = False) -> Any:
    """Declare an option without a value; `--x/--no-x` may say the contrary of its default."""
    return Option(names=names, help=help, default=default)


def operand(*, metavar: str, help: str, default: str | None = None, needs: bool = False) -> Any:
    """Declare the one word that may stand beside the options."""
    return Option(names=(), help=help, metavar=metavar, default=default, needs=needs)


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
            setattr(cls, name, declared.default)
        super().__init_subclass__()


LOCK_TIMEOUT = "30s"
"""How long a command waits for the spool's lock unless it is told otherwise."""


class LookOptions(Declared):
    """What every command on a spool may be told; in help it stands last."""

    spool: str = option(
        "--spool", "-s", metavar="DIR", envvar="PQ_SPOOL", default="", help="The spool directory."
    )
    lock_timeout = LOCK_TIMEOUT


class Options(LookOptions):
    """And what those may be told that take its lock."""

    lock_timeout: str = option(
        "--lock-timeout",
        metavar="D",
        default=LOCK_TIMEOUT,
        help="Give up (exit 75) if the lock takes longer.",
    )


def declared(options: type[Declared]) -> dict[str, Option]:
    """Return the options of a command by field, in the order of its help."""
    shared = Options._declared
    own = {field: each for field, each in options._declared.items() if field not in shared}
    return own | {f: each for f, each in options._declared.items() if f in shared}


ITEMS = operands(
    metavar="ITEM...", help="An id, a claim, or a path; - reads them from stdin.", needs=True
)
PRIORITY = option("--priority", "-p", metavar="N", help="1 (most urgent) to 10.")
STATES = repeated("--state", metavar="S", help=f"Of {', '.join(State)}; may be repeated.")
DEFER_ON = option("--defer-on", metavar="N,...", help="Statuses of CMD: later, uncounted.")
AS_JSON = flag("--json", help="Print JSON Lines.")
COLOR = option("--color", metavar="WHEN", default="auto", help="auto, always or never.")


class ItemsOptions(Options):
    """What those may be told that act on items which are there."""

    items: tuple[str, ...] = ITEMS


class NewItemOptions(Options):
    """What may be said of a new item, by whoever makes one."""

    priority: str | None = PRIORITY
    key: str | None = option("--key", metavar="KEY", help="Unique among live items.")
    if_exists: str = option(
        "--if-exists",
        metavar="WHAT",
        default="skip",
        help="If the key is taken: skip, fail or replace.",
    )
    max_attempts: str | None = option(
        "--max-attempts", metavar="N", help="Attempts before it counts as failed."
    )
    timeout: str | None = option(
        "--timeout", metavar="D", help="Stop an attempt that takes longer."
    )
    name: str | None = option("--name", metavar="NAME", help="A name to show.")
    metadata: tuple[str, ...] = repeated("-m", "--metadata", metavar="K=V", help="May be repeated.")
