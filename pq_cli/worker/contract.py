"""The worker contract: what a command is told about its item, and what its exit status means."""

from __future__ import annotations

import os

from pq_cli.core.item import META, Item, printable
from pq_cli.core.policy import QueueConfig
from pq_cli.core.record import Record
from pq_cli.core.shellwords import as_command, shell_only
from pq_cli.errors import (
    EXIT_NOT_EXECUTABLE,
    EXIT_NOT_FOUND,
    CommandNotFoundError,
    DataError,
    NotExecutableError,
)
from pq_cli.queue.outcome import Outcome as Outcome
from pq_cli.queue.outcome import Verdict as Verdict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    Judge = Callable[[int], "Outcome"]


EXIT_TIMEOUT = 124
_DEFER = (75, 111)
_DEAD = 100

_COMMAND = b"pq-command 1\n"


class Order(Record):
    """A command that is an item: its words, and the folder in which it was given."""

    argv: list[str]
    cwd: str

    def payload(self) -> bytes:
        """Return the item's payload: a line that says what it is, cwd and words, NUL after each.

        Bytes that are no text stay what they are.
        """
        return _COMMAND + b"".join(os.fsencode(word) + b"\0" for word in (self.cwd, *self.argv))

    @classmethod
    def of_payload(cls, payload: bytes) -> Order:
        """Return the command that a payload is. Raises DataError: it is none."""
        cwd, *argv = payload.removeprefix(_COMMAND).split(b"\0")
        whole = payload.startswith(_COMMAND) and len(argv) > 1 and not argv.pop()
        if not whole or not argv[0] or not cwd.startswith(b"/"):
            raise DataError("it is no command: `pq enqueue --command -- CMD` queues one")
        return cls(argv=[os.fsdecode(word) for word in argv], cwd=os.fsdecode(cwd))


def explain(status: int) -> str:
    """Return the words for `last_error`."""
    if status > 128:
        return f"killed by signal {status - 128}"
    if status == EXIT_TIMEOUT:
        return "exit 124 (timeout)"
    return f"exit {status}"


def judge(status: int, defer_on: Collection[int] = ()) -> Outcome:
    """Return what an exit status means. A command killed by signal N has status 128 + N.

    defer_on: statuses that mean "later, uncounted" besides 75 and 111. They go before the rest
    of the contract: who names 100 has a command that means something else by it.
    """
    verdict = Verdict.DEAD if status == _DEAD else Verdict.RETRY
    if status == 0:
        verdict = Verdict.DONE
    elif status in _DEFER or status in defer_on:
        verdict = Verdict.DEFER
    return Outcome(verdict=verdict, error=explain(status), status=status)


def was_stopped(outcome: Outcome) -> bool:
    """Tell whether a command that was asked to stop has ended by that, without a word on its item.

    Killed, or with a status that means nothing in particular, as of most programs that end for a
    signal: the attempt was called off. What says done, later or never holds all the same.
    """
    return outcome.verdict in (Verdict.RETRY, Verdict.RELEASE)


def judging(defer_on: tuple[int, ...] | None, config: QueueConfig) -> Judge:
    """Return `judge` with the statuses of `--defer-on`, or the policy's when it was not given."""
    later = config.defer_on if defer_on is None else defer_on
    return lambda status: judge(status, later)


def environment(queue: str, item: Item, path: str) -> dict[str, str]:
    """Return the `PQ_*` variables that a command sees. Absent values are empty.

    queue: what opens it again. path: where the payload is for as long as the command runs.
    """
    return {
        "PQ_SPOOL": queue,
        "PQ_ID": str(item.id),
        "PQ_CLAIM": item.claim or "",
        "PQ_ATTEMPT": str(item.attempts),
        "PQ_MAX_ATTEMPTS": str(item.max_attempts),
        "PQ_PRIORITY": str(item.priority),
        "PQ_KEY": item.key or "",
        "PQ_NAME": (item.name or "").replace("\0", "\ufffd"),
        "PQ_FILE": path,
        "PQ_META": "" if item.path is None else item.path + META,
    }


def environment_of_all(queue: str, items: Sequence[Item]) -> dict[str, str]:
    """Return the `PQ_*` variables of a command that works on several items.

    Ids and claims are lists, with spaces between; what one item alone can have is empty.
    """
    return {
        **dict.fromkeys(environment(queue, items[0], ""), ""),
        "PQ_SPOOL": queue,
        "PQ_ID": " ".join(str(item.id) for item in items),
        "PQ_CLAIM": " ".join(item.claim or "" for item in items),
    }


def arguments(command: Sequence[str], *paths: str) -> list[str]:
    """Return the argument vector: a word with `{}` comes once for each payload's path."""
    words = [(word, paths if "{}" in word else ("",)) for word in command]
    return [word.replace("{}", path) for word, each in words for path in each]


def check_ran(name: str, status: int, then: str = "") -> None:
    """Raise CommandNotFoundError or NotExecutableError if a status says so: 127 or 126.

    then: what that means, for the end of the message.
    """
    if status in (EXIT_NOT_EXECUTABLE, EXIT_NOT_FOUND):
        kind = CommandNotFoundError if status == EXIT_NOT_FOUND else NotExecutableError
        raise kind(f"{name}: exit {status}{then}")


def not_runnable(name: str, error: OSError) -> NotExecutableError | CommandNotFoundError:
    """Return the error of a command that could not be started: exit 127 or 126.

    A whole line that was given as one word is shown as it should be typed.
    """
    if isinstance(error, FileNotFoundError):
        return CommandNotFoundError(f"{printable(name)}: command not found{_hint(name)}")
    return NotExecutableError(f"{printable(name)}: {os.strerror(error.errno or 0)}{_hint(name)}")


def _hint(name: str) -> str:
    if len(name.split()) < 2 and shell_only(name) is None:
        return ""
    return f"; it is one word, and no shell reads it: `-- {printable(as_command([name]))}`"
