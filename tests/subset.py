"""What `pytest -m quick` runs: the core in under a minute on two cores."""

from __future__ import annotations

from pathlib import Path

import pytest

QUICK = (
    "test_contract.py", "test_item.py", "test_order_unit.py", "test_timefmt.py", "test_record.py",
    "test_events.py", "test_words.py", "test_ids.py", "test_hands.py", "test_meta_files.py",
    "test_payload_files.py", "test_filelock_interop.py", "test_layering.py", "test_docstrings.py",
    "test_startup.py", "test_quick.py", "test_tests.py", "test_cli_verbs.py", "run/test_drain.py",
)  # fmt: skip
"""The modules, below tests/."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of the quick modules."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here) and str(item.path.relative_to(here)) in QUICK:
            item.add_marker(pytest.mark.quick)
