"""For the sweeps: folders where only what a file system shows matters, not how long it takes."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def scratch() -> Iterator[Path]:
    """Give a folder in memory where there is one: thousands of syncs there wait for no disk.

    A process that is killed, or a call that fails, leaves there what it leaves on a disk; what a
    disk may lose of it is the power-loss model's.
    """
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as name:
        yield Path(name)
