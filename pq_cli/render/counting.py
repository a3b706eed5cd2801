"""A count of what was done so far, on a terminal, while something long runs."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.progress import Progress


class Counting:
    """A context that gives a function to call for every thing done; a terminal shows the count."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._bar: Progress | None = None

    def __enter__(self) -> Callable[[], None]:
        if not os.isatty(2):
            return lambda: None
        from rich.console import Console
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        columns = (SpinnerColumn(), TextColumn("{task.completed} {task.description}"))
        console = Console(stderr=True)
        self._bar = bar = Progress(*columns, TimeElapsedColumn(), console=console, transient=True)
        bar.start()
        task = bar.add_task(self._what, total=None)
        return lambda: bar.advance(task)

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()
