"""The gate: a question asked before claiming, such as "is the host there?"."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol


class Gate(Protocol):
    """A function that tells whether work may be claimed now, `async def` or plain (in a thread)."""

    def __call__(self) -> Awaitable[bool] | bool:
        """Tell."""


HOLDS = 5.0
"""Seconds for which an answer holds: a `ping` for each of 10,000 items would cost more than them.
After a failed attempt the gate is asked again at once."""


class GateKeeper:
    """Asks the gate in the background and remembers what it said. None is always open."""

    def __init__(
        self, gate: Callable[[], Awaitable[bool]] | None, said: Callable[[bool], None]
    ) -> None:
        self._gate = gate
        self._said = said
        self._open = gate is None
        self._until = float("inf") if gate is None else 0.0
        self._task: asyncio.Task[bool] | None = None
        self.error: BaseException | None = None
        """Why the gate could not even be asked the last time."""

    def is_open(self, now: float) -> bool:
        """Tell whether claiming is allowed now (monotonic seconds)."""
        return self._open and now < self._until

    def is_closed(self, now: float) -> bool:
        """Tell whether the gate said no, so recently that it need not be asked again."""
        return not self._open and now < self._until

    @property
    def asking(self) -> bool:
        """Whether an answer is on its way."""
        return self._task is not None

    def ask(self) -> None:
        """Ask, unless that is under way; `said` is called with the answer."""
        if self._task is None and self._gate is not None:
            self._task = asyncio.ensure_future(self._gate())
            self._task.add_done_callback(self._answered)

    def doubt(self) -> None:
        """Let an open gate be asked again before the next claim: an attempt has failed."""
        if self._gate is not None and self._open:
            self._until = 0.0

    async def close(self) -> None:
        """Stop asking, and wait until that has ended."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def _answered(self, task: asyncio.Future[bool]) -> None:
        self._task = None
        if task.cancelled():
            return
        # A gate that cannot even be asked is closed.
        self.error = task.exception()
        self._open = self.error is None and task.result()
        self._until = asyncio.get_running_loop().time() + HOLDS
        self._said(self._open)
