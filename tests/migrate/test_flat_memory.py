"""A source of any size is read in the memory of a small one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import pq_cli.migrate

# Enough that holding one item's record for each would show; a million takes minutes to make.
MANY = int(os.environ.get("PQ_MIGRATE_MANY", "30000"))
FEW = 200
ALLOWED_KIB = 20 * 1024
MOST_LINKS = 20_000  # to one file; ext4 allows 65,000

CHILD = """
import resource, sys
from pathlib import Path
from pq_cli.migrate.detect import choose
from pq_cli.migrate.order import Ordered
root = Path(sys.argv[1])
with Ordered(choose(root).read(root, None)) as ordered:
    items = sum(1 for _ in ordered.items())
    reported = sum(1 for _ in ordered.reported())
print(items, reported, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def _measure(root: Path) -> tuple[int, int, int]:
    home = str(Path(pq_cli.migrate.__path__[0]).parents[1])
    environment = os.environ | {"PYTHONPATH": home}
    command = [sys.executable, "-c", CHILD, str(root)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    items, reported, peak_kib = map(int, done.stdout.split())
    return items, reported, peak_kib


def _make(root: Path, count: int) -> None:
    """Make items (hard links of one payload: quick), each with a big sidecar, and leftovers."""
    root.mkdir()
    for number in range(count):
        if number % MOST_LINKS == 0:
            payload, sidecar = root / f"{number}.queued", root / f"{number}.meta.json"
            payload.write_text("{}")
            sidecar.write_text('{"priority": 2, "note": "' + "x" * 2000 + '"}')
        else:
            os.link(payload, root / f"{number}.queued")
            os.link(sidecar, root / f"{number}.meta.json")
        if number % 10 == 0:
            os.link(payload, root / f"{number}.tmp")


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in other units elsewhere")
def test_memory_is_flat(tmp_path: Path) -> None:
    """Reading and ordering many items takes no more memory than a few, but a fixed cache."""
    _make(tmp_path / "few", FEW)
    _make(tmp_path / "many", MANY)
    few = _measure(tmp_path / "few")
    result = _measure(tmp_path / "many")
    assert few[:2] == (FEW, FEW // 10)
    assert result[:2] == (MANY, MANY // 10)
    assert result[2] - few[2] < ALLOWED_KIB, f"{few[2]} KiB for {FEW}, {result[2]} for {MANY}"
