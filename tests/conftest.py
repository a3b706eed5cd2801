"""Puts tests/ on the import path, so that every test can `from support import ...`; fixtures."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import Pq


@pytest.fixture
def pq(tmp_path: Path) -> Pq:
    """The command `pq`, on a spool of its own that nobody has made yet."""
    return Pq(tmp_path)
