"""What several files of this room start from."""

from __future__ import annotations

from pathlib import Path

import pytest

from pq_cli import Spool
from pq_cli.queue.request import Request


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """A spool with ten items, of which some are claimed, held, failed and removed."""
    root = tmp_path / "spool"
    with Spool(root) as spool:
        spool.enqueue_many([(b"%d" % n, Request()) for n in range(10)])
        spool.claim(bound=False)
        spool.fail(spool.claim(), dead=True)
        spool.hold(3)
        spool.enqueue(b"x", delay=500)
        spool.remove(4)
        spool.claim(bound=False)
    return root
