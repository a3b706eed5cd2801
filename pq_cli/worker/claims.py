"""What a pool works on: claims, and attempts at their items."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from pq_cli.core.item import Item


class Claim:
    """One claimed item."""

    def __init__(self, item: Item, lease: float, round_: int) -> None:
        self.item = item
        self.round = round_
        self.renew_at = time.time() + lease / 3
        self.lost = False


class Attempt:
    """One call of the handler: the item that it works on, or those of a batch."""

    def __init__(self, claims: Sequence[Claim]) -> None:
        self.claims = claims
        self.started = time.monotonic()
        self.task: asyncio.Task[None] | None = None
        self.ending = False
        self.called_off = False

    def call_off(self) -> None:
        """Cancel the handler, unless it has ended and the item is just being settled."""
        if not self.ending and self.task is not None:
            self.called_off = True
            self.task.cancel()

    def lose(self, claim: Claim) -> None:
        """Note that a claim was taken away: what works on its item, and on others, is called off.

        Once is enough: a second time would be impatience.
        """
        claim.lost = True
        if not self.called_off:
            self.call_off()
