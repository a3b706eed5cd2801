"""Moving items into a command: its exit status is the receipt."""

from __future__ import annotations

import subprocess
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, cast

from pq_cli.core.item import printable
from pq_cli.errors import (
    CommandFailedError,
    CommandNotFoundError,
    NoSuchItemError,
    NotExecutableError,
    PqError,
)
from pq_cli.transfer.sending import Sending

if TYPE_CHECKING:
    from pq_cli.queue.departures import Departures
    from pq_cli.queue.verbs import Queue

_TOGETHER = 100
"""Items put back under one lock and one sync."""


@contextmanager
def into(cmd: Sequence[str]) -> Iterator[BinaryIO]:
    """Run a command, and give its standard input.

    Raises CommandFailedError when it ends with another status than 0 or does not read to the end;
    CommandNotFoundError, NotExecutableError.
    """
    name = printable(cmd[0])
    with _started(cmd) as process:
        try:
            with cast("BinaryIO", process.stdin) as pipe:
                yield pipe
        except BrokenPipeError:
            raise CommandFailedError(f"{name} did not read to the end") from None
    if process.returncode:
        raise CommandFailedError(f"{name} ended with status {process.returncode}")


def _started(cmd: Sequence[str]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(list(cmd), stdin=subprocess.PIPE)
    except FileNotFoundError:
        raise CommandNotFoundError(f"{printable(cmd[0])}: no such command") from None
    except PermissionError:
        raise NotExecutableError(f"{printable(cmd[0])} cannot be executed") from None


def settle(
    queue: Queue, departures: Departures, sending: Sending, report: Callable[[PqError], None]
) -> int:
    """Remove what was sent, together, and put back what was not; return how many have left.

    report: called with why an item cannot be removed.
    """
    until, left = queue.removal(), 0
    for item_id in sending.sent:
        try:
            state = departures.check_removable(item_id)
            queue.remove(item_id, state=state, kept_until=until)
            left += 1
        except NoSuchItemError:
            continue  # somebody has removed it meanwhile
        except PqError as error:
            report(error)
    if len(sending.marked) > len(sending.sent):
        sent = set(sending.sent)
        stay(departures, [item_id for item_id in sending.marked if item_id not in sent])
    return left


def stay(departures: Departures, ids: Sequence[int] | array[int]) -> None:
    """Put these items back as they were."""
    for start in range(0, len(ids), _TOGETHER):
        departures.put_back(ids[start : start + _TOGETHER])
