"""The error tree: each class is one kind of trouble and carries its exit status.

The statuses follow sysexits(3) where it has a word for the trouble. `cli.main` is the one
place that turns an error into a message and a status; `pq(1)` lists the same table.
"""

from __future__ import annotations

EXIT_OK = 0
EXIT_NOTHING = 1
EXIT_COMMAND_FAILED = 6
EXIT_DATA = 65
EXIT_NOT_EXECUTABLE = 126
EXIT_NOT_FOUND = 127


def _item_in(text: str) -> str:
    """Return the id of the first item that a message names, or nothing."""
    words = text.split()
    for before, word in zip(["item", *words], words, strict=False):
        number = word.partition(".")[0].strip(":,;")
        if before == "item" and number.isdecimal():
            return number
    return ""


class PqError(Exception):
    """Base of everything pq raises on purpose; the text is for people, on one line.

    then: what to type next, for messages that do not say so themselves; {item} is the first item
    that the message names, {command} the pq command that was given, {name} the message up to its
    first colon. What stands there and is not known leaves it out.
    """

    exit_code = 70
    then = ""

    def told(self, command: str = "", behind: str = "") -> str:
        """Return the message, what is to stand `behind` it, and what to type next."""
        text = f"{self}{behind}"
        known = {"item": _item_in(text), "command": command, "name": text.partition(":")[0]}
        lacking = any(f"{{{what}}}" in self.then for what, value in known.items() if not value)
        if "`" in text or lacking or not self.then:
            return text
        return f"{text}; {self.then.format(**known)}"


class NothingThereError(PqError):
    """The queue is empty, nothing matched, or there is no spool."""

    exit_code = 1
    then = "`pq log` tells what happened"


class NoSpoolError(NothingThereError):
    """There is no spool at this path."""

    then = "`pq init` makes one"


class EventsGoneError(NothingThereError):
    """The log no longer has all that came after the event that was named."""

    @classmethod
    def after(cls, number: int, last: int) -> EventsGoneError:
        """Return the error for an event of this `number`, which is not (or no longer) in the log.

        last: the number of the last event that is; 0 where there is none.
        """
        if number <= last:
            what = f"events after {number} are gone from the log, which is bounded"
        else:
            end = f"it ends at {last}" if last else "none is left"
            what = f"the log has no event {number}: {end}"
        return cls(f"{what}; `--after-event 0` shows all that is there")


class UsageError(PqError, ValueError):
    """An argument or record is not acceptable: out of range, malformed, contradictory."""

    exit_code = 2
    then = "`pq help {command}` tells what it takes"


class NoSuchItemError(PqError, LookupError):
    """No item has this id."""

    exit_code = 3
    then = "`pq ls` lists those that are there"


class ConflictError(PqError):
    """The request contradicts the item's present state."""

    exit_code = 4
    then = "`pq show {item}` tells how it stands"


class StaleClaimError(ConflictError):
    """The claim was taken away (lease over, released) or has already ended."""


class NoLongerFitsError(ConflictError):
    """The item is no longer one of those that were chosen."""


class KeyTakenError(ConflictError):
    """A live item already has this key."""


class DamageError(PqError):
    """`check` found damage."""

    exit_code = 5
    then = "`pq check --repair` mends what it can"


class CommandFailedError(PqError):
    """A command that pq ran failed."""

    exit_code = 6
    then = "`pq help {command}` tells what that means"


class DataError(PqError):
    """Input (a queue to import, a stream) was not understood, in part or whole; it was left."""

    exit_code = EXIT_DATA
    then = "`pq help {command}` tells what it reads"


class CannotCreateError(PqError):
    """The spool cannot be created there, or what is there is not a spool."""

    exit_code = 73
    then = "`-s DIR` names another place"


class SpoolIOError(PqError):
    """Reading or writing failed (disk full, I/O error), also on stdout."""

    exit_code = 74
    then = "`pq doctor` looks at what it lies on"


class OutputError(SpoolIOError):
    """stdout cannot take what must be printed: closed, or its disk is full."""

    then = "`pq {command} ... > FILE` writes it elsewhere"

    @classmethod
    def because(cls, error: OSError) -> OutputError:
        """Return the error that says why the system refused a write to stdout."""
        return cls(f"standard output: {error.strerror}")


class DamagedItemError(SpoolIOError):
    """An item cannot be served as it is: unreadable meta, missing or torn payload."""

    then = "`pq check` tells all that is damaged"


class LeftInDropBoxError(DamagedItemError):
    """A file in the drop box cannot become an item as it is."""

    then = "`man pq-drop` tells what becomes one"


class TryAgainError(PqError):
    """A passing obstacle: try again later."""

    exit_code = 75
    then = "`pq doctor` tells who is at it"


class LockTimeoutError(TryAgainError):
    """Nothing was done: others held a lock, or no server answered, for the lock timeout."""


class ConnectionLostError(TryAgainError):
    """The connection to the server was lost on the way: whether it was done is not known."""


class QueueFullError(TryAgainError):
    """`max_items` live items are already in the queue."""

    then = "`pq stats` tells what fills it"


class PausedError(TryAgainError):
    """The queue is paused: nothing is claimed until `pq resume`."""

    then = "`pq resume` ends it"


class PermissionDeniedError(PqError):
    """The operating system, or pq's own caution, forbids it."""

    exit_code = 77
    then = "`pq doctor` tells whose it is"


class ConfigError(PqError):
    """queue.toml or the spool's own state is wrong, or of a newer format."""

    exit_code = 78
    then = "`man pq-queue.toml` lists what is allowed"


class NotExecutableError(PqError):
    """The command to run exists but cannot be executed."""

    exit_code = 126
    then = "`ls -l {name}` tells who may run it"


class CommandNotFoundError(PqError):
    """The command to run does not exist."""

    exit_code = 127
    then = "`echo $PATH` tells where commands are looked for"


def exit_table() -> list[tuple[int, str]]:
    """Return (status, meaning) of every error class, lowest first: what pq(1) documents."""
    table: dict[int, str] = {}
    todo: list[type[PqError]] = [PqError]
    while todo:
        cls = todo.pop(0)
        if cls.exit_code != PqError.exit_code:
            table.setdefault(cls.exit_code, (cls.__doc__ or "").split("\n")[0])
        todo.extend(cls.__subclasses__())
    return sorted(table.items())
