"""Prints what was survived."""

from __future__ import annotations

import crashlab


def pytest_terminal_summary(terminalreporter) -> None:
    """Say how many deaths, disk states and faults these tests went through."""
    for what, count in crashlab.TALLY.items():
        terminalreporter.write_line(f"survived: {count} {what}")
