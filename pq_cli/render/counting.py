"""How far something has come that may take long: counted where a terminal shows it.

The line is drawn when something is counted, and not before it has taken a while: what is quick
shows nothing and does not load rich. Whatever else is printed meanwhile makes it clear away.
"""

from __future__ import annotations

import time

from pq_cli.opened import Reading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, Self, TypeVar

    from pq_cli.render.progress import Bar
    from pq_cli.screen import Screen

    T = TypeVar("T")

_PATIENCE = 0.5
_EVERY = 0.1
"""Seconds before the line is shown, and between two drawings."""
_NEVER = float("inf")


def counted(
    things: Iterable[T],
    screen: Screen,
    what: str,
    total: int | Callable[[], int | None] | None = None,
) -> Iterable[T]:
    """Return things that are counted as they are passed on, where that is shown: `Counting`."""
    return _each(things, Counting(screen, what, total)) if screen.shows_progress() else things


def _each(things: Iterable[T], counting: Counting) -> Iterator[T]:
    with counting:
        for thing in things:
            yield thing
            counting.tick()


class Counting:
    """A context that counts what is done. what: of which things, or "bytes".

    total: how many there will be, None where nobody knows. A function is asked when the line is
    first drawn: counting costs time, too.
    """

    def __init__(
        self, screen: Screen, what: str, total: int | Callable[[], int | None] | None = None
    ) -> None:
        self._screen = screen
        self._what = what
        self._total = total
        self._known: int | None = None
        self.count = 0
        self._began = 0.0
        self._next = _NEVER
        self._bar: Bar | None = None
        self._outer: Callable[[], None] | None = None

    def __enter__(self) -> Self:
        self._outer = self._screen.clear
        if self._screen.shows_progress():
            self._began = time.monotonic()
            self._next = self._began + _PATIENCE
            self._screen.clear = self._clear
            if self._outer is not None:
                self._outer()
        return self

    def __exit__(self, error: object, *_: object) -> None:
        self._screen.clear = self._outer
        if error is None and self._next != _NEVER and self._screen.is_terminal():
            self._screen.flush()  # what was told comes before the words that sum it up
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def tick(self, number: int = 1) -> None:
        """Count `number` more; where bytes are counted, only note that it goes on."""
        self._add(0 if self._what == "bytes" else number)

    def passed(self, number: int) -> None:
        """Count bytes that passed; where things are counted, only note that it goes on."""
        self._add(number if self._what == "bytes" else 0)

    def watched(self, stream: Any) -> Any:
        """Return a binary stream of which every read and write counts as bytes that passed."""
        return _Watched(stream, self.passed)  # it names what cannot be read, too

    def _add(self, number: int) -> None:
        self.count += number
        if self._next != _NEVER and time.monotonic() >= self._next:
            self._draw()

    def _draw(self) -> None:
        if self._screen.is_terminal():
            self._screen.flush()  # else a line written in two parts has the bar in its middle
        if self._bar is None:
            from pq_cli.render.progress import Bar

            self._bar = Bar()
            self._known = self._total() if callable(self._total) else self._total
        total = None if self._known is None else max(self._known, self.count)
        self._bar.draw(self._words(total), self.count, total)
        self._next = time.monotonic() + _EVERY

    def _words(self, total: int | None) -> str:
        from pq_cli.core.insight.words import human_size
        from pq_cli.core.timefmt import format_duration  # start-up: this module loads always

        passed = time.monotonic() - self._began
        if self._what == "bytes":
            done, of = human_size(self.count), "" if total is None else f" of {human_size(total)}"
        else:
            done, of = f"{self.count:,}", f" {self._what}"
            of = of if total is None else f" of {total:,}{of}"
        if total is None or not self.count:
            return f"{done}{of}, {format_duration(float(int(passed)))}"
        left = passed * (total - self.count) / self.count
        return f"{done}{of}, {format_duration(float(int(left)))} to go"

    def _clear(self) -> None:
        if self._bar is not None:
            self._bar.clear()


class _Watched:
    """A binary stream that tells of whatever passes."""

    def __init__(self, stream: Any, tell: Callable[[int], None]) -> None:
        self._stream = stream
        self._tell = tell

    def _passed(self, data: bytes) -> bytes:
        self._tell(len(data))
        return data

    def fileno(self) -> int:
        return int(self._stream.fileno())

    def peek(self, size: int = 0) -> bytes:
        with Reading(self._stream):
            return bytes(self._stream.peek(size))

    def read(self, size: int = -1) -> bytes:
        with Reading(self._stream):
            return self._passed(self._stream.read(size))

    def read1(self, size: int = -1) -> bytes:
        return self._passed(self._stream.read1(size))  # `read_some` names what goes wrong

    def readline(self, size: int = -1) -> bytes:
        with Reading(self._stream):
            return self._passed(self._stream.readline(size))

    def write(self, data: bytes) -> int:
        return int(self._stream.write(self._passed(data)))

    def flush(self) -> None:
        self._stream.flush()
