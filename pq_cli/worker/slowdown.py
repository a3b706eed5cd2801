"""Slowing down while everything fails: an outage costs a few attempts of a few items.

Pure: `now` is monotonic seconds. Nothing here knows why attempts fail; that they fail one after
the other, whatever the item, says that it is not the items.
"""

from __future__ import annotations

from pq_cli.worker.contract import Verdict

AFTER = 5
"""Failures in a row after which a pool is slow: with fewer, a few bad items would do it."""
FIRST = 1.0
"""Seconds of the first pause."""
LONGEST = 300.0
"""Seconds of the longest pause: this soon the end of a long outage is noticed."""


class Slowdown:
    """Says when a pool may claim, by how its attempts have ended.

    What counts: RETRY and DEFER are failures, whether or not the item is charged, for both may
    mean that the world is not there. DONE ends the row. DEAD neither counts nor ends it: the item
    was at fault, so the attempt says nothing about the next one; nor do RELEASE and lost claims.

    After `AFTER` failures in a row the pool is slow: one attempt at a time, and the next not
    before `pause` seconds after the last has failed. With the n-th pause

        pause = min(FIRST * 2 ** (n - 1), LONGEST)

    and n grows with each failure of an attempt that was begun slowly; those that were under way
    already say nothing new. The first DONE, of whichever attempt, restores full speed.
    """

    def __init__(self) -> None:
        self.in_a_row = 0
        """Failures since the last attempt that ended well."""
        self.pause = 0.0
        """Seconds that the present pause lasts in all; 0 at full speed."""
        self._until = 0.0
        self._round = 0
        self._trying = False

    @property
    def slow(self) -> bool:
        """Whether the pool is slow."""
        return self.pause > 0

    def wait(self, now: float) -> float:
        """Return the seconds until the next claim is due: inf while a slow attempt is at work."""
        if not self.slow:
            return 0.0
        return float("inf") if self._trying else max(0.0, self._until - now)

    def claimed(self) -> int:
        """Note a claim; return the round that it belongs to, for `ended`."""
        self._trying = self.slow
        return self._round

    def ended(self, verdict: Verdict, round_: int, now: float) -> None:
        """Note how an attempt of a round ended. A lost claim counts as RELEASE."""
        present = round_ == self._round
        if present:
            self._trying = False
        if verdict is Verdict.DONE:
            self.in_a_row, self.pause = 0, 0.0
            self._round += 1
        elif verdict in (Verdict.RETRY, Verdict.DEFER):
            self.in_a_row += 1
            if self.slow and present:
                self._begin_pause(min(2 * self.pause, LONGEST), now)
            elif not self.slow and self.in_a_row >= AFTER:
                self._begin_pause(FIRST, now)

    def _begin_pause(self, seconds: float, now: float) -> None:
        self.pause = seconds
        self._until = now + seconds
        self._round += 1
