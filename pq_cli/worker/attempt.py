"""One attempt in the foreground: run a command on a claimed item and settle the item after it."""

from __future__ import annotations

import os

from pq_cli.core.item import Item
from pq_cli.errors import (
    CommandNotFoundError,
    DamagedItemError,
    NoSuchItemError,
    NotExecutableError,
    PqError,
    StaleClaimError,
)
from pq_cli.spool.spool import Spool
from pq_cli.worker.child import HeldSignals, run_child
from pq_cli.worker.contract import (
    EXIT_NOT_EXECUTABLE,
    EXIT_NOT_FOUND,
    Outcome,
    arguments,
    environment,
    judge,
    not_runnable,
)
from pq_cli.worker.settle import settle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


def attempt(
    spool: Spool,
    item: Item,
    command: Sequence[str],
    lease: float,
    environ: Mapping[str, str],
    warn: Callable[[object], None],
    judge: Callable[[int], Outcome] = judge,
) -> tuple[int, int | None]:
    """Run `command` on a claimed item, renewing the lease, and end the claim as its status says.

    Returns (the command's status, the signal that stopped pq or None). A command that cannot be
    started gives the item back uncounted and raises CommandNotFoundError or NotExecutableError.
    judge: says what a status means for the item.
    """
    with HeldSignals() as mask:
        status, sent = _run(spool, item, command, lease, environ, warn, mask)
        if status in (EXIT_NOT_EXECUTABLE, EXIT_NOT_FOUND):
            spool.release(item)
            kind = CommandNotFoundError if status == EXIT_NOT_FOUND else NotExecutableError
            raise kind(f"{command[0]}: exit {status}; item {item.id} went back uncounted")
        if sent is not None and status:
            spool.release(item)
        else:
            settle(spool, item, judge(status))
        return status, sent


def _run(
    spool: Spool,
    item: Item,
    command: Sequence[str],
    lease: float,
    environ: Mapping[str, str],
    warn: Callable[[object], None],
    mask: set[int],
) -> tuple[int, int | None]:
    stdin = spool.open_payload(item)
    env = {**environ, **environment(spool.path, item)}
    lost = False

    def renew() -> None:
        nonlocal lost
        try:
            spool.renew(item, lease)
        except (StaleClaimError, NoSuchItemError):
            if not lost:
                warn(f"{item.claim}: the claim was lost; the command's result will be refused")
            lost = True
        except (PqError, OSError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            warn(f"{item.claim}: the lease could not be renewed: {why}")

    try:
        return run_child(arguments(command, item), env, stdin, mask, lease / 3, renew)
    except OSError as error:
        spool.release(item)
        raise not_runnable(command[0], error) from None
    finally:
        os.close(stdin)


def refuse_damaged(spool: Spool, item: Item, error: DamagedItemError) -> None:
    """Send a claimed item whose payload is torn to the dead letters: its bytes are never served."""
    spool.fail(item, str(error), dead=True)
