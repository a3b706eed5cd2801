"""Descriptors: a program may forget to close its spools."""

from __future__ import annotations

import gc
import os
from pathlib import Path

from pq_cli import Spool


def test_a_forgotten_spool_gives_its_descriptors_back(tmp_path: Path) -> None:
    """Opening and using many spools without closing any of them does not use up descriptors."""
    with Spool(tmp_path / "q") as first:
        first.enqueue(b"x")
        first.claim()  # the lock by which it holds stays as long as this process
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        spool = Spool(tmp_path / "q")
        spool.enqueue(b"x")
        spool.claim()
        del spool
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) <= before
