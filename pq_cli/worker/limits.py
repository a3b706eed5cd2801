"""When a pool claims no more, and how fast it claims. Pure: `now` is monotonic seconds."""

from __future__ import annotations

from pq_cli.core.arguments import valid_duration, valid_flag, valid_whole, wrong
from pq_cli.core.record import Record
from pq_cli.errors import CommandFailedError, TryAgainError
from pq_cli.worker.contract import Verdict

AFTER = 5
"""Failures in a row after which a pool is slow: with fewer, a few bad items would do it."""
FIRST = 1.0
"""Seconds of the first pause."""
LONGEST = 300.0
"""Seconds of the longest pause: this soon the end of a long outage is noticed."""


class GateClosedError(TryAgainError):
    """The gate (`--when`) said no, so nothing was claimed."""


class HaltError(CommandFailedError):
    """So many attempts in a row failed that going on would only spend attempts."""


class Limits(Record):
    """Bounds of one `drain`; None means none.

    max_items: claim at most so many. max_seconds: claim nothing after so long. rate: claims a
    second, evenly spaced. halt_after: stop after so many failed attempts in a row, whatever made
    them fail. slow_down: claim more and more slowly while everything fails; see `Slowdown`.
    patience: stop rather than make a longer pause for that, in seconds. lock_timeout: seconds for
    which a claim that is told to try again, as when the lock is busy, is tried.
    """

    max_items: int | None = None
    max_seconds: float | None = None
    rate: float | None = None
    halt_after: int | None = None
    slow_down: bool = True
    patience: float | None = None
    lock_timeout: float | None = None


def valid_limits(limits: Limits) -> Limits:
    """Return limits if each is a number that can be kept. Raises UsageError."""
    if not isinstance(limits, Limits):
        raise wrong("limits", limits, "a Limits, e.g. Limits(max_items=10)")
    for name in ("max_items", "halt_after"):
        value = getattr(limits, name)
        if value is not None:
            valid_whole(name, value, 0, 10**15)
    for name in ("max_seconds", "patience", "lock_timeout"):
        value = getattr(limits, name)
        if value is not None:
            valid_duration(name, value)
    if limits.rate is not None and valid_duration("rate", limits.rate) == 0:
        raise wrong("rate", limits.rate, "claims a second, above 0")
    valid_flag("slow_down", limits.slow_down)
    return limits


class Slowdown:
    """Says when a pool may claim, by how its attempts have ended: an outage costs a few of them.

    Nothing here knows why attempts fail; that they fail one after the other, whatever the item,
    says that it is not the items.

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
        self._trying = False  # what a slow pool began before it was fast again is of another round


class Pace:
    """Keeps one `drain` within its limits."""

    def __init__(self, limits: Limits, now: float) -> None:
        self._limits = limits
        self._began = now
        self._next = now
        self._claimed = 0
        self.in_a_row = 0
        """Attempts that failed since the last one that did not."""
        self.slowdown = Slowdown()

    def over(self, now: float) -> bool:
        """Tell whether nothing more may be claimed."""
        most, seconds = self._limits.max_items, self._limits.max_seconds
        late = seconds is not None and now - self._began >= seconds
        return late or (most is not None and self._claimed >= most)

    def wait(self, now: float) -> float:
        """Return the seconds until the next claim is due; inf: an attempt must end before."""
        return max(0.0, self._next - now, self.slowdown.wait(now))

    def claimed(self, now: float) -> int:
        """Count a claim; return its round, for `ended`.

        A claim that came late is not made up for: the rate is never exceeded.
        """
        self._claimed += 1
        if self._limits.rate is not None:
            self._next = max(self._next, now) + 1 / self._limits.rate
        return self.slowdown.claimed()

    def ended(self, verdict: Verdict, round_: int, now: float) -> str | None:
        """Count the end of an attempt; return why no more may be made, or None: go on."""
        limits = self._limits
        if limits.slow_down:
            self.slowdown.ended(verdict, round_, now)
        if verdict is not Verdict.RELEASE:
            self.in_a_row = 0 if verdict is Verdict.DONE else self.in_a_row + 1
        many = self.in_a_row
        if limits.halt_after is not None and many >= limits.halt_after:
            return f"{many} failure{'s' if many > 1 else ''} in a row: stopped"
        if limits.patience is not None and self.slowdown.pause > limits.patience:
            return f"{self.slowdown.in_a_row} failures in a row: the rest is left for a later run"
        return None
