"""Telling how far something has come: `Tick` is called with how much more was done."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Tick = Callable[[int], None]


def unheard(_: int) -> None:
    """Tell nobody."""
