"""What the commands share: their common options, opening the spool, ITEM arguments, output."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from pq_cli.commands.messages import os_error_status, os_error_text, warn
from pq_cli.core.item import State, parse_reference, printable
from pq_cli.core.timefmt import parse_duration
from pq_cli.errors import PqError, UsageError
from pq_cli.spool import layout
from pq_cli.spool.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

SpoolOption = Annotated[
    str,
    typer.Option("--spool", "-s", metavar="DIR", envvar="PQ_SPOOL", help="The spool directory."),
]
LockTimeoutOption = Annotated[
    str,
    typer.Option("--lock-timeout", metavar="D", help="Give up (exit 75) if the lock takes longer."),
]
PriorityOption = Annotated[
    str | None,
    typer.Option("--priority", "-p", metavar="N", help="1 (most urgent) to 10."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON Lines.")]
ItemsArgument = Annotated[
    list[str],
    typer.Argument(metavar="ITEM...", help="An id, a claim, or a path; - reads them from stdin."),
]
LOCK_TIMEOUT = "30s"


def open_spool(path: str, *, create: bool = False, lock_timeout: str = LOCK_TIMEOUT) -> Spool:
    """Open the spool a command was told to use; damaged items are named on stderr."""
    return Spool(path, create=create, lock_timeout=parse_duration(lock_timeout), report=warn)


def reference(spool: Spool, text: str) -> str:
    """Return `ID` or `ID.CLAIM` of one ITEM: an id, a claim, or a path of the item in the spool."""
    if "/" not in text:
        number, claim = parse_reference(text)
        return str(number) if claim is None else f"{number}.{claim}"
    path = os.path.abspath(text)
    if not path.startswith(spool.path + "/"):
        raise UsageError(f"{printable(text)} is not in the spool {printable(spool.path)}")
    parsed = layout.parse_name(os.path.basename(path).removesuffix(layout.META))
    if parsed is None:
        raise UsageError(f"{printable(text)} is not the path of an item")
    return str(parsed[0]) if parsed[1] is None else f"{parsed[0]}.{parsed[1]}"


def stdin_lines() -> Iterator[str]:
    """Yield the lines of stdin as text; closed stdin has none."""
    if sys.stdin is not None:
        for raw in sys.stdin.buffer:
            yield raw.decode("utf-8", "surrogateescape")


def for_each(spool: Spool, arguments: Iterable[str], verb: Callable[[str], object]) -> int:
    """Apply a verb to every ITEM; one that fails is reported and does not stop the others.

    Returns the status of the first failure, or 0.
    """
    status = 0
    for argument in each_argument(arguments):
        try:
            verb(reference(spool, argument))
        except PqError as error:
            warn(error)
            status = status or error.exit_code
        except BrokenPipeError:
            raise
        except OSError as error:
            warn(os_error_text(error))
            status = status or os_error_status(error)
    return status


def each_argument(arguments: Iterable[str]) -> Iterator[str]:
    """Yield the ITEM arguments, with `-` replaced by the words on stdin."""
    for argument in arguments:
        if argument == "-":
            for line in stdin_lines():
                yield from line.split()
        else:
            yield argument


def states_from(names: Iterable[str]) -> list[State]:
    """Return the states of `--state` options; each may hold several with commas."""
    wanted = []
    for name in (part for text in names for part in text.split(",")):
        if name not in [str(state) for state in State]:
            raise UsageError(f"--state {printable(name)!r}: allowed is {', '.join(State)}")
        wanted.append(State(name))
    return wanted


def lease_seconds(text: str | None) -> float | None:
    """Return the seconds of `--lease`, None when it was not given. A lease of 0 is an error."""
    if text is None:
        return None
    seconds = parse_duration(text)
    if seconds <= 0:
        raise UsageError("--lease must be longer than 0")
    return seconds
