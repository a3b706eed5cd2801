"""`pq __complete`: what the completion scripts ask while somebody types. Quick, however many items.

Nothing is locked, made or reported.
"""

from __future__ import annotations

import os
from contextlib import suppress

from pq_cli.commands.spools import open_spool
from pq_cli.core.item import Item, State, printable
from pq_cli.errors import PqError
from pq_cli.render import emit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_WAITING = (State.PENDING, State.DELAYED, State.HELD, State.FAILED)
_STATES = {
    "done": (State.ACTIVE,),
    "fail": (State.ACTIVE,),
    "release": (State.ACTIVE,),
    "renew": (State.ACTIVE,),
    "retry": (State.FAILED, State.HELD, State.DELAYED),
    "hold": (State.PENDING, State.DELAYED),
    "rm": (*_WAITING, State.DONE),
    "set": _WAITING,
    "undo": (State.REMOVED,),
}
"""What the operands of a command may be; of all others every item."""


def complete(arguments: Sequence[str], default_spool: str) -> int:
    """Print `value<TAB>description` lines for: kind (items, keys), command, prefix, spool."""
    kind, command, prefix, spool = (*arguments, "", "", "", "")[:4]
    with suppress(PqError, OSError):
        queue = open_spool(os.path.expanduser(spool) or default_spool)
        if kind == "keys":
            for key in queue.suggest_keys(prefix):
                emit(f"{key}\t")
        elif kind == "items":
            for item in queue.suggest(_STATES.get(command, tuple(State)), prefix):
                emit(f"{item.claim or item.id}\t{_described(item)}")
    return 0


def _described(item: Item) -> str:
    name = printable(item.name or item.key or item.last_error or "", 40)
    return f"{item.state}, priority {item.priority}{', ' if name else ''}{name}"
