"""Metas that say that their items have ended: a power loss brought them back. Nobody sees them."""

from __future__ import annotations

from pathlib import Path

import pytest
from queues import Clock, make_queue

from pq_cli import NoSuchItemError, Spool
from pq_cli.core.meta import end_over
from pq_cli.spool.check.check import Check

PLACES = {
    "pending": lambda q: None,
    "delayed": lambda q: None,
    "active": lambda q: q.claim(lease=5, bound=False),
}


@pytest.fixture
def clock() -> Clock:
    """A clock that stands."""
    return Clock()


@pytest.fixture(params=PLACES)
def spool(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Spool:
    """A spool with an item that waits, and one that was done and rolled back to where it was."""
    queue = make_queue("spool-full", tmp_path, clock)
    queue.enqueue(b"x", key="k", priority=1, delay=5 if request.param == "delayed" else None)
    queue.enqueue(b"y")
    PLACES[request.param](queue)
    meta = next(Path(queue.path, request.param).rglob("0000000001*.meta.json"))
    offset, sector = end_over(meta.read_bytes(), queue.get(1))
    with meta.open("r+b") as file:
        file.seek(offset)
        file.write(sector)
    queue.close()
    clock.pass_(10)
    return make_queue("spool-full", tmp_path, clock)


def left_of_it(spool: Spool) -> list[Path]:
    """Return the files of item 1."""
    return [path for path in Path(spool.path).rglob("0000000001*") if path.is_file()]


def test_nobody_sees_it(spool: Spool) -> None:
    """It is not listed, found, changed or served, and its key is free."""
    assert [item.id for item in spool.items()] == [2]
    for verb in (spool.get, spool.done, spool.hold, spool.remove, spool.retry):
        with pytest.raises(NoSuchItemError):
            verb(1)
    assert spool.enqueue(b"z", key="k", if_exists="fail").id == 3


def test_the_next_claim_clears_it_away(spool: Spool) -> None:
    """Whoever comes by serves the next item, and nothing is left of the one that has ended."""
    assert spool.claim().id == 2
    assert left_of_it(spool) == []
    assert len(spool) == 1


def test_check_tells_of_it_and_clears_it_away(spool: Spool) -> None:
    """It does no harm; a repair removes it, payload and all, and sets nothing aside."""
    assert {f.kind for f in Check(spool.path, 5.0, patience=0.0).run(repair=False)} <= {
        "ended", "key"
    }  # fmt: skip
    findings = list(Check(spool.path, 5.0).run(repair=True))
    assert "ended" in {f.kind for f in findings} and not any(f.aside for f in findings)
    assert left_of_it(spool) == []
    assert list(Check(spool.path, 5.0, patience=0.0).run(repair=False)) == []
