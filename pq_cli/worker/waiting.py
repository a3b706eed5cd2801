"""Waiting: something that lock or disk refuse, and that is tried again for a while."""

from __future__ import annotations

import time

_SILENT = 1.0
"""Seconds after which people are told what it is that has to wait."""


class Waiting:
    """Counts from now, the first try on. patience: seconds for which it is tried."""

    def __init__(self, patience: float) -> None:
        self._began = time.monotonic()
        self._patience = patience
        self._told = False

    def over(self) -> bool:
        """Tell whether it was tried for long enough."""
        return time.monotonic() >= self._began + self._patience

    def news(self) -> bool:
        """Tell, once, that it has taken so long that people must be told."""
        told, self._told = self._told, time.monotonic() >= self._began + _SILENT
        return self._told and not told
