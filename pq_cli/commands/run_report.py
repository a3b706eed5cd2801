"""What `pq run` tells while it works: messages, JSON events, a progress line or bar."""

from __future__ import annotations

import asyncio
import os
import time

from pq_cli.commands.idle import idle_text
from pq_cli.core.item import Item, State
from pq_cli.core.jsonio import to_safe_json
from pq_cli.core.timefmt import format_duration
from pq_cli.opened import os_error_text
from pq_cli.queue.verbs import Queue
from pq_cli.render.progress import Bar, Tally
from pq_cli.screen import Screen
from pq_cli.worker.command import CommandGate
from pq_cli.worker.contract import Verdict
from pq_cli.worker.events import COUNTED, Event
from pq_cli.worker.output import Outlet

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_BAR_EVERY = 0.2
_LINE_EVERY = 5.0
_COUNT_EVERY = 2.0
"""Seconds between counts of what is left: that lists folders, so it is not done for every draw."""


class Reporter:
    """Watches a pool (see `drain`) and tells people or machines.

    out: takes the JSON events. err: stderr, for what the gate has written there. progress: shown
    (True), not shown (False), or where a terminal can (None).
    """

    def __init__(
        self,
        queue: Queue,
        screen: Screen,
        out: Outlet,
        err: Outlet,
        gate: CommandGate | None,
        *,
        as_json: bool,
        follow: bool,
        progress: bool | None,
    ) -> None:
        self._screen, self._out, self._err = screen, out, err
        self.bar = self._every = None
        if progress is not False and not as_json:
            if screen.shows_progress():
                self.bar, self._every = Bar(), _BAR_EVERY
                screen.clear = self.bar.clear
            elif progress:
                self._every = _LINE_EVERY
        out.before = err.before = screen.make_way
        self._queue = queue
        self._json = as_json
        self._gate, self._is_open = gate, True
        self._follow = follow
        self._heard = follow or self._every is not None or os.isatty(2)
        """Whether somebody looks on, who wants to know of a gate that was closed from the start."""
        self._tally = Tally()
        self._counts: dict[str, int] = {}
        self._began = time.monotonic()
        self._counted = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Show progress from now on."""
        if self._every is not None:
            self._count_left()
            self._timer = asyncio.get_running_loop().call_later(self._every, self._tick)

    def close(self) -> None:
        """Show nothing any more."""
        if self._timer is not None:
            self._timer.cancel()
        if self.bar is not None:
            self.bar.close()
            self.bar = self._screen.clear = None

    def __call__(self, event: Event) -> None:
        """Take note of what happened in the pool, and tell what must be told."""
        if event.kind == "gate":
            self._gate_said(event.open)
        elif event.kind == "pace":
            self._pace(event)
        elif event.kind == "wait":
            self._wait(event)
        elif event.kind == "start":
            self._heard = True
            self._tally.running += 1
            if self._tally.left:
                self._tally.left -= 1
            self._event(event, "start")
        else:
            self._ended(event)

    def _ended(self, event: Event) -> None:
        outcome = event.outcome
        lost = event.kind == "lost" or outcome is None
        name = "lost" if lost or outcome is None else COUNTED[outcome.verdict]
        self._tally.running -= 1
        self._counts[name] = self._counts.get(name, 0) + 1
        if name == "done":
            self._tally.done += 1
        elif name != "released":
            self._tally.failed += 1
        self._event(event, name)
        claim = event.item.claim if event.item is not None else None
        if name == "lost":
            self._say(f"{claim}: the claim was lost, and with it the command's result")
        elif outcome is not None and outcome.verdict not in (Verdict.DONE, Verdict.RELEASE):
            self._say(f"{claim}: {outcome.error}")

    def _event(self, event: Event, name: str) -> None:
        if not self._json or event.item is None:
            return
        item, outcome = event.item, event.outcome
        record: dict[str, Any] = {
            "event": name, "id": item.id, "claim": item.claim, "priority": item.priority,
            "attempt": item.attempts, "name": item.name, "key": item.key,
        }  # fmt: skip
        if outcome is not None:
            record["exit"] = outcome.status
            record["error"] = outcome.error if outcome.verdict is not Verdict.DONE else None
            record["seconds"] = round(event.seconds, 6)
        self._write(record)

    def _gate_said(self, is_open: bool) -> None:
        """Tell when the gate opens or closes, with what it wrote then; not each time it is asked.

        That it was closed all the time is no news where nobody looks on: cron would mail it.
        """
        if is_open == self._is_open:
            return
        self._is_open = is_open
        if self._json:
            self._write({"event": "gate", "open": is_open})
        elif self._gate is not None and self._heard:
            if words := self._gate.words:  # what it wrote to stderr
                self._err.write(words if words.endswith(b"\n") else words + b"\n")
            until = "is claimed meanwhile" if self._follow else "more is claimed"
            self._say(
                f"the gate (--when) is {'open again' if is_open else f'closed: nothing {until}'}"
            )

    def _pace(self, event: Event) -> None:
        """Tell when the pool slows down, and when that is over."""
        if self._json:
            self._write({"event": "pace", "slow": event.slow, "in_a_row": event.in_a_row})
        elif event.slow:
            self._say(
                f"{event.in_a_row} failures in a row: slower from now on, one at a time after "
                "growing pauses, until one ends well"
            )
        else:
            self._say("one has ended well: at full speed again")

    def _wait(self, event: Event) -> None:
        """Tell what has to wait, and for what; a machine reads it on stderr too."""
        what = "nothing can be claimed yet"
        if event.item is not None:
            what = f"{event.item.claim}: its end cannot be written down yet"
        if event.error is not None:
            self._screen.warn(f"{what}: {os_error_text(event.error)}")

    def unlogged(self, item: Item, error: Exception, again: bool) -> None:
        """Tell that an attempt's log cannot be kept; its exit status counts all the same."""
        what = "waits" if again else "was not kept"
        self._screen.warn(f"{item.claim}: its log {what}: {os_error_text(error)}")

    def end(self) -> None:
        """Sum up, if there is somebody who asked for it or something went wrong."""
        quiet = self._every is None and not self._tally.failed
        seconds = time.monotonic() - self._began
        idle = idle_text(self._queue) if not self._counts and os.isatty(2) else None
        if self._json:
            self._write({"event": "end", **self._counts, "seconds": round(seconds, 6)})
        elif idle is not None:  # not under cron: that would be a mail at every run
            self.close()
            self._screen.warn(idle)
        elif not quiet:
            self.close()
            counts = [f"{self._counts.get('done', 0)} done"]
            counts += [f"{n} {_WORDS[name]}" for name, n in self._counts.items() if name != "done"]
            self._screen.warn(f"{', '.join(counts)} in {format_duration(seconds)}")

    # -- progress ----------------------------------------------------------

    def _tick(self) -> None:
        now = time.monotonic()
        self._tally.mark(now)
        if now - self._counted >= _COUNT_EVERY:
            self._count_left()
        if self.bar is not None:
            self.bar.draw(self._tally.text(), self._tally.ended, self._tally.total)
        else:
            self._screen.warn(self._tally.text())
        if self._every is not None:
            self._timer = asyncio.get_running_loop().call_later(self._every, self._tick)

    def _count_left(self) -> None:
        began = time.monotonic()
        self._tally.left = self._queue.count([State.PENDING])
        # A count that takes long is made less often: it holds up everything else.
        now = time.monotonic()
        self._counted = now + 20 * (now - began)

    def _say(self, message: str) -> None:
        if not self._json:
            self._screen.warn(message)

    def _write(self, record: dict[str, Any]) -> None:
        self._out.write(to_safe_json(record) + b"\n")


_WORDS = {
    "retried": "failed",
    "dead": "failed for good",
    "deferred": "put off",
    "released": "given back",
    "lost": "lost",
}
