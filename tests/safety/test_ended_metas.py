"""Metas that say that their items have ended: a power loss brought them back. Nobody sees them."""

from __future__ import annotations

import os
from pathlib import Path

import crashlab
import pytest
from queues import Clock, make_queue

from pq_cli import NoSuchItemError, Spool, State, host
from pq_cli.core.meta import end_over
from pq_cli.spool.check.check import Check

PLACES = {
    "pending": lambda q: None,
    "delayed": lambda q: None,
    "active": lambda q: q.claim(lease=5, bound=False),
}


def end(queue: Spool, meta: Path) -> None:
    """Let a meta say that its item has ended."""
    offset, sector = end_over(meta.read_bytes(), queue.get(int(meta.name[:10])))
    with meta.open("r+b") as file:
        file.seek(offset)
        file.write(sector)


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
    end(queue, next(Path(queue.path, request.param).rglob("0000000001*.meta.json")))
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


def booted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the machine be in another boot: only so a meta comes back."""
    monkeypatch.setattr(host, "known_boot", (os.getpid(), "another/pid:[1]"))


def test_who_only_looks_does_not_count_it(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the power is back `pq stats` and `pq wait` count what there is, before any change."""
    booted(monkeypatch)
    assert crashlab.counted(spool) == crashlab.listed(spool) == (1, 1, 0)
    assert spool.count([State.PENDING]) == 1
    assert left_of_it(spool), "who looks changes nothing"


def test_the_first_change_clears_it_away(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes up no room, whoever comes first: not of `max_items`, and not on the disk."""
    booted(monkeypatch)
    clock = Clock(spool.now())
    limited = make_queue("spool-full", Path(spool.path).parent, clock, max_items=2)
    assert limited.enqueue(b"z").id
    assert left_of_it(spool) == []
    assert crashlab.counted(spool) == crashlab.listed(spool) == (2, 2, 0)


def test_it_is_found_behind_what_was_at_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a lane those that have ended lie behind each other's, and behind some that have not."""
    queue = make_queue("spool-full", tmp_path, Clock())
    items = [queue.enqueue(b"x") for _ in range(8)]
    queue.enqueue(b"x", limit="api")
    for item in [*items[2:5], items[6]]:
        end(queue, Path(f"{item.path}.meta.json"))
    booted(monkeypatch)
    assert crashlab.counted(queue) == crashlab.listed(queue) == (5, 5, 0)
    queue.pause()
    assert [*queue.backlog().lanes] == [(5, ""), (5, "api")]
    assert {p.name[:10] for p in Path(queue.path, "pending").rglob("0*.meta.json")} == {
        f"{n:010}" for n in (1, 2, 6, 8, 9)
    }


def test_check_tells_of_it_and_clears_it_away(spool: Spool) -> None:
    """It does no harm; a repair removes it, payload and all, and sets nothing aside."""
    assert {f.kind for f in Check(spool.path, 5.0, patience=0.0).run(repair=False)} <= {
        "ended", "key"
    }  # fmt: skip
    findings = list(Check(spool.path, 5.0).run(repair=True))
    assert "ended" in {f.kind for f in findings} and not any(f.aside for f in findings)
    assert left_of_it(spool) == []
    assert list(Check(spool.path, 5.0, patience=0.0).run(repair=False)) == []
