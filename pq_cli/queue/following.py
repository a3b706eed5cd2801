"""Following: what happens in a queue, event by event, without missing one."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING, Protocol

from pq_cli.errors import TryAgainError
from pq_cli.queue.looking import POLL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from pq_cli.queue.store import Store


class Tail(Protocol):
    """The end of a queue's log, from some event on; see `Store.tail`."""

    def read(self) -> Iterator[dict[str, Any]]:
        """Yield the events that have come since, each once, in the order of their numbers.

        None that is seen later has a lower number: what may still come before another is waited
        for, and if that takes long, both are left for the next call. Raises EventsGoneError.
        """

    def close(self) -> None:
        """Let go of descriptors."""


def past(store: Store, after: int) -> Iterator[dict[str, Any]]:
    """Yield what has happened after the event of this number; see `Queue.log`."""
    with closing(store.tail(after)) as tail:
        yield from tail.read()


def follow(
    store: Store,
    after: int,
    idle: Callable[[], object] | None,
    trouble: Callable[[TryAgainError], object] | None,
) -> Iterator[dict[str, Any]]:
    """Yield what has happened after that event and what happens, for ever; see `Queue.follow`."""
    with closing(store.tail(after)) as tail:
        while True:
            try:
                yield from tail.read()
            except TryAgainError as error:
                if trouble is None:
                    raise
                trouble(error)
            if idle is not None:
                idle()
            time.sleep(POLL)
