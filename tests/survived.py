"""What the safety tests went through, counted in every process that runs tests, told at the end."""

from __future__ import annotations

from collections import Counter

import pytest

TALLY: Counter[str] = Counter()
"""How many deaths, disk states and faults were survived so far."""


def pytest_sessionfinish(session) -> None:
    """Hand over what this process counted, if it is one of several."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["survived"] = dict(TALLY)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node) -> None:
    """Add what a process counted that has run its share of the tests."""
    TALLY.update(getattr(node, "workeroutput", {}).get("survived", {}))


def pytest_terminal_summary(terminalreporter) -> None:
    """Say what was survived."""
    for what, count in sorted(TALLY.items()):
        terminalreporter.write_line(f"survived: {count} {what}")
