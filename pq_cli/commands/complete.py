"""`pq __complete`: what the completion scripts ask at every Tab. Quick, however many items.

It is given the words behind `pq` up to the one being typed, which may be empty, and prints a line
`value<TAB>description` for each that this one may become; behind `--option=` only the value. Or
it prints one line without a tab, which says what the shell itself is to complete: `files`, `dirs`,
or `command N`, a command line that begins after N words. Nothing is locked, made or reported.
"""

from __future__ import annotations

import os
import signal

from pq_cli.commands.table import COMMANDS, options
from pq_cli.core.item import IF_FAILED, LIVE, Item, State, printable
from pq_cli.errors import PqError
from pq_cli.options import COLORS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pq_cli.options import Option
    from pq_cli.screen import Screen

_WAITING = (State.PENDING, State.DELAYED, State.HELD, State.FAILED)
_STATES = {
    "done": (State.ACTIVE,),
    "fail": (State.ACTIVE,),
    "release": (State.ACTIVE,),
    "renew": (State.ACTIVE,),
    "retry": (State.FAILED, State.HELD, State.DELAYED),
    "hold": (State.PENDING, State.DELAYED),
    "cancel": (State.ACTIVE, State.PENDING, State.DELAYED, State.HELD),
    "rm": (*_WAITING, State.DONE),
    "set": _WAITING,
    "undo": (State.REMOVED,),
    "wait": (State.ACTIVE, State.PENDING, State.DELAYED, State.HELD),
}
"""What the operands of a command may be; of all others every item."""
_KINDS = {
    "DIR": "dirs", "SRC": "dirs", "FILE": "files", "S": "states", "WHEN": "colors", "KEY": "keys",
    "WHAT": "exists", "GLOB": "keys", "LIMIT": "limits", "ITEM": "items", "SHELL": "shells",
    "CMD": "command", "ITEM,": "after", "RULE": "rules",
}  # fmt: skip
"""What the placeholders of help texts stand for; all others have values that nobody can guess."""
_PATIENCE = 0.3
"""Seconds that a server has to answer: whoever types goes on."""
_LEADING = {
    "--help": "list the commands",
    "--version": "tell it",
    "--spool": "the spool directory",
}
"""What may stand before the command."""


def complete(words: Sequence[str], default_spool: str, screen: Screen) -> int:
    """Print what the last word may become, or what the shell is to complete in its stead."""
    *before, current = words or [""]
    line = _Line(before, current)
    if line.kind in ("files", "dirs"):
        screen.emit(line.kind)
    elif line.kind == "command":
        if line.after:  # without the `--` nothing would be run
            screen.emit(f"command {line.after}")
    else:
        try:
            spool = os.path.expanduser(line.spool) or default_spool
            for value, text in _candidates(line, spool):
                if value.startswith(line.prefix):
                    screen.emit(f"{value}\t{text}")
        except (PqError, OSError):
            pass
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)  # of `open_soon`; at the end it would kill us
    return 0


class _Line:
    """A command line up to the word that is typed.

    kind: what that word is to be, None for what nobody can guess; prefix: how it begins so far.
    after: how many words stand before what follows `--`; 0 without it.
    """

    def __init__(self, before: Sequence[str], current: str) -> None:
        self.command = self.spool = ""
        self.declared: list[Option] = []
        self.prefix = current
        self.after = 0
        pending = ""
        for place, word in enumerate(before):
            if pending:
                self._take(pending, word)
                pending = ""
            elif self.after:
                continue
            elif word == "--" and self.command:
                self.after = place + 1
            elif word.startswith("--") and "=" in word:
                self._take(*word.split("=", 1))
            elif word.startswith("-"):
                pending = word if self._valued(word) else ""
            elif not self.command:
                self.command = word
                self.declared = [*options(word).values()] if word in COMMANDS else []
        self.kind = self._kind(pending, current)
        if self.after and "--command" in before[: self.after]:
            self.kind = "command"  # in the place of FILEs

    def _take(self, option: str, value: str) -> None:
        if option in ("-s", "--spool"):
            self.spool = value

    def _kind(self, pending: str, current: str) -> str | None:
        if pending:
            return self._valued(pending)
        if current.startswith("-") and not self.after:
            option, equals, self.prefix = current.partition("=")
            if equals:
                return self._valued(option)
            self.prefix = current
            return "options"
        if not self.command or self.command == "help":
            return "commands"
        operands = [each.metavar for each in self.declared if not each.names]
        return _kind_of(operands[-1]) if operands else None

    def _valued(self, word: str) -> str | None:
        """Return the kind of an option's value; None for a flag, or when it may stand without."""
        if not self.command:
            return "dirs" if word in ("-s", "--spool") else None
        for each in self.declared:
            if word in each.names and each.metavar and not each.implied:
                kind = _kind_of(each.metavar)
                if {"--priority", "--of-priority"} & {*each.names}:
                    kind = "priorities"
                nobody_knows = kind in (None, "command") or (
                    kind == "keys" and "--key" not in each.names
                )
                return "any" if nobody_knows else kind
        return None

    def options(self) -> Iterator[tuple[str, str]]:
        """Yield the long name of each option, and what it is for."""
        if not self.command:
            yield from _LEADING.items()
        for each in self.declared:
            if each.names:
                for name in max(each.names, key=len).split("/"):
                    yield name, each.help.rstrip(".").partition(". ")[0]


def _kind_of(metavar: str) -> str | None:
    return _KINDS.get(metavar.strip("[].- "))


def _candidates(line: _Line, spool: str) -> Iterator[tuple[str, str]]:
    if line.kind == "options":
        yield from line.options()
    elif line.kind == "commands":
        yield from COMMANDS.items()
    elif line.kind in ("items", "keys", "limits", "after"):
        from pq_cli.backends import open_soon

        queue = open_soon(spool, _PATIENCE)
        if line.kind == "keys":
            yield from ((key, "") for key in queue.suggest_keys(line.prefix))
        elif line.kind == "limits":
            yield from ((limit, "") for limit in queue.suggest_limits(line.prefix))
        elif line.kind == "after":
            before, comma, last = line.prefix.rpartition(",")
            for item in queue.suggest(LIVE, last):
                yield f"{before}{comma}{item.id}", _described(item)
        else:
            for item in queue.suggest(_STATES.get(line.command, tuple(State)), line.prefix):
                yield item.claim or str(item.id), _described(item)
    else:
        yield from ((value, "") for value in _fixed(line.kind))


def _fixed(kind: str | None) -> Sequence[str]:
    from pq_cli.commands.completion import SHELLS
    from pq_cli.queue.request import IF_EXISTS

    known = {
        "states": tuple(State), "colors": COLORS, "exists": IF_EXISTS, "shells": tuple(SHELLS),
        "rules": IF_FAILED, "priorities": tuple(map(str, range(1, 11))),
    }  # fmt: skip
    return known.get(kind or "", ())


def _described(item: Item) -> str:
    name = printable(item.name or item.key or item.last_error or "", 40)
    return f"{item.state}, priority {item.priority}{', ' if name else ''}{name}"
